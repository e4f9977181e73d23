"""Policy attachment: which policies of a kind target an object, looked up in an index made once.

Source: GEP-713 (policy attachment): ``targetRef`` and ``targetRefs`` mean objects of the policy's own namespace. Envoy
Gateway's ``targetSelectors`` may mean those of other namespaces, where a ReferenceGrant there lets them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.hit import Skip
from iocaudit.core.kinds import NAMESPACE, SERVICE, Kind
from iocaudit.core.kinds.gateway_api import (
    EXPERIMENTAL_LISTENER_SET,
    GATEWAY,
    GROUP,
    GRPC_ROUTE,
    HTTP_ROUTE,
    LISTENER_SET,
    REFERENCE_GRANT,
)
from iocaudit.core.kinds.gateways import LINKERD_SERVER
from iocaudit.core.label_selector import selects
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.verdict import OPEN, LimitProblem, absent

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

ACROSS_NAMESPACES = (NAMESPACE, REFERENCE_GRANT)
"""What decides whether a policy may select an object of another namespace."""

_Place = tuple[str, str, str]
_SelectingPolicies = list[tuple[Resource, dict[str, Any]]]
_NOTHING: Mapping[str, Sequence[Resource]] = {}


class AttachmentTarget(NamedTuple):
    """What a policy is attached to."""

    group: str
    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class _Index:
    """Policies by target and section, and by one label they select by; each list has the oldest first."""

    named: dict[AttachmentTarget, dict[str, list[Resource]]] = field(default_factory=dict)
    labelled: dict[tuple[_Place, str, str], _SelectingPolicies] = field(default_factory=dict)
    selecting: dict[_Place, _SelectingPolicies] = field(default_factory=dict)
    reaching: dict[tuple[str, str], _SelectingPolicies] = field(default_factory=dict)
    """By group and kind, those that may select in other namespaces too."""


def attached(
    policies: Kind, world: World, target: AttachmentTarget, near: Resource
) -> Mapping[str, Sequence[Resource]]:
    """The policies that name an object: by the listener or rule they are limited to, ``""`` for the whole of it.

    The oldest come first, as gateways settle conflicts. Policies that select by labels are not among them.
    """
    return _index(policies, world, near).named.get(target, _NOTHING)


def oldest_selecting(policies: Kind, world: World, target: Resource, near: Resource) -> Resource | None:
    """The oldest policy that selects an object by its labels."""
    index = _index(policies, world, near)
    if not (index.labelled or index.selecting or index.reaching):
        return None
    place = (world.namespace_of(target) or "", target.group, target.kind_name)
    labels = target.labels
    lists = [index.selecting.get(place, [])]
    lists += [
        index.labelled.get((place, label, value), []) for label, value in labels.items() if isinstance(value, str)
    ]
    firsts = [next((policy for policy, selector in one if selects(selector, labels)), None) for one in lists]
    firsts.append(
        next(
            (
                policy
                for policy, selector in index.reaching.get(place[1:], ())
                if selects(selector, labels) and _reaches(policy, selector, target, world)
            ),
            None,
        )
    )
    return min((policy for policy in firsts if policy is not None), key=age, default=None)


def unread(policies: Kind, world: World, near: Resource) -> tuple[Kind, ...]:
    """The kinds that have to be known whole for the absence of a policy to mean something."""
    return (policies, *ACROSS_NAMESPACES) if _index(policies, world, near).reaching else (policies,)


def _reaches(policy: Resource, selector: dict[str, Any], target: Resource, world: World) -> bool:
    """Whether a selector of a policy holds for the namespace of an object, which lets it where it is another one."""
    home, where = world.namespace_of(policy) or "", world.namespace_of(target) or ""
    namespaces = mapping(selector.get("namespaces"))
    match text(namespaces.get("from")):
        case "All":
            pass
        case "Selector":
            found = world.get(NAMESPACE, None, where, near=policy)
            labels = {NAME_LABEL: where, **(found.labels if found is not None else {})}
            # Unlike elsewhere, a selector that is absent matches nothing.
            if namespaces.get("selector") is None or not selects(namespaces["selector"], labels):
                return False
        case _:
            return home == where
    return home == where or any(
        _grants(grant, policy, home, target) for grant in world.of(REFERENCE_GRANT, where, near=policy)
    )


def _grants(grant: Resource, policy: Resource, home: str, target: Resource) -> bool:
    """Whether a ReferenceGrant of an object's namespace lets policies of another one refer to it."""
    return any(
        (text(one.get("group")), text(one.get("kind")), text(one.get("namespace")))
        == (policy.group, policy.kind_name, home)
        for one in mappings(lookup(grant.raw, "spec", "from"))
    ) and any(
        (text(one.get("group")), text(one.get("kind"))) == (target.group, target.kind_name)
        and text(one.get("name")) in ("", target.name)
        for one in mappings(lookup(grant.raw, "spec", "to"))
    )


def _index(policies: Kind, world: World, near: Resource) -> _Index:
    return world.memo(("attached", policies), (policies,), lambda: _build(policies, world, near), near=near)


def _build(policies: Kind, world: World, near: Resource) -> _Index:
    index = _Index()
    for policy in sorted(world.all(policies, near=near), key=age):
        namespace = world.namespace_of(policy) or ""
        for ref in targets(policy):
            key = AttachmentTarget(text(ref.get("group")), text(ref.get("kind")), namespace, text(ref.get("name")))
            index.named.setdefault(key, {}).setdefault(text(ref.get("sectionName")), []).append(policy)
        for selector in mappings(lookup(policy.raw, "spec", "targetSelectors")):
            place = (namespace, text(selector.get("group")) or GROUP, text(selector.get("kind")))
            if text(lookup(selector, "namespaces", "from")) not in ("", "Same"):
                index.reaching.setdefault(place[1:], []).append((policy, selector))
                continue
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


def dangling(policy: Resource, world: World, *, numbered: bool = False) -> Iterator[LimitProblem | Skip]:
    """The targets that are not there. A target of a kind that is not known here is left alone.

    ``numbered``: a rule of a route may also be meant by its place (``rule-1``).
    """
    namespace = world.namespace_of(policy) or ""
    for ref in targets(policy):
        kind = _TARGETS.get((text(ref.get("group")), text(ref.get("kind"))))
        name, section = text(ref.get("name")), text(ref.get("sectionName"))
        found = world.get(kind, namespace, name, near=policy) if kind is not None else None
        if kind is None or (found is not None and section in ("", *_sections(found, numbered=numbered))):
            continue
        lacking = absent(world, kind) if found is None else OPEN
        label = f"{kind.name} {namespace}/{clip(name)}"
        if lacking.unknown:
            yield Skip(f"whether {label} is there cannot be determined: {lacking.unknown}")
            continue
        field = "targetRef" if isinstance(lookup(policy.raw, "spec", "targetRef"), dict) else "targetRefs"
        path = f"spec.{field}" + paths.key(name)
        if found is None:
            yield LimitProblem(path, f"names {label}, which is not there", f"{kind.name}/{name}")
        else:
            said = f"names section {clip(section)} of {label}, which has none of that name"
            yield LimitProblem(path, said, f"{kind.name}/{name}/{section}")
    for index, selector in enumerate(mappings(lookup(policy.raw, "spec", "targetSelectors"))):
        group = text(selector.get("group")) or GROUP
        kind = _TARGETS.get((group, text(selector.get("kind"))))
        if kind is None:
            continue
        wide = text(lookup(selector, "namespaces", "from")) not in ("", "Same")
        among = world.all(kind, near=policy) if wide else world.of(kind, namespace, near=policy)
        if any(selects(selector, one.labels) and (not wide or _reaches(policy, selector, one, world)) for one in among):
            continue
        lacking = absent(world, kind, *(ACROSS_NAMESPACES if wide else ()))
        if lacking.unknown:
            yield Skip(f"whether its selector matches any {kind.name} cannot be determined: {lacking.unknown}")
        else:
            where = (
                f"that a ReferenceGrant lets namespace {namespace} refer to" if wide else f"of namespace {namespace}"
            )
            said = f"matches no {kind.name} {where}"
            yield LimitProblem("spec.targetSelectors", said, str(index), at=f"spec.targetSelectors[{index}]")


def _sections(target: Resource, *, numbered: bool) -> list[str]:
    """The names of its listeners or rules; those of a Service are its ports."""
    spec = mapping(target.raw.get("spec"))
    found = [text(one.get("name")) for field in ("listeners", "ports") for one in mappings(spec.get(field))]
    for position, rule in enumerate(mappings(spec.get("rules")), 1):
        found += [text(rule.get("name")), *([f"rule-{position}"] if numbered else ())]
    return found
