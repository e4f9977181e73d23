"""The rights of our processes in a cluster: the least that the catalogue implies."""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.cluster.lease import LEASE
from iocaudit.core.kinds import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    NAMESPACE,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
    Kind,
)
from iocaudit.core.own_names import (
    ADMISSION,
    AUTHORITY_SECRET,
    LABELS,
    OPERATOR,
    SERVING_SECRET,
    VIEW,
    WAIVER_EDITOR,
    WEBHOOK_CONFIGURATION,
)
from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue
from iocaudit.records.kinds import (
    AUDIT_POLICY,
    AUDIT_REPORT,
    CLUSTER_AUDIT_REPORT,
    CLUSTER_IOC_FINDING,
    GROUP,
    IOC_FINDING,
    IOC_WAIVER,
    VALIDATING_WEBHOOK_CONFIGURATION,
)

_READ = ["get", "list", "watch"]
_WRITE = ["get", "list", "watch", "create", "update", "patch", "delete"]
_OWNERS = (REPLICA_SET, DEPLOYMENT, STATEFUL_SET, DAEMON_SET, JOB, CRON_JOB, REPLICATION_CONTROLLER)


def cluster_roles(catalogue: Catalogue) -> list[Json]:
    """The ClusterRoles: operator, webhook, and two for people.

    ``iocaudit-view`` is aggregated to view. ``iocaudit-waiver-editor`` is to nothing: who accepts risks is a decision
    of its own, which no other role may bring along.
    """
    ours = (IOC_FINDING, CLUSTER_IOC_FINDING, AUDIT_REPORT, CLUSTER_AUDIT_REPORT)
    operator = [
        *_rules({*catalogue.audited_kinds, *catalogue.world_kinds, NAMESPACE, AUDIT_POLICY, IOC_WAIVER}, _READ),
        *_rules(ours, _WRITE),
        {"apiGroups": [GROUP], "resources": [f"{AUDIT_POLICY.plural}/status"], "verbs": ["patch", "update"]},
        {"apiGroups": [GROUP], "resources": [f"{IOC_WAIVER.plural}/status"], "verbs": ["update"]},
        {
            "apiGroups": [VALIDATING_WEBHOOK_CONFIGURATION.group],
            "resources": [VALIDATING_WEBHOOK_CONFIGURATION.plural],
            "verbs": ["create"],
        },
        {
            "apiGroups": [VALIDATING_WEBHOOK_CONFIGURATION.group],
            "resources": [VALIDATING_WEBHOOK_CONFIGURATION.plural],
            "resourceNames": [WEBHOOK_CONFIGURATION],
            "verbs": ["get", "update", "patch"],
        },
        # An ownerReference that blocks needs the right to the owner's finalizers; ours names this very role.
        {
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["clusterroles"],
            "resourceNames": [OPERATOR],
            "verbs": ["get"],
        },
    ]
    admission = [
        *_rules({*catalogue.admission_world_kinds(), NAMESPACE, AUDIT_POLICY, IOC_WAIVER}, _READ),
        *_rules(_OWNERS, ["get"]),
    ]
    view = _rules((*ours, AUDIT_POLICY, IOC_WAIVER), _READ)
    return [
        _cluster_role(OPERATOR, operator),
        _cluster_role(ADMISSION, admission),
        _cluster_role(VIEW, view, {"rbac.authorization.k8s.io/aggregate-to-view": "true"}),
        _cluster_role(WAIVER_EDITOR, _rules((IOC_WAIVER,), _WRITE)),
    ]


def bindings(namespace: str) -> list[Json]:
    """The ClusterRoleBindings of both ServiceAccounts."""
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": LABELS},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
        for name in (OPERATOR, ADMISSION)
    ]


def namespaced_roles(namespace: str) -> list[Json]:
    """The operator's Roles with their RoleBindings: the Lease and our two Secrets in our own namespace, and the Events
    about AuditPolicies in ``default``, where those about objects outside namespaces have to be.
    """
    rules: list[Json] = [
        {"apiGroups": [LEASE.group], "resources": [LEASE.plural], "verbs": ["create"]},
        {
            "apiGroups": [LEASE.group],
            "resources": [LEASE.plural],
            "resourceNames": [OPERATOR],
            "verbs": ["get", "update"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [AUTHORITY_SECRET, SERVING_SECRET],
            "verbs": ["get", "update"],
        },
    ]
    events: list[Json] = [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    return [*_namespaced_role(namespace, rules, namespace), *_namespaced_role("default", events, namespace)]


def _namespaced_role(home: str, rules: list[Json], namespace: str) -> list[Json]:
    """A Role of the operator, which runs in ``namespace``, and its binding."""
    metadata = {"name": OPERATOR, "namespace": home, "labels": LABELS}
    return [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OPERATOR},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace}],
        },
    ]


def _rules(kinds: Iterable[Kind], verbs: list[str]) -> list[Json]:
    """One rule a group, sorted."""
    groups: dict[str, set[str]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, set()).add(kind.plural)
    return [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": verbs}
        for group, resources in sorted(groups.items())
    ]


def _cluster_role(name: str, rules: list[Json], labels: dict[str, str] | None = None) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {**LABELS, **(labels or {})}},
        "rules": rules,
    }
