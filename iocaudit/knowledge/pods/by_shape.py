"""Pods and whole objects inside an object of a kind that no check knows, found by their shape.

A map is taken for the spec of a pod where its ``containers`` is a non-empty list of maps that all have a name and an
image, neither of them a gap in a template; the pod has the metadata beside that spec. A map that says apiVersion and
kind and has metadata is a whole object: of an OpenShift Template, of a ManifestWork and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.kinds.unknown import COMPOSITIONS, holds_patterns
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, mapping
from iocaudit.knowledge.pods.composed.layers import item_path
from iocaudit.knowledge.pods.pod import PodSpec

_LISTS = ("initContainers", "containers", "ephemeralContainers")
_GAP = re.compile(r"\{\{|\$[({]|<[A-Za-z_ -]+>|\(\(")
"""What a template leaves open: of Go, of OpenShift and Tekton, of people, of spruce."""
_MOST_DEPTH = 200


class ShapeContents(NamedTuple):
    """What an object holds. Paths are those of hits; ``objects`` has the places of whole objects, by position.

    ``unjudged`` are the lists of containers that are not in a pod that counts.
    """

    pods: list[tuple[Json, str, Json, str]]
    """Each the spec of a pod and its path, the metadata beside it and their path."""
    objects: list[tuple[Json, str]]
    unjudged: list[str]


def may_hold_pods(group: str, kind: str, text: str) -> bool:
    """Whether it is worth a look into an object of that kind which is written so: a cheap test in advance."""
    return not holds_patterns(group, kind) and ("ontainers" in text or text.count("apiVersion") > 1)


def search(raw: Json, group: str, kind: str) -> ShapeContents:
    """What an object of a kind that no check knows holds."""
    found = ShapeContents([], [], [])
    if not holds_patterns(group, kind):
        _walk(raw, "", "", {}, found, _MOST_DEPTH)
        if group in COMPOSITIONS:
            unjudged = [f"{path}.containers" for _, path, *_ in found.pods] + found.unjudged
            unjudged += [path for inner, path in found.objects if _holds_containers(inner)]
            return ShapeContents([], [], unjudged)
    return found


def _walk(value: Json, path: str, plain: str, beside: Json, found: ShapeContents, left: int) -> None:
    """Look into a map. ``path`` names list items by name, ``plain`` by position; ``beside`` is the map it stands in."""
    if left < 0:
        return
    is_pod = _is_pod(value)
    if is_pod:
        # Metadata of the whole object are not those of what is made of it.
        metadata = beside.get("metadata") if path.count(".") and path.endswith(".spec") else None
        at = f"{path.removesuffix('.spec')}.metadata"
        found.pods.append((value, path, metadata if isinstance(metadata, dict) else {}, at))
    for name, inner in value.items():
        if not isinstance(inner, dict | list) or not isinstance(name, str):
            continue
        here, there = paths.field(path, name), paths.field(plain, name)
        if name in _LISTS and _has_container(inner):
            if not is_pod:
                found.unjudged.append(here)
            continue
        if isinstance(inner, dict):
            _enter(inner, here, there, value, found, left - 1)
            continue
        for index, item in enumerate(inner):
            if isinstance(item, dict):
                _enter(item, item_path(here, item, index), f"{there}[{index}]", {}, found, left - 1)


def _enter(value: Json, path: str, plain: str, beside: Json, found: ShapeContents, left: int) -> None:
    if is_whole(value):
        found.objects.append((value, plain))
    else:
        _walk(value, path, plain, beside, found, left)


def is_whole(value: Json) -> bool:
    """Whether a map is an object of its own, and not a mere reference to one."""
    version, kind = value.get("apiVersion"), value.get("kind")
    return isinstance(version, str) and isinstance(kind, str) and isinstance(value.get("metadata"), dict)


def _is_pod(value: Json) -> bool:
    containers = value.get("containers")
    return isinstance(containers, list) and bool(containers) and all(map(_is_complete, containers))


def _is_complete(container: Any) -> bool:
    if not isinstance(container, dict):
        return False
    given = (container.get("name"), container.get("image"))
    return all(isinstance(one, str) and one and not _GAP.search(one) for one in given)


def _has_container(value: Any) -> bool:
    """Whether a list of this name really holds containers, be they ever so incomplete."""
    return isinstance(value, list) and any(isinstance(one, dict) and ("image" in one or "name" in one) for one in value)


def _holds_containers(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            (name in _LISTS and _has_container(inner)) or _holds_containers(inner) for name, inner in value.items()
        )
    return isinstance(value, list) and any(map(_holds_containers, value))


def shaped_pods(resource: Resource, value: Json, _path: str) -> Iterator[PodSpec]:
    """The pods of an object by their shape."""
    for spec, path, metadata, metadata_path in search(value, resource.group, resource.kind_name).pods:
        pod = PodSpec(resource, spec, path, mapping(metadata), metadata_path)
        for name in _LISTS:
            pod.add_list(name)
        yield pod


def stands(raw: Json, path: str) -> bool:
    """Whether there is something at the path of a hit, and no gap in a template.

    What an object of an unknown kind leaves out its controller may add, so only what stands there counts.
    """
    value = value_at(raw, path)
    return value is not None and not _is_gap(value)


def is_gap_at(raw: Json, path: str) -> bool:
    """Whether what stands at the path of a hit is left open by a template."""
    return _is_gap(value_at(raw, path))


def _is_gap(value: Any) -> bool:
    return isinstance(value, str) and _GAP.search(value) is not None


def value_at(value: Any, path: str) -> Any:
    """What stands at the path of a hit; None where nothing does."""
    try:
        segments = paths.parse(path)
    except PathSyntaxError:
        return None
    for segment in segments:
        if isinstance(value, list):
            if isinstance(segment, int):
                value = value[segment] if segment < len(value) else None
            else:
                name = segment.text if isinstance(segment, paths.KeySegment) else segment.name
                value = next((one for one in value if isinstance(one, dict) and one.get("name") == name), None)
        elif isinstance(segment, int) or not isinstance(value, dict):
            return None
        else:
            value = value.get(segment.name if isinstance(segment, paths.Field) else segment.text)
    return value
