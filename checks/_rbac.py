"""What the checks on RBAC share: hits on a role's rules and on the subjects of bindings that resolve to such rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from typing import NamedTuple

from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CLUSTER_ROLE, NAMESPACE, ROLE
from iocaudit.core.rbac.bindings import (
    ADMIN_NAMESPACE,
    BINDINGS,
    Binding,
    Bound,
    Named,
    bindings_in,
    grant_of,
    resolve,
    without_clusters_own,
)
from iocaudit.core.rbac.defaults import USER_FACING, is_default_rule
from iocaudit.core.rbac.own import is_own, is_own_grant
from iocaudit.core.rbac.power import Power
from iocaudit.core.rbac.powers import powers_of
from iocaudit.core.rbac.rules import Rule, is_everything, listed, named_with, rules_of
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World

ROLES = (CLUSTER_ROLE, ROLE)
GRANTS = (*ROLES, *BINDINGS)
"""Roles are judged by their rules, bindings by the roles they resolve to."""
LOOKED_UP = (CLUSTER_ROLE, ROLE, NAMESPACE)
CONTROLS = {
    "cis-1.12": "5.1",
    "attack": "T1098.006, T1078",
    "ms": "MS-TA9019",
    "owasp": "K02",
    "nsa": "Role-based access control",
}
"""CIS has no number for most of what a role may hold: then it is the section."""
PARTS = (
    "configmap-tampering",
    "csr-approval",
    "endpoint-write",
    "escalation-verb",
    "event-deletion",
    "exec-permission",
    "log-deletion",
    "network-policy-write",
    "node-proxy-access",
    "persistent-volume-creation",
    "rbac-management",
    "secret-access",
    "service-status-write",
    "token-minting",
    "webhook-tampering",
    "workload-creation",
)
"""The checks on single powers. What gives all of them at once, on one rule or to one subject, is one cause."""
_MOST_KEPT = 10_000
_MOST_REQUESTED = 8


class Reach(NamedTuple):
    """How far a grant goes: ``bound`` to somebody or only stated by a role; ``namespace`` None: the whole cluster."""

    bound: bool
    namespace: str | None
    named: bool
    """Whether resourceNames narrow it to single objects."""

    @property
    def is_clusters(self) -> bool:
        """Bound in the whole cluster, or in kube-system, whose objects amount to the cluster."""
        return self.namespace == ADMIN_NAMESPACE or (self.bound and self.namespace is None)


Judge = Callable[[Reach], Severity]
Because = Callable[[Reach], str]
"""What makes a grant as bad as it is judged, said behind it; empty where nothing does."""
Only = Callable[[Rule, str | None], bool]
"""Whether a rule counts, where it holds in a namespace (None: the whole cluster)."""


def rule_hit(index: int, rule: Rule, message: str, severity: Severity) -> Hit:
    """A hit on one rule of a role: the rule is its evidence, its position only where it stands now."""
    return Hit("rules", message, rule.canonical, severity, f"rules[{index}]")


def subject_hit(named: Named, message: str, bound: Bound, severity: Severity, *, through: Binding | None = None) -> Hit:
    """A hit on one subject of a binding; ``through`` the binding where the role has a hit of the same check."""
    grant = grant_of(through, bound, named.subject) if through is not None else None
    return Hit(named.path, message, f"{named.subject.text} to {bound.role}", severity, named.at, grant=grant)


def own_rules(role: Resource) -> Iterator[tuple[int, Rule]]:
    """A role's rules by position, but those of the cluster's own role of that name."""
    for index, rule in enumerate(rules_of(role)):
        if not is_default_rule(role, rule):
            yield index, rule


class _Powerful(NamedTuple):
    """A rule that names any power: what it gives, and what it would outside namespaces."""

    at: int
    rule: Rule
    given: dict[Power, tuple[str, ...]]
    named: dict[Power, tuple[str, ...]]


def _powerful_rules(role: Resource) -> tuple[_Powerful, ...]:
    """Those of a role's own rules that name any power, with what they give: twenty checks ask of each role."""
    clusterwide = role.kind is CLUSTER_ROLE
    found = []
    for index, rule in own_rules(role):
        if named := powers_of(rule, clusterwide=True):
            given = named if clusterwide else powers_of(rule, clusterwide=False)
            found.append(_Powerful(index, rule, given, named))
    return tuple(found)


class Judged(NamedTuple):
    """A binding and what it resolves to: whether to everything, and the rules that give any power, with what."""

    binding: Binding
    bound: Bound
    is_everything: bool
    powerful: tuple[tuple[Rule, dict[Power, tuple[str, ...]]], ...]


def _judged(resource: Resource, world: World) -> tuple[Judged, ...]:
    # Kept until any role or namespace changes: twenty checks ask the same of each binding.
    of_request = resource.origin.source == ADMISSION.source
    known: dict[Resource, tuple[Judged, ...]] = world.memo(("rbac-judged", of_request), LOOKED_UP, dict)
    found = known.get(resource)
    if found is None:
        # Of a request's object only the last few: kept, it would be held long after the answer.
        if len(known) >= (_MOST_REQUESTED if of_request else _MOST_KEPT):
            known.clear()
        found = known[resource] = tuple(_judge_each(resource, world))
    return found


def _judge_each(resource: Resource, world: World) -> Iterator[Judged]:
    for binding in bindings_in(resource, world):
        if binding.named:
            bound = resolve(binding, world)
            left = without_clusters_own(binding, bound)
            if left.named and not is_own_grant(resource, bound.source, world):
                powerful = _powerful_of(bound, binding.is_clusterwide, world)
                yield Judged(left, bound, is_everything(bound.rules), powerful)


_Given = tuple[tuple[Rule, dict[Power, tuple[str, ...]]], ...]


def _powerful_of(bound: Bound, clusterwide: bool, world: World) -> _Given:
    """Those of the rules that give any power, with what: asked once of the many bindings of one role."""
    known: dict[tuple[int, bool], tuple[tuple[Rule, ...], _Given]] = world.memo("rbac-powerful", LOOKED_UP, dict)
    found = known.get((id(bound.rules), clusterwide))
    if found is None:
        if len(known) >= _MOST_KEPT:
            known.clear()
        powers = ((rule, powers_of(rule, clusterwide=clusterwide)) for rule in bound.rules)
        # The rules are kept beside it, so that no others get their id.
        found = (bound.rules, tuple(one for one in powers if one[1]))
        known[id(bound.rules), clusterwide] = found
    return found[1]


def bound_in(resource: Resource, world: World) -> Iterator[tuple[Binding, Bound]]:
    """The bindings an object states and what each resolves to, without the subjects that every cluster's has."""
    return ((one.binding, one.bound) for one in _judged(resource, world))


def once(*several: Iterator[Hit | Skip]) -> Iterator[Hit | Skip]:
    """The hits of several rounds, the first of each path and evidence only: put the worst round first."""
    seen: set[tuple[str, str]] = set()
    for one in several:
        for hit in one:
            key = (hit.path, hit.evidence) if isinstance(hit, Hit) else ("", hit.reason)
            if key not in seen:
                seen.add(key)
                yield hit


def may_hold(resource: Resource, world: World, powers: Set[Power]) -> bool:
    """Whether any rule of a role, or that a binding resolves to, gives one of the powers, or is not known."""
    if resource.kind in ROLES:
        return any(not powers.isdisjoint(one.named) for one in resource.derive(_powerful_rules))
    return any(
        one.bound.problem is not None or any(not powers.isdisjoint(given) for _, given in one.powerful)
        for one in _judged(resource, world)
    )


def names_resources(rule: Rule, _namespace: str | None) -> bool:
    """Whether a rule names its resources: what `*` takes in besides is wildcard-rule's business."""
    return "*" not in rule.resources


def grants(
    resource: Resource,
    world: World,
    powers: Sequence[Power],
    judge: Judge,
    *,
    everything: bool = False,
    only: Only | None = None,
    because: Because | None = None,
) -> Iterator[Hit | Skip]:
    """The hits of ``powers`` on a role's rules or on a binding's subjects.

    A rule of every verb on every resource counts only where ``everything`` says so: wildcard-rule and
    cluster-admin-binding speak of it. What a Role names that stands outside namespaces it does not give; whoever wrote
    it meant to, so it is told, as low. What Kubernetes' own admin, edit and view hold weighs less in a binding of
    these: they are made for that, and admin-role-bound-widely judges how far. Our own install is exempt as long as it
    is what this version makes it.
    """
    if resource.kind in ROLES:
        namespace = world.namespace_of(resource)
        if is_own(resource, world):
            return
        for index, rule, given, meant in resource.derive(_powerful_rules):
            if (not everything and rule.is_everything) or (only is not None and not only(rule, namespace)):
                continue
            named = f" named {listed(rule.names)}" if rule.names else ""
            if texts := [text for power in powers for text in given.get(power, ())]:
                reach = Reach(False, namespace, bool(rule.names))
                why = because(reach) if because is not None else ""
                yield rule_hit(index, rule, f"may {listed(texts)}{named}{why}", judge(reach))
            elif "*" not in rule.resources and (texts := [t for power in powers for t in meant.get(power, ())]):
                message = f"names {listed(texts)}{named}, which no Role gives: it stands outside namespaces"
                yield rule_hit(index, rule, message, Severity.LOW)
        return
    for one in _judged(resource, world):
        if (everything or not one.is_everything) and (one.powerful or one.bound.problem is not None):
            yield from _granted(one, powers, judge, only, because, world)


def _granted(
    judged: Judged, powers: Sequence[Power], judge: Judge, only: Only | None, because: Because | None, world: World
) -> Iterator[Hit | Skip]:
    binding, bound = judged.binding, judged.bound
    worst: Severity | None = None
    texts: list[str] = []
    why = ""
    namespace = binding.namespace
    if binding.selector is not None:
        namespace = ADMIN_NAMESPACE if binding.holds_in(ADMIN_NAMESPACE, world) else ""
    # Our own namespace has no people of its own: whoever may edit there holds the guard's keys.
    made_for_it = binding.role_kind == "ClusterRole" and binding.role_name in USER_FACING
    made_for_it = made_for_it and namespace != world.own_namespace
    for rule, amounts in judged.powerful:
        if only is not None and not only(rule, namespace):
            continue
        found = [text for power in powers for text in amounts.get(power, ())]
        if not found:
            continue
        texts += [named_with(text, rule) for text in found]
        reach = Reach(True, namespace, bool(rule.names))
        severity = judge(reach)
        if made_for_it and bound.is_default(rule):
            severity = min(severity, Severity.HIGH if binding.is_clusterwide else Severity.MEDIUM)
        elif because is not None and not judged.is_everything:  # who may do everything needs no way to it
            why = why or because(reach)
        worst = severity if worst is None else max(worst, severity)
    if worst is None:
        if bound.problem is not None:
            yield Skip(bound.problem)
        return
    what = powers[0].title
    for named in binding.named:
        message = f"lets {named.subject.title} {what}{binding.where} through {bound.role}: {listed(texts)}{why}"
        yield subject_hit(named, message, bound, worst, through=binding)
