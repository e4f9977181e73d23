"""What a request for a role or a binding completes: the bindings whose role it fills, and the grants to run pods that
lead to a ServiceAccount which holds the cluster only now.

So the order in which a grant is put together decides nothing: whatever comes last is judged as the whole would be.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.kinds import CLUSTER_ROLE, ROLE
from iocaudit.core.overlay import overlaid
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.knowledge.completed import CompletedObject
from iocaudit.knowledge.rbac.bindings import Binding, bindings_in, resolve
from iocaudit.knowledge.rbac.defaults import covered, default_role
from iocaudit.knowledge.rbac.escalation import way_by_accounts
from iocaudit.knowledge.rbac.graph import graph_of, identity
from iocaudit.knowledge.rbac.power import Power
from iocaudit.knowledge.rbac.powers import ESCALATE, IMPERSONATE, OVER_IDENTITIES, TOKENS, may_lead_on, powers_of
from iocaudit.knowledge.rbac.privileged import privileged_account
from iocaudit.knowledge.rbac.roles import containing, effective_rules
from iocaudit.knowledge.rbac.rules import RBAC_GROUP, PolicyRule, is_everything, rules_of
from iocaudit.knowledge.rbac.subjects import ACCOUNTS_OF, EVERYBODY, Subject


def completed_by_role(role: Resource, before: World, after: World) -> Iterator[CompletedObject]:
    """The bindings that give more by a role which is created or changed, be it through what aggregates it.

    What is added to a role that had rules is looked at alone: thousands may be bound to one of hundreds of rules.
    """
    given: list[Binding] = []
    leading: list[str] = []
    seen: set[Resource] = set()
    for whole in containing(role, after):
        gained = _gained(whole, before, after)
        leads_on = any(map(may_lead_on, gained.rules))
        if leads_on:
            leading.append(whole.name)
        bindings = graph_of(after).bound_to(whole, after) if gained.rules else []
        if not bindings:
            continue
        if leads_on:
            given += bindings
        alone = overlaid(after, whole, _holding(whole, gained.rules)) if gained.had else None
        together = alone is None or gained.makes_everything or _pays_in(gained, bindings)
        for binding in bindings:
            if binding.resource in seen or not (gained.is_power or _names_everyone(binding)):
                continue
            seen.add(binding.resource)
            if alone is not None:
                yield CompletedObject(binding.resource, None, alone)
            if together:
                yield CompletedObject(binding.resource, before, after)
    for grant in _naming(leading, ESCALATE, after):
        if grant not in seen and grant is not role:
            seen.add(grant)
            yield CompletedObject(grant, before, after)
    yield from _led_to(given, before, after, role, seen)


def completed_by_binding(resource: Resource, before: World, after: World) -> Iterator[CompletedObject]:
    """The grants to run pods that lead to a ServiceAccount which is powerful only by a binding that comes now."""
    yield from _led_to(bindings_in(resource, after), before, after, resource, {resource})


class _GainedRules(NamedTuple):
    """The ``rules`` that a role has and had not, nor others that allow as much.

    ``is_power``: some of them matter no matter who is bound. Without, they matter only where everybody is.
    ``makes_everything``: with those that it had it gives every right, and without them it did not.
    """

    rules: tuple[PolicyRule, ...]
    had: tuple[PolicyRule, ...]
    is_power: bool
    makes_everything: bool


def _gained(role: Resource, before: World, after: World) -> _GainedRules:
    had, now = _rules_in(role, before), _rules_in(role, after)
    known = frozenset(had)
    new = tuple(rule for rule in now if rule not in known and (rule.is_huge or not covered(rule, had)))
    is_power = any(powers_of(rule, clusterwide=True) for rule in new)
    return _GainedRules(new, had, is_power, is_everything(now) and not is_everything(had))


def _pays_in(gained: _GainedRules, bindings: Iterable[Binding]) -> bool:
    """Whether a new right over identities may lead to one that holds the cluster by what the role had."""
    if not _over_identities(gained.rules) or not any(map(may_lead_on, gained.had)):
        return False
    masks = all(any(IMPERSONATE in powers_of(one, clusterwide=True) for one in rules) for rules in gained[:2])
    return masks or any(named.subject.kind != "User" for binding in bindings for named in binding.named)


def _rules_in(role: Resource, world: World) -> tuple[PolicyRule, ...]:
    assert role.kind is not None, "only roles have rules"
    namespace = world.namespace_of(role)
    found = world.get(role.kind, namespace, role.name) or default_role(role.kind_name, namespace, role.name)
    return effective_rules(found, world, found) if found is not None else ()


def _holding(role: Resource, rules: Iterable[PolicyRule]) -> Resource:
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
) -> Iterator[CompletedObject]:
    """What reaches someone who gets to cluster-admin only now: in their namespaces, or by their names; in turn."""
    waiting = deque(given)
    done: set[str] = set()
    while waiting:
        binding = waiting.popleft()
        for subject in _subjects(binding, after):
            if subject.text in done:
                continue
            done.add(subject.text)
            by_name = list(_naming((subject.name,), None, after))
            spaces = _spaces(subject, after)
            if not (by_name or spaces) or not way_by_accounts(subject, after, cause):
                continue
            if way_by_accounts(subject, before, cause):
                continue
            for grant in (*by_name, *_in_their_namespaces(spaces, before, after, cause, done)):
                if grant not in seen:
                    seen.add(grant)
                    yield CompletedObject(grant, before, after)
                waiting.extend(bindings_in(grant, after))


def _subjects(binding: Binding, world: World) -> Iterator[Subject]:
    return (identity(named.subject, binding, world.default_namespace) for named in binding.named)


def _in_their_namespaces(
    spaces: Iterable[str], before: World, after: World, cause: Resource, done: set[str]
) -> Iterator[Resource]:
    """The grants over the identities of namespaces in which nobody got to cluster-admin before."""
    for namespace in spaces:
        if f"namespace {namespace}" in done or privileged_account(namespace, before, cause).account is not None:
            continue
        done.add(f"namespace {namespace}")
        yield from (role for role in after.of(ROLE, namespace) if _over_identities(rules_of(role)))
        for binding in graph_of(after).inside(namespace):
            if _over_identities(resolve(binding, after).rules):
                yield binding.resource


def _spaces(subject: Subject, world: World) -> list[str]:
    """The namespaces whose ServiceAccounts a subject is, or are among it."""
    if subject.kind == "ServiceAccount":
        return [subject.namespace]
    if subject.text.startswith(ACCOUNTS_OF):
        return [subject.text.removeprefix(ACCOUNTS_OF)]
    if subject.text not in EVERYBODY:
        return []
    spaces = {one.namespace for one in graph_of(world).bindings if one.namespace is not None}
    return sorted(spaces | {world.namespace_of(role) or "" for role in world.all(ROLE)})


def _naming(names: Iterable[str], power: Power | None, world: World) -> Iterator[Resource]:
    """The roles by which someone may bind or be what has one of the names, and the bindings of these."""

    def build() -> dict[str, list[tuple[Power, Resource]]]:
        found: dict[str, list[tuple[Power, Resource]]] = {}
        for kind in (CLUSTER_ROLE, ROLE):
            for role in world.every(kind):
                for rule in rules_of(role):
                    if not rule.names or rule.verbs.isdisjoint(_VERBS_BY_NAME):
                        continue
                    for one in _BY_NAME.intersection(powers_of(rule, clusterwide=kind is CLUSTER_ROLE)):
                        for name in rule.names:
                            found.setdefault(name, []).append((one, role))
        return found

    index = world.memo("rbac-named", (CLUSTER_ROLE, ROLE), build)
    for name in names:
        for gives, role in index.get(name, ()):
            if power in (None, gives):
                yield role
                for whole in containing(role, world):
                    yield from (binding.resource for binding in graph_of(world).bound_to(whole, world))


_BY_NAME = frozenset({ESCALATE, IMPERSONATE, TOKENS})
_VERBS_BY_NAME = frozenset({"escalate", "bind", "impersonate", "create", "*"})


def _over_identities(rules: Iterable[PolicyRule]) -> bool:
    return any(not OVER_IDENTITIES.isdisjoint(powers_of(rule, clusterwide=False)) for rule in rules)
