"""Policy attachment: which policies of a kind target an object, looked up in an index made once.

Source: GEP-713 (policy attachment): ``targetRef``, ``targetRefs``, and Envoy Gateway's ``targetSelectors``; a
policy targets objects of its own namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core.kinds import Kind
from iocaudit.core.label_selector import selects
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World

_Target = tuple[str, str, str, str]
_Place = tuple[str, str, str]


class Attached(NamedTuple):
    """A policy on an object; ``section`` is the listener or rule it is limited to, empty for the whole."""

    policy: Resource
    section: str


@dataclass(slots=True)
class _Index:
    named: dict[_Target, list[Attached]] = field(default_factory=dict)
    labelled: dict[tuple[_Place, str, str], list[tuple[Resource, dict[str, Any]]]] = field(default_factory=dict)
    selecting: dict[_Place, list[tuple[Resource, dict[str, Any]]]] = field(default_factory=dict)


def attached(
    policies: Kind,
    world: World,
    group: str,
    kind: str,
    namespace: str,
    name: str,
    target: Resource | None,
    near: Resource,
) -> list[Attached]:
    """The policies on one object, the oldest first, as gateways settle conflicts; ``target`` is it, where known."""
    index = world.memo(("attached", policies), (policies,), lambda: _build(policies, world, near), near=near)
    found = list(index.named.get((namespace, group, kind, name), ()))
    if target is not None and (index.labelled or index.selecting):
        found += _selected(index, (namespace, group, kind), target)
    return sorted(found, key=lambda one: _age(one.policy)) if len(found) > 1 else found


def _selected(index: _Index, place: _Place, target: Resource) -> Iterator[Attached]:
    labels = target.labels
    candidates = list(index.selecting.get(place, ()))
    for label, value in labels.items():
        if isinstance(value, str):
            candidates += index.labelled.get((place, label, value), ())
    for policy, selector in candidates:
        if selects(selector, labels):
            yield Attached(policy, "")


def _build(policies: Kind, world: World, near: Resource) -> _Index:
    index = _Index()
    for policy in world.all(policies, near=near):
        namespace = world.namespace_of(policy) or ""
        for ref in targets(policy):
            key = (namespace, text(ref.get("group")), text(ref.get("kind")), text(ref.get("name")))
            index.named.setdefault(key, []).append(Attached(policy, text(ref.get("sectionName"))))
        for selector in mappings(lookup(policy.raw, "spec", "targetSelectors")):
            place = (namespace, text(selector.get("group")) or "gateway.networking.k8s.io", text(selector.get("kind")))
            # One of its labels is enough to find it by; selects() then looks at all of them.
            for label, value in mapping(selector.get("matchLabels")).items():
                if isinstance(value, str):
                    index.labelled.setdefault((place, label, value), []).append((policy, selector))
                    break
            else:
                index.selecting.setdefault(place, []).append((policy, selector))
    return index


def targets(policy: Resource) -> list[dict[str, Any]]:
    """The references of ``targetRef`` and ``targetRefs``."""
    one = lookup(policy.raw, "spec", "targetRef")
    return [*([one] if isinstance(one, dict) else ()), *mappings(lookup(policy.raw, "spec", "targetRefs"))]


def _age(policy: Resource) -> tuple[str, str, str]:
    return (text(policy.metadata.get("creationTimestamp")), policy.namespace or "", policy.name)
