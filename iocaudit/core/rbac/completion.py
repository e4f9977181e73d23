"""What a request for a role or a binding completes: the bindings whose role it fills, and the grants to run pods that
lead to a ServiceAccount which holds the cluster only now.

So the order in which a grant is put together decides nothing: whatever comes last is judged as the whole would be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.completed import Completed
from iocaudit.core.kinds import ROLE
from iocaudit.core.overlay import overlaid
from iocaudit.core.rbac.accounts import critical_grants, privileged_account
from iocaudit.core.rbac.bindings import ADMIN_NAMESPACE, Binding, bindings_in, resolve
from iocaudit.core.rbac.defaults import covered, default_role
from iocaudit.core.rbac.graph import Held, graph_of, identity
from iocaudit.core.rbac.powers import WORKLOADS_CREATED, critical_powers, powers_of
from iocaudit.core.rbac.roles import containing, effective_rules
from iocaudit.core.rbac.rules import RBAC_GROUP, Rule, is_everything, rules_of
from iocaudit.core.rbac.subjects import ACCOUNTS_OF, EVERYBODY
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World


def completed_by_role(role: Resource, before: World, after: World) -> Iterator[Completed]:
    """The bindings that give more by a role which is created or changed, be it through what aggregates it.

    What is added to a role that had rules is looked at alone: thousands may be bound to one of hundreds of rules.
    """
    given: list[Binding] = []
    seen: set[Resource] = set()
    for whole in containing(role, after):
        gained = _gained(whole, before, after)
        bindings = graph_of(after).bound_to(whole, after) if gained.rules else []
        if not bindings:
            continue
        if any(rule.verbs_on_everything or critical_powers(rule, None) for rule in gained.rules):
            given += bindings
        alone = overlaid(after, whole, _holding(whole, gained.rules)) if gained.had else None
        together = alone is None or gained.makes_everything or _pays_in(gained, bindings, after)
        for binding in bindings:
            if binding.resource in seen or not (gained.is_power or _names_everyone(binding)):
                continue
            seen.add(binding.resource)
            if alone is not None:
                yield Completed(binding.resource, None, alone)
            if together:
                yield Completed(binding.resource, before, after)
    yield from _led_to(given, before, after, role, seen)


def completed_by_binding(resource: Resource, before: World, after: World) -> Iterator[Completed]:
    """The grants to run pods that lead to a ServiceAccount which is powerful only by a binding that comes now."""
    yield from _led_to(bindings_in(resource, after), before, after, resource, {resource})


class _Gained(NamedTuple):
    """The ``rules`` that a role has and had not, nor others that allow as much.

    ``is_power``: some of them matter whoever is bound. Without, they matter only where everybody is.
    ``makes_everything``: with those that it had it gives every right, and without them it did not.
    """

    rules: tuple[Rule, ...]
    had: tuple[Rule, ...]
    is_power: bool
    makes_everything: bool


def _gained(role: Resource, before: World, after: World) -> _Gained:
    had, now = _rules_in(role, before), _rules_in(role, after)
    known = frozenset(had)
    new = tuple(rule for rule in now if rule not in known and (rule.is_huge or not covered(rule, had)))
    is_power = any(powers_of(rule, clusterwide=True) for rule in new)
    return _Gained(new, had, is_power, is_everything(now) and not is_everything(had))


def _pays_in(gained: _Gained, bindings: Iterable[Binding], world: World) -> bool:
    """Whether a new right to run pods may lead to a ServiceAccount that holds the cluster by what the role had."""
    return (
        _creates(gained.rules)
        and any(critical_powers(rule, None) for rule in gained.had)
        and any(
            (binding.is_clusterwide or binding.holds_in(ADMIN_NAMESPACE, world))
            and any(named.subject.kind != "User" for named in binding.named)
            for binding in bindings
        )
    )


def _rules_in(role: Resource, world: World) -> tuple[Rule, ...]:
    assert role.kind is not None, "only roles have rules"
    namespace = world.namespace_of(role)
    found = world.get(role.kind, namespace, role.name) or default_role(role.kind_name, namespace, role.name)
    return effective_rules(found, world, found) if found is not None else ()


def _holding(role: Resource, rules: Iterable[Rule]) -> Resource:
    """A role of that name with these rules alone."""
    raw = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": role.kind_name,
        "metadata": {"name": role.name, "namespace": role.namespace},
        "rules": [json.loads(rule.canonical) for rule in rules],
    }
    return Resource(raw, CLUSTER)


def _names_everyone(binding: Binding) -> bool:
    return any(named.subject.is_everyone for named in binding.named)


def _led_to(
    given: Iterable[Binding], before: World, after: World, cause: Resource, seen: set[Resource]
) -> Iterator[Completed]:
    """The Roles and bindings in the namespaces where a ServiceAccount holds the cluster only now."""
    for namespace in _with_power(given, after):
        if privileged_account(namespace, before, cause).account is not None:
            continue
        if privileged_account(namespace, after, cause).account is None:
            continue
        creators = [role for role in after.of(ROLE, namespace) if _creates(rules_of(role))]
        creators += [
            binding.resource for binding in graph_of(after).inside(namespace) if _creates(resolve(binding, after).rules)
        ]
        for creator in creators:
            if creator not in seen:
                seen.add(creator)
                yield Completed(creator, before, after)


def _with_power(given: Iterable[Binding], world: World) -> list[str]:
    """The namespaces in which some ServiceAccount holds the cluster by one of these bindings."""
    found: dict[str, None] = {}
    for binding in given:
        spaces: list[str] = []
        for named in binding.named:
            subject = identity(named.subject, binding, world.default_namespace)
            if subject.kind == "ServiceAccount":
                spaces.append(subject.namespace)
            elif subject.text.startswith(ACCOUNTS_OF):
                spaces.append(subject.text.removeprefix(ACCOUNTS_OF))
            elif subject.text in EVERYBODY:
                graph = graph_of(world)
                spaces += {one.namespace for one in graph.bindings if one.namespace is not None}
                spaces += {world.namespace_of(role) or "" for role in world.all(ROLE)}
        if spaces and critical_grants(Held(binding, resolve(binding, world), binding.named[0].subject), world):
            found.update(dict.fromkeys(sorted(spaces)))
    return list(found)


def _creates(rules: Iterable[Rule]) -> bool:
    return any(WORKLOADS_CREATED in powers_of(rule, clusterwide=False) for rule in rules)
