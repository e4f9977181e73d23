"""Kinds of volumes beyond what a pod should need, and the node's paths offered as PersistentVolumes."""

from collections.abc import Iterator

from iocaudit.core.check import Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PERSISTENT_VOLUME, PODS
from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from iocaudit.core.place import Place
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mapping, text
from iocaudit.knowledge.claims import node_path
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.host_path import cloud_credentials, danger, is_below, normalise
from iocaudit.knowledge.pods.pod import PodSpec

_RESTRICTED = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_CONTROLS = {
    "cis-1.12": "5.2.11",
    "attack": "T1611",
    "ms": "MS-TA9013",
    "owasp": "K01",
    "nsa": "Pod security enforcement",
}


@check(
    "restricted-volume-type",
    severity=Severity.LOW,
    iocs=(IoC.FILESYSTEM_CHANGE,),
    group="volumes",
    looks_at=PODS,
    fields=("volumes",),
    profile="strict",
    controls={**_CONTROLS, "pss": "restricted/restrictedVolumes"},
    parameters=(
        string_list(
            "allowed", "types of volumes that may be used; `*` is every type", default=_RESTRICTED, exempts=True
        ),
        string_list(
            "allowedFlexVolumes",
            "drivers of flexVolumes that may be used though flexVolume is not allowed",
            exempts=True,
        ),
    ),
)
def restricted_volume_type(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A pod uses a type of volume outside the restricted list.

    The restricted types are those the cluster makes for the pod and those that someone else granted (a claim, a
    CSI driver). Others name a server, a disk or a path of the node in the pod itself, and with it whatever
    credentials the node has for it. A volume of no known type counts too.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
          volumes: [{name: data, nfs: {server: nfs.example, path: /export}}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
          volumes: [{name: data, persistentVolumeClaim: {claimName: web}}]

    Fix: Make the volume a `persistentVolumeClaim`, `configMap`, `emptyDir`, `projected` or `csi`.

    Sources: Kubernetes Pod Security Standards, restricted, Volume Types.
    """
    allowed, drivers = frozenset(params["allowed"]), params["allowedFlexVolumes"]
    if "*" in allowed:
        return
    for index, volume in enumerate(pod.volumes):
        types = sorted(key for key, value in volume.items() if key != "name" and value is not None)
        place = pod.volume_path(volume, index)
        name = clip(text(volume.get("name")))
        if not types:
            # What the API server makes of a volume that says nothing.
            types = ["emptyDir"]
        for kind in types:
            driver = text(lookup(volume, "flexVolume", "driver")) if kind == "flexVolume" else ""
            if kind in allowed or (driver and driver in drivers):
                continue
            shown = f"{clip(kind)} (driver {clip(driver)})" if driver else clip(kind)
            yield Hit(f"{place}.{kind}", f'volume "{name}" is of type {shown}, which is not allowed', driver or kind)


@check(
    "cloud-credentials-mount",
    severity=Severity.HIGH,
    iocs=(IoC.USER_ACTIVITY,),
    group="volumes",
    looks_at=PODS,
    fields=("hostPath",),
    controls={
        **_CONTROLS,
        "pss": "baseline/hostPathVolumes, restricted/restrictedVolumes",
        "attack": "T1552.001",
        "ms": "MS-TA9026",
        "owasp": "K08",
    },
    implies={Place.VOLUME: ("host-path-mount", "restricted-volume-type", "sensitive-host-path")},
)
def cloud_credentials_mount(pod: PodSpec) -> Iterator[Hit]:
    """A pod mounts the files in which a node keeps a cloud's credentials.

    With `azure.json`, a user's `.aws`, `.azure` or `.config/gcloud`, or the credentials of a kubelet's registry
    provider, anyone who is in the pod acts as the node or its administrator in the cloud, past the cluster's RBAC.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
          volumes: [{name: cloud, hostPath: {path: /root/.aws/credentials}}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          serviceAccountName: web
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Give the pod's ServiceAccount an identity in the cloud (workload identity) with the rights it needs.

    Sources: Kubescape C-0020, Mount service principal; Microsoft threat matrix for Kubernetes.
    """
    for index, volume in enumerate(pod.volumes):
        path = text(lookup(volume, "hostPath", "path"))
        found = cloud_credentials(path) if path else None
        if found is not None:
            name = clip(text(volume.get("name")))
            yield Hit(
                f"{pod.volume_path(volume, index)}.hostPath.path",
                f'volume "{name}" exposes host path {clip(path)}, where {found} keeps credentials',
                normalise(path),
            )


@check(
    "host-path-volume",
    severity=Severity.MEDIUM,
    worst=Severity.CRITICAL,
    iocs=(IoC.FILESYSTEM_CHANGE,),
    group="volumes",
    looks_at=(PERSISTENT_VOLUME,),
    controls=_CONTROLS,
    parameters=(
        string_list("allowed", "path prefixes (whole segments) that PersistentVolumes may offer", exempts=True),
    ),
)
def host_path_volume(resource: Resource, params: Params) -> Iterator[Hit]:
    """A PersistentVolume offers a path of the node.

    Every pod that may claim it gets files of the node, past checks that look at pods alone; `hostPath` does not even
    say of which node. A sensitive path has the severity that it has in a pod (`/etc` is critical), unless the volume
    is reserved, by its claimRef, for a claim in a system namespace: a claim that fits may come later, and so may the
    volume after the pod.

    Bad:

        apiVersion: v1
        kind: PersistentVolume
        metadata: {name: data}
        spec:
          capacity: {storage: 1Gi}
          accessModes: [ReadWriteOnce]
          hostPath: {path: /srv/data}

    Good:

        apiVersion: v1
        kind: PersistentVolume
        metadata: {name: data}
        spec:
          capacity: {storage: 1Gi}
          accessModes: [ReadWriteOnce]
          csi: {driver: csi.example, volumeHandle: data-1}

    Fix: Offer storage through a CSI driver; hostPath is for clusters of one node.

    Sources: Kubernetes documentation, Persistent Volumes, Types; CIS Kubernetes Benchmark 1.12, 5.2.11.
    """
    place, path = node_path(resource)
    if not path or any(is_below(normalise(path), normalise(prefix)) for prefix in params["allowed"]):
        return
    found = danger(path)
    message = f"offers host path {clip(path)}"
    if found is None:
        yield Hit(place, message, normalise(path))
        return
    holder = mapping(lookup(resource.raw, "spec", "claimRef"))
    is_systems = bool(text(holder.get("name"))) and text(holder.get("namespace")) in SYSTEM_NAMESPACES
    severity = Severity.MEDIUM if is_systems else found.severity
    why = "" if found.relation == "is" else f" ({found.relation} {found.place})"
    yield Hit(place, message + why, normalise(path), severity)
