"""What the verbs escalate, bind and impersonate amount to: by the place where they hold, and by the names they are
limited to.

To bind a harmless role is harmless, and nobody is impersonated by a group or a UID without a user's name. Sources:
Kubernetes, Using RBAC Authorization, privilege escalation prevention; User impersonation; the API server answers a
request for a group, UID or extra field alone with 400.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from enum import IntEnum
from typing import NamedTuple

from iocaudit.core.kinds import CLUSTER_ROLE, ROLE
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.knowledge.rbac.defaults import default_role
from iocaudit.knowledge.rbac.escalation import is_part_of, way_by_accounts
from iocaudit.knowledge.rbac.grants import acts_as_somebody
from iocaudit.knowledge.rbac.graph import graph_of
from iocaudit.knowledge.rbac.names import may_be_named
from iocaudit.knowledge.rbac.powers import ESCALATE, IMPERSONATE, TOKENS, WORKLOADS_CREATED, critical_powers, powers_of
from iocaudit.knowledge.rbac.privileged import privileged_account
from iocaudit.knowledge.rbac.roles import effective_rules
from iocaudit.knowledge.rbac.rules import RBAC_GROUP, PolicyRule, is_everything
from iocaudit.knowledge.rbac.subjects import MASTERS, Subject, subject_of

_AUTHENTICATION = "authentication.k8s.io"
_MOST_ROLES = 8
"""A role that may bind one that may bind one: a made-up chain costs no more than it is worth."""


class GrantAmount(IntEnum):
    """What a grant comes to."""

    NOTHING = 0
    """It names what there is not."""
    LITTLE = 1
    MUCH = 2
    """More than it says, short of the cluster."""
    CLUSTER = 3


class RuleScope(NamedTuple):
    """Where a rule holds: in a namespace (None: the whole cluster; empty: some namespace that is not known).

    ``own`` are the names of the roles by which its holder has it, as kind and name. ``acts`` says
    whether they may impersonate some user or ServiceAccount. What is looked up is what is nearest to ``near``.
    """

    namespace: str | None
    world: World
    near: Resource
    own: frozenset[tuple[str, str]] = frozenset()
    acts: bool = False

    @property
    def holds_the_cluster(self) -> bool:
        """Whether the holder of every ServiceAccount there is cluster-admin."""
        if self.namespace in (None, ADMIN_NAMESPACE):
            return True  # Kubernetes' own controllers
        return bool(self.namespace) and privileged_account(self.namespace, self.world, self.near).account is not None

    @property
    def whole(self) -> GrantAmount:
        """What every right there is worth."""
        return GrantAmount.CLUSTER if self.holds_the_cluster else GrantAmount.MUCH


def escalation_of(rule: PolicyRule, place: RuleScope) -> GrantAmount | None:
    """What escalate, bind and impersonate in a rule amount to; None where it has none of them."""
    return max((*_to_roles(rule, place), *_as_others(rule, place)), default=None)


def _to_roles(rule: PolicyRule, place: RuleScope) -> Iterator[GrantAmount]:
    given = powers_of(rule, clusterwide=place.namespace is None)
    if ESCALATE not in given:
        return
    for verb, named in (("escalate", _escalated), ("bind", _bound)):
        for kind, resource in (("ClusterRole", "clusterroles"), ("Role", "roles")):
            # A RoleBinding may name a ClusterRole, but never gives the right to write one.
            if rule.allows(verb, RBAC_GROUP, resource) and not (
                verb == "escalate" and kind == "ClusterRole" and place.namespace is not None
            ):
                names = _known_names(rule, resource)
                yield (
                    max((named(kind, name, place) for name in names), default=GrantAmount.NOTHING)
                    if names
                    else (place.whole)
                )


def _known_names(rule: PolicyRule, resource: str) -> list[str]:
    return sorted(name for name in rule.names if may_be_named(resource, name))


def _role(kind: str, name: str, place: RuleScope) -> Resource | None:
    if kind == "ClusterRole":
        found = place.world.get(CLUSTER_ROLE, None, name, near=place.near, whole=False)
        return found or default_role(kind, None, name)
    spaces = [place.namespace] if place.namespace else [ADMIN_NAMESPACE]
    if place.namespace is None:
        spaces += sorted({place.world.namespace_of(one) or "" for one in place.world.all(ROLE) if one.name == name})
    roles = (
        place.world.get(ROLE, space, name, near=place.near, whole=False) or default_role(kind, space, name)
        for space in spaces
    )
    return next((role for role in roles if role is not None), None)


def _unknown(name: str) -> GrantAmount:
    """What a role is worth that is nowhere: it may come to be, but ``*`` is meant for all of them."""
    return GrantAmount.NOTHING if "*" in name else GrantAmount.MUCH


def _escalated(kind: str, name: str, place: RuleScope) -> GrantAmount:
    own = {held for of, held in place.own if of == kind}
    if name in own or (kind == "ClusterRole" and own and is_part_of(name, own, place.world)):
        return place.whole
    return _unknown(name) if _role(kind, name, place) is None else GrantAmount.MUCH


def _bound(kind: str, name: str, place: RuleScope) -> GrantAmount:
    role = _role(kind, name, place)
    if role is None and (kind, name) != ("ClusterRole", "cluster-admin"):
        return _unknown(name)
    return _of_role(kind, name, place, frozenset())


def _of_role(kind: str, name: str, place: RuleScope, seen: Set[tuple[str, str]]) -> GrantAmount:
    """What it is worth to hold a role there."""
    if (kind, name) == ("ClusterRole", "cluster-admin"):
        return place.whole
    role = _role(kind, name, place)
    if role is None or (kind, name) in seen or len(seen) >= _MOST_ROLES:
        return GrantAmount.MUCH if role is None else GrantAmount.LITTLE
    rules = effective_rules(role, place.world, place.near)
    if is_everything(rules):
        return place.whole
    inside = place._replace(own=place.own | {(kind, name)}, acts=place.acts or any(map(acts_as_somebody, rules)))
    return max((_of_rule(rule, inside, {*seen, (kind, name)}) for rule in rules), default=GrantAmount.LITTLE)


def _of_rule(rule: PolicyRule, place: RuleScope, seen: Set[tuple[str, str]]) -> GrantAmount:
    given = powers_of(rule, clusterwide=place.namespace is None)
    if not given:
        return GrantAmount.LITTLE
    by_itself = critical_powers(rule, place.namespace).keys() - {ESCALATE, IMPERSONATE}
    if by_itself or ((WORKLOADS_CREATED in given or (TOKENS in given and not rule.names)) and place.holds_the_cluster):
        return GrantAmount.CLUSTER
    if IMPERSONATE in given and max(_as_others(rule, place), default=GrantAmount.NOTHING) is GrantAmount.CLUSTER:
        return GrantAmount.CLUSTER
    if (
        ESCALATE in given
        and max(_to_roles_in_turn(rule, place, seen), default=GrantAmount.NOTHING) is GrantAmount.CLUSTER
    ):
        return GrantAmount.CLUSTER
    return GrantAmount.MUCH


def _to_roles_in_turn(rule: PolicyRule, place: RuleScope, seen: Set[tuple[str, str]]) -> Iterator[GrantAmount]:
    for kind, resource in (("ClusterRole", "clusterroles"), ("Role", "roles")):
        if rule.allows("bind", RBAC_GROUP, resource):
            if not rule.names:
                yield place.whole
            yield from (_of_role(kind, name, place, seen) for name in _known_names(rule, resource))
        if rule.allows("escalate", RBAC_GROUP, resource) and (kind == "Role" or place.namespace is None):
            yield from (_escalated(kind, name, place) for name in rule.names) if rule.names else (place.whole,)


def _as_others(rule: PolicyRule, place: RuleScope) -> Iterator[GrantAmount]:
    if rule.allows("impersonate", "", "serviceaccounts"):
        names = _known_names(rule, "serviceaccounts")
        yield (
            max((_account(name, place) for name in names), default=GrantAmount.NOTHING) if rule.names else place.whole
        )
    if place.namespace is not None:
        return
    if rule.allows("impersonate", "", "users"):
        yield max((_user(name, place) for name in rule.names), default=GrantAmount.CLUSTER)
    if rule.allows("impersonate", "", "groups"):
        yield max(
            (_group(name, place) for name in rule.names),
            default=GrantAmount.CLUSTER if place.acts else GrantAmount.MUCH,
        )
    if _says_more(rule):
        yield GrantAmount.LITTLE


def _says_more(rule: PolicyRule) -> bool:
    """Whether it adds a UID or an extra field to whom someone may impersonate."""
    return (
        rule.allows_verb("impersonate")
        and not rule.groups.isdisjoint({_AUTHENTICATION, "*"})
        and any(resource in ("uids", "*") or resource.partition("/")[0] == "userextras" for resource in rule.resources)
    )


def _account(name: str, place: RuleScope) -> GrantAmount:
    """What it is worth to be the ServiceAccounts of a name there."""
    if place.namespace is None:
        spaces = graph_of(place.world).homes_of(name)
    else:
        spaces = [place.namespace] if place.namespace else []
    found = any(_leads(Subject("ServiceAccount", name, space), place) for space in spaces)
    return GrantAmount.CLUSTER if found else GrantAmount.MUCH


def _user(name: str, place: RuleScope) -> GrantAmount:
    if subject_of({"kind": "User", "name": name}).kind != "User":
        return GrantAmount.NOTHING  # asked for as a ServiceAccount
    return _whoever(Subject("User", name), place)


def _group(name: str, place: RuleScope) -> GrantAmount:
    group = Subject("Group", name)
    if not place.acts:
        return min(_whoever(group, place), GrantAmount.MUCH)
    return GrantAmount.CLUSTER if group.text == MASTERS else _whoever(group, place)


def _whoever(subject: Subject, place: RuleScope) -> GrantAmount:
    if _leads(subject, place):
        return GrantAmount.CLUSTER
    named = subject.text in graph_of(place.world).by_subject
    return GrantAmount.MUCH if named else _unknown(subject.name)


def _leads(subject: Subject, place: RuleScope) -> bool:
    """Whether an identity gets to cluster-admin by what bindings give it."""
    return bool(way_by_accounts(subject, place.world, place.near))


def minting_of(rule: PolicyRule, place: RuleScope) -> GrantAmount:
    """What it is worth to mint tokens, by a rule that lets one."""
    if not rule.names:
        return place.whole
    names = _known_names(rule, "serviceaccounts")
    return max((_account(name, place) for name in names), default=GrantAmount.NOTHING)
