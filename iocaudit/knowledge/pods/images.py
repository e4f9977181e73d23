"""The images behind a hit: those of the containers that get what it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from iocaudit.core import paths
from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.images_behind import NO_IMAGES, Images, ImagesBehind
from iocaudit.core.resource import Resource
from iocaudit.core.shape import items, lookup, mapping, mappings, text
from iocaudit.knowledge.image import repository_of, version_of
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import DEFAULTS_OF_CONTAINERS, Container, PodSpec

_CLAIM = re.compile(r"spec\.volumeClaimTemplates\[(\d{1,9})\]")
_SEGMENT = re.compile(r'\["[^"\\]*(?:\\.[^"\\]*)*"\]|\[\d+\]|\.?[^.\[]+', re.DOTALL)
"""A field or an item of a path: what stands between quotes is never taken apart, however long it is."""
_APART = (".volumes[", ".securityContext.", ".annotations[")
"""Where a part of a pod may be that of some of its containers."""
_OF_ONE_CONTAINER = re.compile(
    r"container\.(?:apparmor\.security\.beta|seccomp\.security\.alpha)\.kubernetes\.io/(?P<name>.+)", re.DOTALL
)
"""Annotations of a pod that speak of the container they name."""


def gained(now: ImagesBehind, before: ImagesBehind, *, exact: bool = False) -> Images:
    """The images of other repositories (``exact``: other images) that have now what a hit is about.

    As long as no container has it, it is every one near it that counts.
    """
    ours, theirs = (now.holders, before.holders) if now.holders else (now.all, before.all)
    if ours == theirs:
        return ()
    name = version_of if exact else repository_of
    known = {name(image) for image in theirs}
    return tuple(image for image in ours if name(image) not in known)


class Gains:
    """`gained`, for many hits of two objects: images that hits have in common are compared once."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, bool], tuple[ImagesBehind, ImagesBehind, Images]] = {}

    def __call__(self, now: ImagesBehind, before: ImagesBehind, *, exact: bool = False) -> Images:
        if len(now.all) <= 1 and len(before.all) <= 1:
            return gained(now, before, exact=exact)
        key = (id(now), id(before), exact)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (now, before, gained(now, before, exact=exact))  # kept, so ids stay theirs
        return known[2]


class ImageIndex:
    """Looks up the images behind many hits of one object, in a time that does not grow with its containers."""

    __slots__ = ("_containers", "_moved", "_places", "_pods", "_resource")

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._pods: list[_PodIndex] | None = None

    def at(self, path: str) -> Images:
        """The images behind a hit, as a waiver asks for them."""
        return self.behind(path).images

    def holds_as(self, other: ImageIndex, name: Callable[[str], str]) -> bool:
        """Whether every container gets what it gets in the other object, of an image of the same ``name``.

        To be told without looking at any hit: most updates leave all of that alone.
        """
        ours, theirs = pods_of(self._resource), pods_of(other._resource)
        return len(ours) == len(theirs) and all(
            len(one.containers) == len(two.containers)
            and one.moved == two.moved
            and all(_same(a, b, name) for a, b in zip(one.containers, two.containers, strict=True))
            for one, two in zip(ours, theirs, strict=True)
        )

    def behind(self, path: str) -> ImagesBehind:
        """The images behind a hit at ``path``: a container's own, or for a volume or the whole pod those that get it.

        Where nothing tells whose it is, it is everyone's. Nothing for an object that holds no pods.
        """
        pods = self._pods if self._pods is not None else self._read()
        if not pods:
            return NO_IMAGES
        for head in heads(path):
            if (found := self._containers.get(head)) is not None:
                return found
            if (here := self._places.get(head)) is not None:
                return _union(pod.behind(path[len(head) :], metadata=head != pod.pod.path) for pod in here)
        moved = [(pod, place + path[len(head) :]) for head in heads(path) for pod, place in self._moved.get(head, ())]
        if moved:
            return _union(pod.at(place) for pod, place in moved)
        if claim := _CLAIM.match(path):
            templates = items(lookup(self._resource.raw, "spec", "volumeClaimTemplates"))
            number = int(claim[1])
            name = text(lookup(templates[number], "metadata", "name")) if number < len(templates) else ""
            return _union(pod.volume(name) for pod in pods)
        return _union(ImagesBehind(pod.all, pod.all) for pod in pods)

    def _read(self) -> list[_PodIndex]:
        found = [_PodIndex(pod) for pod in pods_of(self._resource)]
        self._containers: dict[str, ImagesBehind] = {}
        self._places: dict[str, list[_PodIndex]] = {}
        self._moved: dict[str, list[tuple[_PodIndex, str]]] = {}
        for index in found:
            pod = index.pod
            for path, images in index.containers.items():
                known = self._containers.get(path)
                self._containers[path] = images if known is None else _union((known, images))
            self._places.setdefault(pod.path, []).append(index)
            self._places.setdefault(pod.metadata_path, []).append(index)
            for place, there in (pod.moved or {}).items():
                self._moved.setdefault(there, []).append((index, place))
        self._pods = found
        return found


class _PodIndex:
    """The images of one pod."""

    def __init__(self, pod: PodSpec) -> None:
        self.pod = pod
        self.all = tuple(dict.fromkeys(container.image_text for container in pod.containers))
        self._everyone = ImagesBehind(self.all, self.all)
        by_path: dict[str, dict[str, None]] = {}  # kinds that are not validated may repeat a name
        for container in pod.containers:
            by_path.setdefault(container.path, {})[container.image_text] = None
        self.containers = {path: ImagesBehind(own := tuple(images), own) for path, images in by_path.items()}
        self._mounts: dict[str, dict[str, None]] | None = None
        self._named: dict[str, list[Container]] | None = None
        self._kept: dict[tuple[str, ...], ImagesBehind] = {}
        """What many hits ask for, made once: it is as long as the pod has images."""

    def at(self, path: str) -> ImagesBehind:
        """Behind a hit of the pod as it is put together."""
        for head in heads(path):
            if (found := self.containers.get(head)) is not None:
                return found
            if head == self.pod.path:
                return self.behind(path[len(head) :])
        return self._everyone

    def behind(self, rest: str, *, metadata: bool = False) -> ImagesBehind:
        """Behind a hit at what follows the path of the pod, or of its metadata."""
        if not rest.startswith(_APART):
            return self._everyone
        try:
            place = paths.parse(rest.removeprefix("."))
        except PathSyntaxError:
            place = ()
        match place:
            case (paths.Field("annotations"), paths.KeySegment(key), *_) if metadata and (
                of := _OF_ONE_CONTAINER.match(key)
            ):
                return self._held(self._called(of["name"]))
            case (paths.Field("volumes"), paths.KeySegment(name), *_) if not metadata:
                return self.volume(name)
            case (paths.Field("securityContext"), paths.Field(field), *below) if (
                not metadata and field in DEFAULTS_OF_CONTAINERS
            ):
                inner = below[0].name if below and isinstance(below[0], paths.Field) else ""
                known = self._kept.get((field, inner))
                if known is None:
                    held = self._held(c for c in self.pod.containers if not overrules(c, field, inner))
                    known = self._kept[field, inner] = held
                return known
        return self._everyone

    def _called(self, name: str) -> Sequence[Container]:
        if self._named is None:
            self._named = {}
            for container in self.pod.containers:
                self._named.setdefault(container.name, []).append(container)
        return self._named.get(name, ())

    def volume(self, name: str) -> ImagesBehind:
        """Behind a hit of the volume of that name: the containers that mount it, as files or as a device."""
        known = self._kept.get((name,))
        if known is None:
            known = self._kept[(name,)] = self._mounting(name)
        return known

    def _mounting(self, name: str) -> ImagesBehind:
        if self._mounts is None:
            self._mounts = {}
            for container in self.pod.containers:
                for mount in (*container.volume_mounts, *mappings(container.raw.get("volumeDevices"))):
                    self._mounts.setdefault(text(mount.get("name")), {})[container.image_text] = None
        return ImagesBehind(tuple(self._mounts.get(name, ())), self.all)

    def _held(self, holders: Iterable[Container]) -> ImagesBehind:
        return ImagesBehind(tuple(dict.fromkeys(container.image_text for container in holders)), self.all)


def _same(one: Container, two: Container, name: Callable[[str], str]) -> bool:
    return (
        one.path == two.path
        and (one.image_text == two.image_text or name(one.image_text) == name(two.image_text))
        and one.volume_mounts == two.volume_mounts
        and one.raw.get("volumeDevices") == two.raw.get("volumeDevices")
        and one.security_context == two.security_context
    )


def overrules(container: Container, field: str, inner: str) -> bool:
    """Whether a container has its own in place of a default of its pod; windowsOptions hold field by field."""
    own = container.security_context.get(field)
    if field == "windowsOptions" and inner:
        own = mapping(own).get(inner)
    return own is not None


def heads(path: str) -> Iterator[str]:
    """The path and every path it begins with, the longest first."""
    yield path
    ends = [match.start() for match in _SEGMENT.finditer(path)]
    for end in reversed(ends[1:]):
        yield path[:end]


def _union(found: Iterable[ImagesBehind]) -> ImagesBehind:
    every = list(found)
    if len(every) == 1:
        return every[0]
    return ImagesBehind(
        tuple(dict.fromkeys(image for one in every for image in one.holders)),
        tuple(dict.fromkeys(image for one in every for image in one.all)),
    )
