"""What checks may look up of other objects' pods: little, so that a world of ten thousand pods stays small."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from iocaudit.core.kinds import Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, mapping

_METADATA = ("name", "generateName", "namespace", "uid", "resourceVersion", "deletionTimestamp")
_LONGEST_SHARED = 4096
_SPEC = ("serviceAccountName", "serviceAccount", "automountServiceAccountToken", "hostNetwork", "nodeName")


def slim(raw: Json, kind: Kind) -> Resource:
    """An object of a live cluster's world, without what no check looks up and what takes most of its room."""
    metadata = {key: value for key, value in mapping(raw.get("metadata")).items() if key != "managedFields"}
    whole = Resource({**raw, "metadata": metadata}, CLUSTER, kind=kind)
    return outline(whole) if kind.pods else whole


def outline(resource: Resource) -> Resource:
    """An object that holds pods, cut down to its identity and to each pod's labels, ServiceAccount and network.

    A check that needs pods sees these fields of them and no others; its own subject is whole.
    """
    raw: dict[str, Any] = {
        "apiVersion": resource.raw.get("apiVersion"),
        "kind": resource.raw.get("kind"),
        "metadata": _picked(resource.metadata, _METADATA) | _parted(resource.metadata, ("ownerReferences", "labels")),
    }
    status = mapping(resource.raw.get("status"))
    if "phase" in status:
        raw["status"] = _shared({"phase": status["phase"]})
    kind = resource.kind
    for place in kind.pods if kind is not None else ():
        _copy(resource.raw, raw, place.path, place.style == "template")
    return Resource(raw, resource.origin, kind=kind)


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: tuple[str, ...], is_template: bool) -> None:
    """Copy the pod at a path, cut down; a list or map of pods on the way is copied item by item."""
    head, rest = path[0], path[1:]
    value = source.get(head)
    if value is None:
        return
    target[head] = _outlined(value, rest, is_template, target.get(head))


def _outlined(value: Any, rest: tuple[str, ...], is_template: bool, before: Any) -> Any:
    if not rest:
        return _pod(value, is_template) if isinstance(value, dict) else value
    if rest[0] == "[]":
        if not isinstance(value, list):
            return value
        return [_item(item, rest[1:], is_template) for item in value]
    if not isinstance(value, dict):
        return value
    if rest[0] == "*":
        return {name: _item(item, rest[1:], is_template) for name, item in value.items()}
    inner: dict[str, Any] = before if isinstance(before, dict) else {}
    _copy(value, inner, rest, is_template)
    return inner


def _item(item: Any, rest: tuple[str, ...], is_template: bool) -> Any:
    if not isinstance(item, dict):
        return item
    inner = _outlined(item, rest, is_template, None)
    return {"name": item["name"], **inner} if isinstance(inner, dict) and "name" in item else inner


def _pod(value: Mapping[str, Any], is_template: bool) -> Any:
    if not is_template:
        return _shared(_picked(value, _SPEC))
    found: dict[str, Any] = {}
    if isinstance(value.get("metadata"), dict):
        found["metadata"] = _parted(value["metadata"], ("labels",))
    if isinstance(value.get("spec"), dict):
        found["spec"] = _shared(_picked(value["spec"], _SPEC))
    return found


def _parted(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _shared(value[name]) for name in names if name in value}


def _shared(part: Any) -> Any:
    """One copy for all that are equal: the replicas of a workload differ in little more than their names."""
    written = marshal.dumps(part, 1)  # later versions write equal values in more than one way
    return part if len(written) > _LONGEST_SHARED else _copy_of(written)


@lru_cache(maxsize=4096)
def _copy_of(written: bytes) -> Any:
    return marshal.loads(written)


def _picked(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
