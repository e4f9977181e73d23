"""The powers over our own objects: anyone who holds one switches the guard off, takes its place or wipes what it found.

Names count where a rule gives them (``resourceNames``); in our own namespace a rule without names gives ours too.
Rights on all webhooks, roles, Secrets and the like are powers of their own (``powers``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core.kinds.ours import (
    AUDIT_POLICY,
    AUDIT_REPORT,
    CLUSTER_AUDIT_REPORT,
    CLUSTER_IOC_FINDING,
    GROUP,
    IOC_FINDING,
    IOC_INCIDENT,
    IOC_WAIVER,
    OURS,
)
from iocaudit.core.own_names import (
    ADMISSION,
    AUTHORITY_SECRET,
    NAMESPACE,
    OPERATOR,
    RECEIVERS,
    SERVING_SECRET,
    WEBHOOK_CONFIGURATION,
)
from iocaudit.knowledge.rbac.power import GroupResource, Power, PowerTarget
from iocaudit.knowledge.rbac.rules import RBAC_GROUP, READS, WRITES, PolicyRule

_PROCESSES = frozenset({OPERATOR, ADMISSION})


class _OwnObjects(NamedTuple):
    """Verbs on some objects of a resource that are ours, by their names."""

    verbs: tuple[str, ...]
    resource: GroupResource
    names: frozenset[str]

    def granted(self, rule: PolicyRule) -> Iterator[str]:
        if not rule.names.isdisjoint(self.names):
            yield from PowerTarget(self.verbs, (self.resource,)).granted(rule, clusterwide=True)

    def granted_among_all(self, rule: PolicyRule) -> Iterator[str]:
        """What a rule gives of those that are there, as it names none and holds where they are."""
        if not rule.names:
            verbs = tuple(verb for verb in self.verbs if verb != "create")
            yield from PowerTarget(verbs, (self.resource,)).granted(rule, clusterwide=True)


_OUTSIDE_NAMESPACES = (
    _OwnObjects(
        WRITES,
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        frozenset({WEBHOOK_CONFIGURATION}),
    ),
    # The webhook configuration belongs to the operator's ClusterRole, and goes with it.
    _OwnObjects(WRITES, (RBAC_GROUP, "clusterroles"), _PROCESSES),
    _OwnObjects(WRITES, (RBAC_GROUP, "clusterrolebindings"), _PROCESSES),
    _OwnObjects(
        WRITES,
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        frozenset(f"{kind.plural}.{GROUP}" for kind in OURS),
    ),
    _OwnObjects(WRITES, ("", "namespaces"), frozenset({NAMESPACE})),
)
_IN_OUR_NAMESPACE = (
    _OwnObjects(WRITES, ("coordination.k8s.io", "leases"), frozenset({OPERATOR})),
    _OwnObjects((*sorted(READS), *WRITES), ("", "secrets"), frozenset({AUTHORITY_SECRET, RECEIVERS, SERVING_SECRET})),
    _OwnObjects(WRITES, ("apps", "deployments"), _PROCESSES),
    _OwnObjects(("update", "patch"), ("apps", "deployments/scale"), _PROCESSES),
    _OwnObjects(("impersonate",), ("", "serviceaccounts"), _PROCESSES),
    _OwnObjects(("create",), ("", "serviceaccounts/token"), _PROCESSES),
    _OwnObjects(WRITES, ("", "services"), _PROCESSES),
    _OwnObjects(WRITES, (RBAC_GROUP, "roles"), frozenset({OPERATOR})),
    _OwnObjects(WRITES, (RBAC_GROUP, "rolebindings"), frozenset({OPERATOR})),
)
"""In another namespace such a name says nothing: the caller has to know where a rule holds."""


def _outside_namespaces(rule: PolicyRule, clusterwide: bool) -> Iterable[str]:
    if clusterwide and rule.names:
        for named in _OUTSIDE_NAMESPACES:
            yield from named.granted(rule)


def _in_our_namespace(rule: PolicyRule, _clusterwide: bool) -> Iterable[str]:
    if rule.names:
        for named in _IN_OUR_NAMESPACE:
            yield from named.granted(rule)


def given_where_we_run(rule: PolicyRule) -> list[str]:
    """What a rule that holds in our namespace gives of what the guard runs on, without naming it."""
    return [text for named in _IN_OUR_NAMESPACE for text in named.granted_among_all(rule)]


GUARD = Power(
    "guard",
    "switch off the guard",
    (
        PowerTarget(WRITES, ((GROUP, AUDIT_POLICY.plural), (GROUP, IOC_WAIVER.plural)), scoped=False),
        PowerTarget(
            ("update", "patch"),
            ((GROUP, f"{AUDIT_POLICY.plural}/status"), (GROUP, f"{IOC_WAIVER.plural}/status")),
            scoped=False,
        ),
    ),
    _outside_namespaces,
    critical=True,
)
OWN_OBJECTS = Power("own-objects", "reach what the guard runs on", (), _in_our_namespace)
FINDINGS = Power(
    "findings",
    "change what the guard has found",
    (
        PowerTarget(WRITES, ((GROUP, IOC_FINDING.plural), (GROUP, AUDIT_REPORT.plural))),
        PowerTarget(
            WRITES,
            (
                (GROUP, CLUSTER_IOC_FINDING.plural),
                (GROUP, IOC_INCIDENT.plural),
                (GROUP, CLUSTER_AUDIT_REPORT.plural),
            ),
            scoped=False,
        ),
    ),
)
