"""Roles whose rules hand out more than anyone can oversee, or the means to take more."""

from collections.abc import Iterator

from iocaudit.core.bootstrap_roles import is_bootstrap_rule
from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import CLUSTER_ROLE, ROLE
from iocaudit.core.rbac import RBAC_GROUP, Rule, rules_of
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity

_ROLES = (CLUSTER_ROLE, ROLE)
_CONTROLS = {"cis-1.12": "5.1.3", "attack": "T1098.006", "ms": "MS-TA9019", "owasp": "K02"}


def _rule_hit(index: int, rule: Rule, message: str, severity: Severity) -> Hit:
    return Hit("rules", message, rule.canonical, severity, f"rules[{index}]")


def _listed(values: frozenset[str]) -> str:
    return ", ".join(value or '""' for value in sorted(values)[:6]) + (", …" if len(values) > 6 else "")


@check(
    "wildcard-rule",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=_ROLES,
    controls=_CONTROLS,
)
def wildcard_rule(resource: Resource) -> Iterator[Hit]:
    """A role's rule uses a wildcard.

    `*` takes in every verb, resource or group there will ever be, `escalate` and `impersonate` among the verbs
    and Secrets among the resources. Every verb on every resource is critical; a wildcard in one place is high.
    The roles a cluster is born with are known by name and content.

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

    Fix: List the verbs, resources and groups that are used.

    Sources: CIS Kubernetes Benchmark 1.12, 5.1.3; Kubernetes documentation, RBAC good practices.
    """
    for index, rule in rules_of(resource):
        wild = [
            name
            for name, values in (("verbs", rule.verbs), ("resources", rule.resources), ("apiGroups", rule.groups))
            if "*" in values
        ]
        if "*" in rule.urls and "*" in rule.verbs:
            wild.append("nonResourceURLs")
        if not wild or is_bootstrap_rule(resource, rule):
            continue
        everything = "verbs" in wild and "resources" in wild and not rule.names
        severity = Severity.CRITICAL if everything or rule.is_everything else Severity.HIGH
        what = f"{_listed(rule.verbs)} on {_listed(rule.resources or rule.urls)}"
        yield _rule_hit(index, rule, f"uses * in {' and '.join(wild)}: {what}", severity)


_IMPERSONATED = (
    ("", "users"),
    ("", "groups"),
    ("", "serviceaccounts"),
    ("authentication.k8s.io", "uids"),
)


@check(
    "escalation-verb",
    severity=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=_ROLES,
    controls={**_CONTROLS, "cis-1.12": "5.1.8"},
)
def escalation_verb(resource: Resource) -> Iterator[Hit]:
    """A role may escalate, bind or impersonate.

    These verbs step around the rule that nobody can grant what he does not hold: `escalate` and `bind` on
    roles make their holder whatever he likes, `impersonate` makes him whoever he likes. Constrained
    impersonation (`impersonate:…`) is high. `*` on such a resource holds these verbs as well.

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
    for index, rule in rules_of(resource):
        if is_bootstrap_rule(resource, rule):
            continue
        verbs = sorted(_escalating(rule))
        if verbs:
            plain = any(":" not in verb for verb in verbs)
            yield _rule_hit(
                index,
                rule,
                f"may {', '.join(verbs)} on {_listed(rule.resources)}",
                Severity.CRITICAL if plain else Severity.HIGH,
            )


def _escalating(rule: Rule) -> Iterator[str]:
    everything = "*" in rule.verbs and "*" in rule.resources  # wildcard-rule's business
    if everything:
        return
    if any(rule.covers(RBAC_GROUP, name) for name in ("roles", "clusterroles")):
        for verb in ("escalate", "bind"):
            if rule.allows_verb(verb):
                yield verb
    extras = any(name.startswith("userextras") for name in rule.resources)
    if rule.allows_verb("impersonate") and (extras or any(rule.covers(group, name) for group, name in _IMPERSONATED)):
        yield "impersonate"
    for verb in rule.verbs:
        if verb.startswith("impersonate:"):
            yield verb
