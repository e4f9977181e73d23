"""Roles whose rules hand out more than anyone can oversee, or the means to take more."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, GRANTS, LOOKED_UP, PARTS, ROLES, Reach, grants, once, own_rules, rule_hit
from checks._reach import GrantJudge
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CLUSTER_ROLE
from iocaudit.core.place import Place
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import BINDINGS
from iocaudit.knowledge.rbac.existing import gives_anything
from iocaudit.knowledge.rbac.powers import CONSTRAINED, ESCALATE, IMPERSONATE, WEBHOOKS, powers_of
from iocaudit.knowledge.rbac.rules import PolicyRule, listed, named_with, rules_of

_BY_VERBS = frozenset({ESCALATE, IMPERSONATE})


@check(
    "wildcard-rule",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=ROLES,
    uses=(*LOOKED_UP, *BINDINGS),
    controls=CONTROLS | {"cis-1.12": "5.1.3"},
    implies={Place.SAME: PARTS},
)
def wildcard_rule(resource: Resource, world: World) -> Iterator[Hit]:
    """A role's rule uses a wildcard.

    `*` takes in every verb, resource or group there will ever be, `escalate` and `impersonate` among the verbs
    and Secrets among the resources; `*/exec` takes in that subresource of everything. A wildcard that amounts to
    the cluster (every verb on every resource, `nodes/proxy`, webhooks, impersonation) is critical, any other high,
    but low where there is nothing of that verb or resource. The roles a cluster is born with are known by name and
    content.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: web, namespace: shop}
        rules:
        - {apiGroups: [""], resources: ["*"], verbs: [get]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: web, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [pods], verbs: [get, watch, list]}

    Fix: List the verbs, resources and apiGroups that are used in place of `*`.

    Sources: CIS Kubernetes Benchmark 1.12, 5.1.3; Kubernetes documentation, RBAC good practices.
    """
    for index, rule in own_rules(resource):
        wild = [
            name
            for name, values in (("verbs", rule.verbs), ("resources", rule.resources), ("apiGroups", rule.groups))
            if "*" in values
        ]
        wild += [name for name in sorted(rule.resources) if name.startswith("*/")]
        if "*" in rule.urls and "*" in rule.verbs:
            wild.append("nonResourceURLs")
        if not wild:
            continue
        what = f"{listed(rule.verbs)} on {listed(rule.resources or rule.urls)}"
        message = f"uses * in {' and '.join(wild)}: {named_with(what, rule)}"
        if not gives_anything(rule):
            yield rule_hit(index, rule, f"{message}, which does not exist in Kubernetes", Severity.LOW)
            continue
        critical = rule.is_everything or _amounts_to_the_cluster(resource, rule, world)
        yield rule_hit(index, rule, message, Severity.CRITICAL if critical else Severity.HIGH)


def _amounts_to_the_cluster(role: Resource, rule: PolicyRule, world: World) -> bool:
    """Whether a check on what it takes in finds it critical."""
    given = powers_of(rule, clusterwide=role.kind is CLUSTER_ROLE)
    if any(power.critical and power not in _BY_VERBS and (power is not WEBHOOKS or not rule.names) for power in given):
        return True
    reach = Reach(False, world.namespace_of(role), rule, rules_of(role), given.keys(), (role.kind_name, role.name))
    found = given.keys() & _BY_VERBS
    return bool(found) and GrantJudge(role, world).by_verbs(reach) is Severity.CRITICAL


@check(
    "escalation-verb",
    severity=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=GRANTS,
    uses=(*LOOKED_UP, *BINDINGS),
    controls=CONTROLS | {"cis-1.12": "5.1.8"},
)
def escalation_verb(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """A role may escalate, bind or impersonate.

    These verbs step around the rule that no user can grant what they do not hold: `escalate` and `bind` on roles give
    their holder any right, `impersonate` gives them any identity. In one namespace that is high, and critical where a
    ServiceAccount there gets to cluster-admin. Names count: to bind a harmless role or to act as an account that holds
    little does not lead to the cluster, and `*` among resourceNames is a name that nothing has: low. A group is
    impersonated with a user only (alone: high), a UID or an extra field gives no rights (medium). Constrained
    impersonation (`impersonate:…`) is high. `*` on such a resource holds these verbs as well. A binding of such a role
    is flagged for each subject.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: helper}
        rules:
        - {apiGroups: [""], resources: [users, groups], verbs: [impersonate]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: helper}
        rules:
        - {apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [get, list]}

    Fix: Remove the verb; where a controller needs it, narrow it by resourceNames.

    Sources: Kubernetes documentation, RBAC good practices; CIS Kubernetes Benchmark 1.12, 5.1.8.
    """
    reached, powers = GrantJudge(resource, world), (ESCALATE, IMPERSONATE)
    yield from once(
        grants(resource, world, powers, reached.by_verbs, because=reached.through_verbs, by_subject=True),
        grants(resource, world, (CONSTRAINED,), lambda _: Severity.HIGH),
        reached.problems,
    )
