"""What the checks on RBAC share: hits on a role's rules and on the subjects of bindings that resolve to such rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CLUSTER_ROLE, NAMESPACE, ROLE
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import MOST_ITEMS, World
from iocaudit.knowledge.rbac.bindings import (
    ADMIN_NAMESPACE,
    BINDINGS,
    Binding,
    NamedSubject,
    ResolvedRole,
    bindings_in,
    grant_of,
    resolve,
    without_clusters_own,
)
from iocaudit.knowledge.rbac.defaults import USER_FACING, is_default_rule
from iocaudit.knowledge.rbac.graph import identity
from iocaudit.knowledge.rbac.names import may_be_named
from iocaudit.knowledge.rbac.own import is_own, is_own_grant
from iocaudit.knowledge.rbac.power import Power
from iocaudit.knowledge.rbac.powers import powers_of
from iocaudit.knowledge.rbac.rules import PolicyRule, is_everything, listed, named_with, rules_of
from iocaudit.knowledge.rbac.subjects import Subject

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
_MOST_REQUESTED = 8


class Reach(NamedTuple):
    """How far a grant goes: ``bound`` to someone or only stated by a role; ``namespace`` None: the whole cluster,
    empty: namespaces that are not known."""

    bound: bool
    namespace: str | None
    rule: PolicyRule
    rules: tuple[PolicyRule, ...]
    """Those of the whole role, that one among them."""
    powers: Set[Power]
    """Which of the powers asked about the rule gives."""
    role: tuple[str, str]
    """The role's kind and name."""
    subject: Subject | None = None
    """To whom it is bound, where the check tells them apart."""

    @property
    def named(self) -> bool:
        """Whether resourceNames narrow it to single objects."""
        return bool(self.rule.names)

    @property
    def is_clusters(self) -> bool:
        """Bound in the whole cluster, or in kube-system, whose objects amount to the cluster."""
        return self.namespace == ADMIN_NAMESPACE or (self.bound and self.namespace is None)


ReachJudge = Callable[[Reach], Severity]
ReachReason = Callable[[Reach], str]
"""What makes a grant as bad as it is judged, said behind it; empty where nothing does."""
RuleFilter = Callable[[PolicyRule, str | None], bool]
"""Whether a rule counts, where it holds in a namespace (None: the whole cluster)."""


def rule_hit(index: int, rule: PolicyRule, message: str, severity: Severity) -> Hit:
    """A hit on one rule of a role: the rule is its evidence, its position only where it stands now."""
    return Hit("rules", message, rule.canonical, severity, f"rules[{index}]")


def subject_hit(
    named: NamedSubject, message: str, bound: ResolvedRole, severity: Severity, *, through: Binding | None = None
) -> Hit:
    """A hit on one subject of a binding; ``through`` the binding where the role has a hit of the same check."""
    grant = grant_of(through, bound, named.subject) if through is not None else None
    return Hit(named.path, message, f"{named.subject.text} to {bound.role}", severity, named.at, grant=grant)


def own_rules(role: Resource) -> Iterator[tuple[int, PolicyRule]]:
    """A role's rules by position, but those of the cluster's own role of that name."""
    for index, rule in enumerate(rules_of(role)):
        if not is_default_rule(role, rule):
            yield index, rule


class _PowerfulRule(NamedTuple):
    """A rule that names any power: what it gives, what it would outside namespaces, and what it would if objects
    could have the names it says."""

    at: int
    rule: PolicyRule
    given: dict[Power, tuple[str, ...]]
    outside: dict[Power, tuple[str, ...]]
    of_nothing: dict[Power, tuple[str, ...]]


def _powerful_rules(role: Resource) -> tuple[_PowerfulRule, ...]:
    """Those of a role's own rules that name any power, with what they give: twenty checks ask of each role."""
    clusterwide = role.kind is CLUSTER_ROLE
    found = []
    for index, rule in own_rules(role):
        outside, hopeless = powers_of(rule, clusterwide=True), _of_nothing(rule)
        of_nothing = powers_of(hopeless, clusterwide=clusterwide) if hopeless is not None else {}
        if outside or of_nothing:
            given = outside if clusterwide else powers_of(rule, clusterwide=False)
            found.append(_PowerfulRule(index, rule, given, outside, of_nothing))
    return tuple(found)


def _of_nothing(rule: PolicyRule) -> PolicyRule | None:
    """What a rule would give of the resources that none of its names can be of, by a name that they can have."""
    resources = frozenset(one for one in rule.resources if not any(may_be_named(one, name) for name in rule.names))
    return replace(rule, resources=resources, names=frozenset({"some"})) if rule.names and resources else None


_OUTSIDE = "which no Role can give: it is cluster-scoped"
_NO_NAME = "which gives nothing: no object can have such a name"


class JudgedBinding(NamedTuple):
    """A binding and what it resolves to: whether to everything, and the rules that give any power, with what."""

    binding: Binding
    bound: ResolvedRole
    is_everything: bool
    powerful: tuple[tuple[PolicyRule, dict[Power, tuple[str, ...]]], ...]


def _judged(resource: Resource, world: World) -> tuple[JudgedBinding, ...]:
    # Kept until any role or namespace changes: twenty checks ask the same of each binding.
    of_request = resource.origin.source == ADMISSION.source
    # Of a request's object only the last few: kept, it would be held long after the answer.
    most = _MOST_REQUESTED if of_request else MOST_ITEMS
    key = ("rbac-judged", of_request)
    return world.memo_of(resource, key, LOOKED_UP, lambda: tuple(_judge_each(resource, world)), most=most)


def _judge_each(resource: Resource, world: World) -> Iterator[JudgedBinding]:
    for binding in bindings_in(resource, world):
        if binding.named:
            bound = resolve(binding, world)
            left = without_clusters_own(binding, bound)
            if left.named and not is_own_grant(resource, bound.source, world):
                powerful = _powerful_of(bound, binding.is_clusterwide, world)
                yield JudgedBinding(left, bound, is_everything(bound.rules), powerful)


_GivenPowers = tuple[tuple[PolicyRule, dict[Power, tuple[str, ...]]], ...]


def _powerful_of(bound: ResolvedRole, clusterwide: bool, world: World) -> _GivenPowers:
    """Those of the rules that give any power, with what: asked once of the many bindings of one role."""

    def build() -> tuple[tuple[PolicyRule, ...], _GivenPowers]:
        powers = ((rule, powers_of(rule, clusterwide=clusterwide)) for rule in bound.rules)
        # The rules are kept beside it, so no others get their id.
        return bound.rules, tuple(one for one in powers if one[1])

    item = (id(bound.rules), clusterwide)
    return world.memo_of(item, "rbac-powerful", LOOKED_UP, build)[1]


def bound_in(resource: Resource, world: World) -> Iterator[tuple[Binding, ResolvedRole]]:
    """The bindings an object states and what each resolves to, without the subjects that every cluster's has."""
    return ((one.binding, one.bound) for one in _judged(resource, world))


def once(*several: Iterator[Hit | Skip]) -> Iterator[Hit | Skip]:
    """The hits of several rounds, of each path and evidence the worst only, of those as bad the first."""
    found: dict[tuple[str, str], Hit | Skip] = {}
    for hit in chain.from_iterable(several):
        key = (hit.path, hit.evidence) if isinstance(hit, Hit) else ("", hit.reason)
        if key not in found or _weight(hit) > _weight(found[key]):
            found[key] = hit
    yield from found.values()


def _weight(hit: Hit | Skip) -> Severity:
    return (hit.severity if isinstance(hit, Hit) else None) or Severity.LOW


def may_hold(resource: Resource, world: World, powers: Set[Power]) -> bool:
    """Whether any rule of a role, or that a binding resolves to, gives one of the powers, or is not known."""
    if resource.kind in ROLES:
        return any(not powers.isdisjoint(one.outside) for one in resource.derive(_powerful_rules))
    return any(
        one.bound.problem is not None or any(not powers.isdisjoint(given) for _, given in one.powerful)
        for one in _judged(resource, world)
    )


def names_resources(rule: PolicyRule, _namespace: str | None) -> bool:
    """Whether a rule names its resources: what ``*`` takes in besides is wildcard-rule's business, and in bindings
    that of the checks on Secrets and pods, as far as it takes in the core group."""
    return "*" not in rule.resources or bool(rule.names) or not rule.covers("", "secrets")


def grants(
    resource: Resource,
    world: World,
    powers: Sequence[Power],
    judge: ReachJudge,
    *,
    everything: bool = False,
    only: RuleFilter | None = None,
    because: ReachReason | None = None,
    by_subject: bool = False,
    keeps_critical: bool = False,
) -> Iterator[Hit | Skip]:
    """The hits of ``powers`` on a role's rules or on a binding's subjects.

    A rule of every verb on every resource counts only where ``everything`` says so: wildcard-rule and
    cluster-admin-binding speak of it. What a Role names that stands outside namespaces it does not give, nor what only
    objects of impossible names are: its author meant it, so it is reported, as low. What Kubernetes' own admin,
    edit and view hold weighs less in a binding of these: they are made for that, and admin-role-bound-widely judges how
    far; what is critical stays so where ``keeps_critical`` says it. Our own install is exempt as long as it is what
    this version makes it. ``by_subject``: the judge looks at who is bound.
    """
    asking = _GrantQuery(powers, judge, only, because, by_subject, keeps_critical)
    if resource.kind in ROLES:
        if not is_own(resource, world):
            yield from _stated(resource, world, asking, everything=everything)
        return
    for one in _judged(resource, world):
        if (everything or not one.is_everything) and (one.powerful or one.bound.problem is not None):
            yield from _granted(one, asking, world)


class _GrantQuery(NamedTuple):
    """What a check asks of grants."""

    powers: Sequence[Power]
    judge: ReachJudge
    only: RuleFilter | None
    because: ReachReason | None
    by_subject: bool
    keeps_critical: bool

    def of(self, amounts: Mapping[Power, tuple[str, ...]]) -> list[str]:
        """What is given of the powers asked about."""
        return [text for power in self.powers for text in amounts.get(power, ())]

    def found(self, amounts: Mapping[Power, tuple[str, ...]]) -> frozenset[Power]:
        """Which of the powers asked about are given."""
        return frozenset(power for power in self.powers if power in amounts)

    def counts(self, rule: PolicyRule, namespace: str | None) -> bool:
        return self.only is None or self.only(rule, namespace)


def _stated(role: Resource, world: World, asking: _GrantQuery, *, everything: bool) -> Iterator[Hit]:
    namespace = world.namespace_of(role)
    for index, rule, given, outside, of_nothing in role.derive(_powerful_rules):
        if (not everything and rule.is_everything) or not asking.counts(rule, namespace):
            continue
        if texts := asking.of(given):
            title = (role.kind_name, role.name)
            reach = Reach(False, namespace, rule, rules_of(role), asking.found(given), title)
            why = asking.because(reach) if asking.because is not None else ""
            yield rule_hit(index, rule, f"may {listed(texts)}{_names(rule)}{why}", asking.judge(reach))
        elif "*" not in rule.resources:
            for meant, why in ((outside, _OUTSIDE), (of_nothing, _NO_NAME)):
                if meant and meant is not given and (texts := asking.of(meant)):
                    yield rule_hit(index, rule, f"names {listed(texts)}{_names(rule)}, {why}", Severity.LOW)
                    break


def _names(rule: PolicyRule) -> str:
    return f" named {listed(rule.names)}" if rule.names else ""


def _granted(judged: JudgedBinding, asking: _GrantQuery, world: World) -> Iterator[Hit | Skip]:
    binding, bound = judged.binding, judged.bound
    namespace = binding.namespace
    if binding.selector is not None:
        namespace = ADMIN_NAMESPACE if binding.holds_in(ADMIN_NAMESPACE, world) else ""
    found: list[Reach] = []
    texts: list[str] = []
    for rule, amounts in judged.powerful:
        if asking.counts(rule, namespace) and (given := asking.of(amounts)):
            texts += [named_with(text, rule) for text in given]
            title = (binding.role_kind, binding.role_name)
            found.append(Reach(True, namespace, rule, bound.rules, asking.found(amounts), title))
    if not found:
        if bound.problem is not None:
            yield Skip(bound.problem)
        return
    weighing = _BindingJudge(judged, asking, world, namespace)
    what = _titles(asking.powers, found)
    worst, why = (Severity.LOW, "") if asking.by_subject else weighing.of(found, None)
    for named in binding.named:
        if asking.by_subject:
            worst, why = weighing.of(found, identity(named.subject, binding, world.default_namespace))
        message = f"lets {named.subject.title} {what}{binding.where} through {bound.role}: {listed(texts)}{why}"
        yield subject_hit(named, message, bound, worst, through=binding)


def _titles(powers: Sequence[Power], found: Sequence[Reach]) -> str:
    return " and ".join(power.title for power in powers if any(power in reach.powers for reach in found))


class _BindingJudge:
    """How bad what a binding gives is, and why."""

    def __init__(self, judged: JudgedBinding, asking: _GrantQuery, world: World, namespace: str | None) -> None:
        self._judged = judged
        self._asking = asking
        binding = judged.binding
        # Our own namespace has no people of its own: anyone who may edit there holds the guard's keys.
        made_for_it = binding.role_kind == "ClusterRole" and binding.role_name in USER_FACING
        self._made_for_it = made_for_it and namespace != world.own_namespace

    def of(self, found: Sequence[Reach], subject: Subject | None) -> tuple[Severity, str]:
        worst, why = Severity.LOW, ""
        judged, because = self._judged, self._asking.because
        for reach in (reach._replace(subject=subject) for reach in found):
            severity = self._asking.judge(reach)
            keeps = self._asking.keeps_critical and severity is Severity.CRITICAL
            if self._made_for_it and not keeps and judged.bound.is_default(reach.rule):
                severity = min(severity, Severity.HIGH if judged.binding.is_clusterwide else Severity.MEDIUM)
            elif because is not None and not judged.is_everything:  # who may do everything needs no way to it
                why = why or because(reach)
            worst = max(worst, severity)
        return worst, why
