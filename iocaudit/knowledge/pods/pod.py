"""A pod as checks see it: every container of every list, with the defaults of its pod."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.hit import Hit
from iocaudit.core.place import AffectedParts
from iocaudit.core.repair import Repair
from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.core.shape import mapping, mappings, text
from iocaudit.knowledge.image import ImagePatterns, ImageReference
from iocaudit.knowledge.pods.composed.layers import real

DEFAULTS_OF_CONTAINERS = frozenset(
    {"appArmorProfile", "runAsGroup", "runAsNonRoot", "runAsUser", "seLinuxOptions", "seccompProfile", "windowsOptions"}
)
"""What a pod's securityContext says for its containers, none of it for the pod itself."""
_TITLES = {"initContainers": "init container", "ephemeralContainers": "ephemeral container"}


class MistypedPart(NamedTuple):
    """A part of a pod whose type is not what the API says, so it could not be audited."""

    path: str
    expected: str


class Container:
    """A container of any list, seen with its pod's defaults.

    ``security_context`` is its own; ``effective(field)`` falls back on the pod's, as the kubelet does for the
    fields that exist on both levels. ``volume_mounts`` are the maps in the list of that name.
    """

    __slots__ = (
        "_within",
        "image_text",
        "list_name",
        "name",
        "path",
        "pod",
        "raw",
        "security_context",
        "volume_mounts",
    )

    def __init__(self, pod: PodSpec, raw: dict[str, Any], list_name: str, path: str) -> None:
        self.pod = pod
        self.raw = raw
        self.list_name = list_name
        self.path = path
        self.name = text(raw.get("name"))
        self.image_text = text(raw.get("image"))
        context = raw.get("securityContext")
        self.security_context: Mapping[str, Any] = context if isinstance(context, dict) else {}
        self.volume_mounts = mappings(raw.get("volumeMounts"))
        self._within: AffectedParts | None = None

    @property
    def title(self) -> str:
        """``container "app"``, ``init container "wait"``, ``ephemeral container "debug"``."""
        noun = _TITLES.get(self.list_name, "container")
        return f'{noun} "{self.name}"' if self.name else f"{noun} at {self.path}"

    @property
    def is_init(self) -> bool:
        return self.list_name == "initContainers"

    @property
    def is_ephemeral(self) -> bool:
        return self.list_name == "ephemeralContainers"

    @property
    def image(self) -> ImageReference | None:
        """The image as the runtime would resolve it; None where there is none or it is not a valid reference."""
        return ImageReference.parse_or_none(self.image_text)

    def effective(self, field: str) -> Any:
        """The container's own securityContext field, else the pod's; an explicit null counts as absent."""
        own = self.security_context.get(field)
        return own if own is not None else self.pod.security_context.get(field)

    def effective_path(self, field: str) -> str:
        """Where ``effective(field)`` was read, or would have to be set."""
        if self.security_context.get(field) is None and self.pod.security_context.get(field) is not None:
            return f"{self.pod.path}.securityContext.{field}"
        return f"{self.path}.securityContext.{field}"

    def hit(
        self,
        field: str,
        message: str,
        evidence: object = "",
        *,
        severity: Severity | None = None,
        fix: str | None = None,
        repair: Repair | None = None,
    ) -> Hit:
        """A hit at ``field`` below this container; the message is prefixed with the container's title."""
        path = f"{self.path}.{field}" if field else self.path
        within = None if field.startswith("volumeMounts") else self.within
        return Hit(path, f"{self.title} {message}", str(evidence), severity, None, fix, repair, None, within)

    @property
    def within(self) -> AffectedParts:
        """What a hit is about that is about this container alone."""
        found = self._within
        if found is None:
            found = self._within = AffectedParts(self.pod.path, (self.path,))
        return found


class PodSpec:
    """A pod, wherever it stands: ``spec`` at ``path`` of ``resource``, with the metadata it will carry.

    ``volumes`` are the maps in the list of that name. Where a controller puts the pod together from several parts of
    the object, ``spec`` is what comes out, and ``moved`` tells where its parts really stand (``composed.layers``).
    ``refused`` says why that was not done, if it was not: such a pod is empty, and what would run is not known.
    """

    __slots__ = (
        "_fields",
        "annotations",
        "containers",
        "labels",
        "metadata_path",
        "moved",
        "path",
        "problems",
        "refused",
        "resource",
        "security_context",
        "spec",
        "volumes",
    )

    def __init__(
        self,
        resource: Resource,
        spec: dict[str, Any],
        path: str,
        metadata: Mapping[str, Any],
        metadata_path: str,
        moved: dict[str, str] | None = None,
    ) -> None:
        self.resource = resource
        self.moved = moved
        self.spec = spec
        self.path = path
        self.metadata_path = metadata_path
        self.labels: Mapping[str, Any] = mapping(metadata.get("labels"))
        self.annotations: Mapping[str, Any] = mapping(metadata.get("annotations"))
        self.problems: list[MistypedPart] = []
        self.refused = ""
        context = spec.get("securityContext")
        self.security_context: Mapping[str, Any] = context if isinstance(context, dict) else {}
        if context is not None and not isinstance(context, dict):
            self.problems.append(MistypedPart(f"{path}.securityContext", "a map"))
        self.volumes = mappings(spec.get("volumes"))
        if not isinstance(spec.get("volumes", []) or [], list):
            self.problems.append(MistypedPart(f"{path}.volumes", "a list"))
        self.containers: list[Container] = []
        self._fields: set[str] | None = None

    @property
    def fields(self) -> set[str]:
        """The names of the fields that are set in the spec, its containers, its volumes and every securityContext.

        ``annotations`` is among them where the pod has any, ``volumeClaimTemplates`` where its object has them. A field
        set to null counts as set.
        """
        found = self._fields
        if found is None:
            found = self._fields = set(self.spec)
            found.update(self.security_context)
            for container in self.containers:
                found.update(container.raw)
                found.update(container.security_context)
            for volume in self.volumes:
                found.update(volume)
            if self.annotations:
                found.add("annotations")
            if "volumeClaimTemplates" in mapping(self.resource.raw.get("spec")):
                found.add("volumeClaimTemplates")
        return found

    def add_list(self, name: str) -> None:
        """Visit the container list ``name`` of the spec."""
        raw = self.spec.get(name)
        if raw is None:
            return
        if not isinstance(raw, list):
            self.problems.append(MistypedPart(f"{self.path}.{name}", "a list of containers"))
            return
        for index, item in enumerate(raw):
            if not isinstance(item, dict):
                self.problems.append(MistypedPart(f"{self.path}.{name}[{index}]", "a container"))
                continue
            label = item.get("name")
            place = paths.key(label) if isinstance(label, str) and label else f"[{index}]"
            self.add(item, name, f"{self.path}.{name}{place}")

    def add(self, raw: dict[str, Any], list_name: str, path: str) -> None:
        container = Container(self, raw, list_name, path)
        self.containers.append(container)
        context = raw.get("securityContext")
        if context is not None and not isinstance(context, dict):
            self.problems.append(MistypedPart(f"{path}.securityContext", "a map"))
        mounts = raw.get("volumeMounts")
        if mounts is not None and not isinstance(mounts, list):
            self.problems.append(MistypedPart(f"{path}.volumeMounts", "a list"))

    def take_volume(self, volume: dict[str, Any], at: str) -> None:
        """Add a volume that stands elsewhere in the object, at ``at``."""
        if self.moved is None:
            self.moved = {}
        self.moved[self.volume_path(volume, len(self.volumes))] = at
        if self.spec.get("volumes") is not self.volumes:
            self.spec["volumes"] = self.volumes = list(self.volumes)
        self.volumes.append(volume)
        self._fields = None

    def settled(self, hit: Hit) -> Hit:
        """The hit at the place where what it is about really stands. What stands in a text cannot be repaired."""
        moved = self.moved
        if not moved:
            return hit
        path, repair = real(hit.path, moved), hit.repair
        if repair is not None:
            edits = tuple(edit._replace(path=real(edit.path, moved)) if edit.path else edit for edit in repair.edits)
            touched = [path, *(edit.path for edit in edits)]
            repair = None if any(_in_text(one, moved) for one in touched) else repair._replace(edits=edits)
        return hit._replace(path=path, at=real(hit.at, moved) if hit.at else None, repair=repair)

    def without(self, exempt: ImagePatterns) -> PodSpec:
        """The same pod as if the containers of these images, and defaults made for them alone, were not in it."""
        left = [c for c in self.containers if (image := c.image) is None or not exempt.cover(image)]
        if len(left) == len(self.containers):
            return self
        pod = copy(self)
        pod.containers = left
        if not left:
            context = self.security_context
            pod.security_context = {field: context[field] for field in context if field not in DEFAULTS_OF_CONTAINERS}
        return pod

    @property
    def namespace(self) -> str | None:
        return self.resource.namespace

    def volume_path(self, volume: Mapping[str, Any], index: int) -> str:
        """The path of a volume of ``volumes``: by name, else by position."""
        name = text(volume.get("name"))
        return f"{self.path}.volumes{paths.key(name) if name else f'[{index}]'}"

    @property
    def is_windows(self) -> bool:
        return mapping(self.spec.get("os")).get("name") == "windows"

    @property
    def host_network(self) -> bool:
        return self.spec.get("hostNetwork") is True

    @property
    def service_account(self) -> str:
        """The ServiceAccount it runs as; ``default`` where nothing is said."""
        return text(self.spec.get("serviceAccountName")) or text(self.spec.get("serviceAccount")) or "default"

    def hit(
        self,
        field: str,
        message: str,
        evidence: object = "",
        *,
        severity: Severity | None = None,
        fix: str | None = None,
        repair: Repair | None = None,
    ) -> Hit:
        """A hit at ``field`` below the pod's spec."""
        path = f"{self.path}.{field}" if field else self.path
        return Hit(path, message, str(evidence), severity, None, fix, repair)


def _in_text(path: str, moved: Mapping[str, str]) -> bool:
    """Whether a path leads into a text, which ``moved`` says to stand where it stands."""
    return any(
        path[end] == "." and (head := path[:end]) in moved and moved[head] == head for end in range(1, len(path))
    )
