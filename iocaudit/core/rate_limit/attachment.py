"""Policy attachment: which policies of a kind target an object, looked up in an index made once.

Source: GEP-713 (policy attachment): ``targetRef``, ``targetRefs``, and Envoy Gateway's ``targetSelectors``; a
policy targets objects of its own namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.hit import Skip
from iocaudit.core.kinds import SERVICE, Kind
from iocaudit.core.kinds.gateway_api import (
    EXPERIMENTAL_LISTENER_SET,
    GATEWAY,
    GROUP,
    GRPC_ROUTE,
    HTTP_ROUTE,
    LISTENER_SET,
)
from iocaudit.core.kinds.gateways import LINKERD_SERVER
from iocaudit.core.label_selector import selects
from iocaudit.core.rate_limit.verdict import Problem, absent
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.wording import clip
from iocaudit.core.world import World

_TARGETS: dict[tuple[str, str], Kind] = {
    (kind.group, kind.name): kind
    for kind in (
        GATEWAY,
        LISTENER_SET,
        EXPERIMENTAL_LISTENER_SET,
        HTTP_ROUTE,
        GRPC_ROUTE,
        SERVICE,
        LINKERD_SERVER,
    )
}
TARGETS: tuple[Kind, ...] = tuple(_TARGETS.values())
"""The kinds that a policy may target and that we can look up."""

_Place = tuple[str, str, str]
_Selecting = list[tuple[Resource, dict[str, Any]]]
_NOTHING: Mapping[str, Sequence[Resource]] = {}


class Target(NamedTuple):
    """What a policy is attached to."""

    group: str
    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class _Index:
    """Policies by target and section, and by one label they select by; each list has the oldest first."""

    named: dict[Target, dict[str, list[Resource]]] = field(default_factory=dict)
    labelled: dict[tuple[_Place, str, str], _Selecting] = field(default_factory=dict)
    selecting: dict[_Place, _Selecting] = field(default_factory=dict)


def attached(policies: Kind, world: World, target: Target, near: Resource) -> Mapping[str, Sequence[Resource]]:
    """The policies that name an object: by the listener or rule they are limited to, ``""`` for the whole of it.

    The oldest come first, as gateways settle conflicts. Policies that select by labels are not among them.
    """
    return _index(policies, world, near).named.get(target, _NOTHING)


def oldest_selecting(policies: Kind, world: World, target: Resource, near: Resource) -> Resource | None:
    """The oldest policy that selects an object by its labels."""
    index = _index(policies, world, near)
    if not (index.labelled or index.selecting):
        return None
    kind = target.kind_name
    place = (world.namespace_of(target) or "", target.group, kind)
    labels = target.labels
    lists = [index.selecting.get(place, [])]
    lists += [
        index.labelled.get((place, label, value), []) for label, value in labels.items() if isinstance(value, str)
    ]
    firsts = (next((policy for policy, selector in one if selects(selector, labels)), None) for one in lists)
    return min((policy for policy in firsts if policy is not None), key=age, default=None)


def _index(policies: Kind, world: World, near: Resource) -> _Index:
    return world.memo(("attached", policies), (policies,), lambda: _build(policies, world, near), near=near)


def _build(policies: Kind, world: World, near: Resource) -> _Index:
    index = _Index()
    for policy in sorted(world.all(policies, near=near), key=age):
        namespace = world.namespace_of(policy) or ""
        for ref in targets(policy):
            key = Target(text(ref.get("group")), text(ref.get("kind")), namespace, text(ref.get("name")))
            index.named.setdefault(key, {}).setdefault(text(ref.get("sectionName")), []).append(policy)
        for selector in mappings(lookup(policy.raw, "spec", "targetSelectors")):
            place = (namespace, text(selector.get("group")) or GROUP, text(selector.get("kind")))
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


def age(policy: Resource) -> tuple[str, str, str]:
    """The order in which gateways let one of two policies on one object win."""
    return (text(policy.metadata.get("creationTimestamp")), policy.namespace or "", policy.name)


def dangling(policy: Resource, world: World) -> Iterator[Problem | Skip]:
    """The targets that are not there. A target of a kind that is not known here is left alone."""
    namespace = world.namespace_of(policy) or ""
    for ref in targets(policy):
        kind = _TARGETS.get((text(ref.get("group")), text(ref.get("kind"))))
        name = text(ref.get("name"))
        if kind is None or world.get(kind, namespace, name, near=policy) is not None:
            continue
        lacking = absent(world, kind)
        label = f"{kind.name} {namespace}/{clip(name)}"
        if lacking.unknown:
            yield Skip(f"whether {label} is there can't be told: {lacking.unknown}")
        else:
            field = "targetRef" if isinstance(lookup(policy.raw, "spec", "targetRef"), dict) else "targetRefs"
            yield Problem(
                f"spec.{field}" + paths.key(name), f"names {label}, which is not there", f"{kind.name}/{name}"
            )
    for index, selector in enumerate(mappings(lookup(policy.raw, "spec", "targetSelectors"))):
        group = text(selector.get("group")) or GROUP
        kind = _TARGETS.get((group, text(selector.get("kind"))))
        if kind is None or lookup(selector, "namespaces") is not None:
            continue
        if any(selects(selector, one.labels) for one in world.of(kind, namespace, near=policy)):
            continue
        lacking = absent(world, kind)
        if lacking.unknown:
            yield Skip(f"whether its selector matches any {kind.name} can't be told: {lacking.unknown}")
        else:
            said = f"matches no {kind.name} of namespace {namespace}"
            yield Problem("spec.targetSelectors", said, str(index), at=f"spec.targetSelectors[{index}]")
