"""Directories and sockets of the node mounted into pods."""

from collections.abc import Iterator, Mapping
from typing import Any

from checks._allowed_paths import ALLOWED, AllowedPaths
from iocaudit.core import paths
from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, PODS
from iocaudit.core.place import Place
from iocaudit.core.repair import put
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import text
from iocaudit.core.world import World
from iocaudit.knowledge.claims import claims_of, node_path, volumes_of
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.host_path import Danger, control_socket, danger, is_public, is_runtime, is_socket, normalise
from iocaudit.knowledge.pods.pod import Container, PodSpec

_CONTROLS = {
    "pss": "baseline/hostPathVolumes, restricted/restrictedVolumes",
    "cis-1.12": "5.2.11",
    "attack": "T1611",
    "ms": "MS-TA9013",
    "owasp": "K01",
    "nsa": "Pod security enforcement",
}


def _host_paths(pod: PodSpec) -> Iterator[tuple[str, str, str]]:
    """Volume name, its path in the object and the host path as written, for each hostPath volume."""
    for index, volume in enumerate(pod.volumes):
        source = volume.get("hostPath")
        if isinstance(source, dict):
            place = f"{pod.volume_path(volume, index)}.hostPath.path"
            yield text(volume.get("name")), place, text(source.get("path"))


class _Mounts:
    """Where each volume of a pod is mounted; indexed at the first question, as most pods have no hostPath."""

    def __init__(self, pod: PodSpec) -> None:
        self._pod = pod
        self._mounts: dict[str, list[tuple[Container, Mapping[str, Any]]]] | None = None

    def _of(self, volume: str) -> list[tuple[Container, Mapping[str, Any]]]:
        if self._mounts is None:
            self._mounts = {}
            for container in self._pod.containers:
                for mount in container.volume_mounts:
                    self._mounts.setdefault(text(mount.get("name")), []).append((container, mount))
        return self._mounts.get(volume, [])

    def of(self, volume: str) -> str:
        """The places of one volume, for the message."""
        found = self._of(volume)
        places = [f"at {clip(text(mount.get('mountPath')))} in {container.title}" for container, mount in found[:3]]
        return ", ".join(places) + (", …" if len(found) > 3 else "") if places else "without mounting it"

    def danger(self, volume: str, path: str) -> Danger | None:
        """What makes a path sensitive as it is mounted: of a public file only that someone may write to it."""
        if is_public(path) and all(mount.get("readOnly") is True for _, mount in self._of(volume)):
            return None
        return danger(path)


@check(
    "sensitive-host-path",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.FILESYSTEM_CHANGE,),
    group="volumes",
    looks_at=PODS,
    fields=("hostPath", "persistentVolumeClaim", "ephemeral", "volumeClaimTemplates"),
    uses=(PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME),
    controls=_CONTROLS,
    parameters=(ALLOWED,),
    implies={Place.VOLUME: ("restricted-volume-type",)},
)
def sensitive_host_path(pod: PodSpec, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A pod mounts a sensitive path of the node.

    The node's configuration, credentials, devices, processes and program files lead to the node, and often to
    the cluster. Judged is the source: `/etc` at `/mnt/etc` is still `/etc`, and so are `//etc/.` and
    `/proc/1/root/etc`. A path that contains a sensitive one counts as that one. A single file that tells no more than
    any image does (`/etc/localtime`, `/etc/machine-id`) is left to host-path-mount where no container may write to
    it. A hostPath or local
    PersistentVolume behind the pod's claim counts as well: bound, kept for it by its claimRef, or the smallest free
    one of its class that it fits; claims of generic ephemeral volumes and of a StatefulSet's templates too.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            volumeMounts: [{name: etc, mountPath: /mnt/etc}]
          volumes: [{name: etc, hostPath: {path: /etc}}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            volumeMounts: [{name: config, mountPath: /mnt/config}]
          volumes: [{name: config, configMap: {name: web}}]

    Fix: Give the pod what it needs as a ConfigMap, Secret, projected or CSI volume instead of the node's files.

    Sources: Kubernetes Pod Security Standards, baseline, HostPath Volumes.
    """
    mounts, allowed = _Mounts(pod), AllowedPaths(pod, params)
    for name, place, path in _host_paths(pod):
        where, found = normalise(path), mounts.danger(name, path)
        if found is not None and not allowed.let(name, where):
            yield Hit(
                place,
                f'volume "{name}" exposes host path {clip(path)} {mounts.of(name)}'
                + ("" if found.relation == "is" else f" ({found.relation} {found.place})"),
                where,
                found.severity,
            )
    yield from _claimed(pod, world, allowed, mounts)


def _claimed(pod: PodSpec, world: World, allowed: AllowedPaths, mounts: _Mounts) -> Iterator[Hit | Skip]:
    for claim in claims_of(pod):
        for kind in (PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME):
            if reason := world.incomplete(kind):
                yield Skip(f"the volume behind claim {claim.title} needs all {kind.plural}: {reason}")
                return
        for persistent in volumes_of(claim, pod, world):
            _, path = node_path(persistent)
            found = mounts.danger(claim.volume, path) if path else None
            if found is not None and not allowed.let(claim.volume, normalise(path)):
                yield Hit(
                    claim.path,
                    f"claim {claim.title} means PersistentVolume {persistent.name}, "
                    f"which exposes host path {clip(path)}",
                    normalise(path),
                    found.severity,
                )


@check(
    "host-path-mount",
    severity=Severity.MEDIUM,
    iocs=(IoC.FILESYSTEM_CHANGE,),
    group="volumes",
    looks_at=PODS,
    fields=("hostPath",),
    controls=_CONTROLS,
    parameters=(
        ALLOWED,
        Parameter(
            "readOnlyRequired",
            {"type": "boolean"},
            "an allowed path must be mounted read-only",
            default=False,
        ),
    ),
    implies={Place.VOLUME: ("restricted-volume-type",)},
)
def host_path_mount(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A pod mounts a path of the node.

    It ties the pod to one node, lets it read and often write files that other pods and the node share, and
    outlives it. Paths that are sensitive in themselves are reported as sensitive-host-path instead.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
          volumes: [{name: data, hostPath: {path: /data/web}}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
          volumes: [{name: data, emptyDir: {}}]

    Fix: Use a PersistentVolumeClaim, or an emptyDir for data that may go with the pod.

    Sources: Kubernetes Pod Security Standards, baseline, HostPath Volumes.
    """
    mounts, allowed = _Mounts(pod), AllowedPaths(pod, params)
    for name, place, path in _host_paths(pod):
        where = normalise(path)
        if allowed.cover(where):
            if not allowed.let(name, where):
                yield Hit(place, f'volume "{name}" mounts host path {clip(path)} writable', where)
        elif mounts.danger(name, path) is None:
            yield Hit(place, f'volume "{name}" exposes host path {clip(path)} {mounts.of(name)}', where)


@check(
    "writable-host-path",
    severity=Severity.HIGH,
    iocs=(IoC.FILESYSTEM_CHANGE,),
    group="volumes",
    looks_at=PODS,
    fields=("hostPath",),
    controls=_CONTROLS,
)
def writable_host_path(pod: PodSpec) -> Iterator[Hit]:
    """A container can write to a path of the node.

    What it writes there stays when the pod is gone and can change what the node and other pods run.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            volumeMounts: [{name: data, mountPath: /data}]
          volumes: [{name: data, hostPath: {path: /data/web}}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
          volumes: [{name: data, hostPath: {path: /data/web}}]

    Fix: Mount it with `readOnly: true` (and `recursiveReadOnly: Enabled`), or use another kind of volume.

    Sources: Kubernetes documentation, Volumes, hostPath.
    """
    sources = {name: path for name, _, path in _host_paths(pod)}
    sockets = {name for name, path in sources.items() if is_socket(path)}
    for container in pod.containers:
        for index, mount in enumerate(container.volume_mounts):
            name = text(mount.get("name"))
            if name in sources and mount.get("readOnly") is not True:
                target = text(mount.get("mountPath"))
                # Anyone who connects to a socket is not held by a read-only mount, so repairs nothing.
                socket = name in sockets
                yield container.hit(
                    f"volumeMounts{paths.key(name)}",
                    f"mounts host path {clip(sources[name])} writable at {clip(target)}",
                    f"{normalise(sources[name])} at {target}",
                    repair=None if socket else put(True, f"{container.path}.volumeMounts[{index}].readOnly"),
                )


@check(
    "runtime-socket-mount",
    severity=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.CLUSTER_ADMIN, IoC.FILESYSTEM_CHANGE),
    group="volumes",
    looks_at=PODS,
    fields=("hostPath",),
    controls=_CONTROLS,
    implies={
        Place.VOLUME: (
            "cloud-credentials-mount",
            "host-path-mount",
            "restricted-volume-type",
            "sensitive-host-path",
            "writable-host-path",
        )
    },
)
def runtime_socket_mount(pod: PodSpec) -> Iterator[Hit]:
    """A pod mounts the socket of the container runtime or of the node's own services.

    Anyone who can talk to it starts privileged containers on the node, past every admission check, or has systemd
    run a command as root (over its own socket or D-Bus); a read-only mount does not keep anybody from connecting. A
    folder that holds the socket counts as the socket.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: builder, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/builder:1.4"}]
          volumes: [{name: docker, hostPath: {path: /var/run/docker.sock}}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: builder, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/builder:1.4"}]
          volumes: [{name: work, emptyDir: {}}]

    Fix: Build images with a daemonless builder in the container, and read container facts from the API.

    Sources: Microsoft threat matrix for Kubernetes, MS-TA9013; CIS Kubernetes Benchmark 1.12, 5.2.11.
    """
    for name, place, path in _host_paths(pod):
        socket = control_socket(path)
        if socket is not None:
            what = "container runtime's socket" if is_runtime(socket) else "control socket"
            where = f"the {what} {clip(path)}"
            if normalise(path) != socket:
                where = f"host path {clip(path)}, which holds the {what} {socket}"
            yield Hit(place, f'volume "{name}" exposes {where}', normalise(path))
