"""Which containers get what a hit in a pod is about, and which volume it is about."""

from __future__ import annotations

from iocaudit.core import paths
from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.place import AffectedParts
from iocaudit.core.shape import mappings, text
from iocaudit.knowledge.pods.images import heads, overrules
from iocaudit.knowledge.pods.pod import DEFAULTS_OF_CONTAINERS, PodSpec


class PodParts:
    """Looks up the parts of one pod behind many hits, in a time that does not grow with its containers."""

    __slots__ = ("_containers", "_defaults", "_mounts", "_pod")

    def __init__(self, pod: PodSpec) -> None:
        self._pod = pod
        self._containers = {container.path: container.within for container in pod.containers}
        self._mounts: dict[str, dict[str, None]] | None = None
        self._defaults: dict[tuple[str, str], tuple[str, ...]] = {}

    def behind(self, path: str) -> AffectedParts:
        """The parts behind a hit at ``path``, as it reads before the parts of the pod are put in their own places."""
        pod = self._pod.path
        for head in heads(path):
            if (container := self._containers.get(head)) is not None:
                return self._mounted(container, path[len(head) :])
            if head == pod:
                return self._shared(path[len(head) :])
        return AffectedParts(pod)

    def _mounted(self, container: AffectedParts, rest: str) -> AffectedParts:
        if rest.startswith(".volumeMounts["):
            match _parsed(rest):
                case (paths.Field("volumeMounts"), paths.KeySegment(name), *_):
                    return container._replace(volume=self._volume(name))
        return container

    def _shared(self, rest: str) -> AffectedParts:
        """Behind a hit at what follows the path of the pod."""
        pod = self._pod.path
        match _parsed(rest):
            case (paths.Field("volumes"), paths.KeySegment(name), *_):
                return AffectedParts(pod, self._mounting(name), self._volume(name))
            case (paths.Field("securityContext"), paths.Field(field), *below) if field in DEFAULTS_OF_CONTAINERS:
                inner = below[0].name if below and isinstance(below[0], paths.Field) else ""
                return AffectedParts(pod, self._inheriting(field, inner))
        return AffectedParts(pod)

    def _volume(self, name: str) -> str:
        return f"{self._pod.path}.volumes{paths.key(name)}"

    def _mounting(self, name: str) -> tuple[str, ...]:
        """The containers that mount the volume of that name, as files or as a device."""
        if self._mounts is None:
            self._mounts = {}
            for container in self._pod.containers:
                for mount in (*container.volume_mounts, *mappings(container.raw.get("volumeDevices"))):
                    self._mounts.setdefault(text(mount.get("name")), {})[container.path] = None
        return tuple(self._mounts.get(name, ()))

    def _inheriting(self, field: str, inner: str) -> tuple[str, ...]:
        """The containers for which a default of the pod holds."""
        known = self._defaults.get((field, inner))
        if known is None:
            known = tuple(c.path for c in self._pod.containers if not overrules(c, field, inner))
            self._defaults[field, inner] = known
        return known


def _parsed(rest: str) -> tuple[paths.Segment, ...]:
    try:
        return paths.parse(rest.removeprefix("."))
    except PathSyntaxError:
        return ()
