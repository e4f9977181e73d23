"""The rights of our processes in a cluster: the least that the catalogue implies."""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.cluster.lease import LEASE
from iocaudit.core.check import OWN_PREFIX
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
    RECEIVERS,
    SERVING_SECRET,
    VIEW,
    WAIVER_EDITOR,
    WEBHOOK_CONFIGURATION,
)
from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue
from iocaudit.records.kinds import (
    ACTIVITY_PROFILE,
    AUDIT_POLICY,
    AUDIT_REPORT,
    CLUSTER_AUDIT_REPORT,
    CLUSTER_IOC_FINDING,
    GROUP,
    IOC_FINDING,
    IOC_INCIDENT,
    IOC_WAIVER,
    VALIDATING_WEBHOOK_CONFIGURATION,
)

_READ = ["get", "list", "watch"]
_WRITE = ["get", "list", "watch", "create", "update", "patch", "delete"]
NEEDS_PREFIX = "iocaudit-needs-"
_OWNERS = (REPLICA_SET, DEPLOYMENT, STATEFUL_SET, DAEMON_SET, JOB, CRON_JOB, REPLICATION_CONTROLLER)


def cluster_roles(catalogue: Catalogue) -> list[Json]:
    """The ClusterRoles: operator, webhook, and two for people.

    ``iocaudit-view`` is aggregated to view. ``iocaudit-waiver-editor`` is to nothing: who accepts risks is a decision
    of its own, which no other role may bring along.
    """
    ours = (IOC_FINDING, CLUSTER_IOC_FINDING, IOC_INCIDENT, AUDIT_REPORT, CLUSTER_AUDIT_REPORT)
    operator = [
        *_rules(_read_by_operator(catalogue), _READ),
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
        # Asked what the webhook may read of what rules look up: the status of a policy tells what it may not.
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
        # An ownerReference that blocks needs the right to the owner's finalizers; ours names this very role.
        {
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["clusterroles"],
            "resourceNames": [OPERATOR],
            "verbs": ["get"],
        },
    ]
    admission = [
        *_rules(_read_by_webhook(catalogue), _READ),
        *_rules(_OWNERS, ["get"]),
    ]
    view = _rules((*ours, AUDIT_POLICY, IOC_WAIVER, ACTIVITY_PROFILE), _READ)
    return [
        _cluster_role(OPERATOR, operator),
        _cluster_role(ADMISSION, admission),
        _cluster_role(VIEW, view, {"rbac.authorization.k8s.io/aggregate-to-view": "true"}),
        _cluster_role(WAIVER_EDITOR, _rules((IOC_WAIVER,), _WRITE)),
    ]


def _read_by_operator(catalogue: Catalogue) -> set[Kind]:
    return {*catalogue.audited_kinds, *catalogue.world_kinds, NAMESPACE, AUDIT_POLICY, IOC_WAIVER}


def _read_by_webhook(catalogue: Catalogue) -> set[Kind]:
    return {*catalogue.admission_world_kinds, NAMESPACE, AUDIT_POLICY, IOC_WAIVER}


def rights_of_own_checks(catalogue: Catalogue, namespace: str) -> list[Json]:
    """ClusterRoles and bindings for what only checks of other packages read; nothing where they read nothing else.

    Those of the product stay as they are, so an install is known by them.
    """
    shipped = catalogue.select(check.id for check in catalogue if not check.id.startswith(OWN_PREFIX))
    found: list[Json] = []
    for account, read in ((OPERATOR, _read_by_operator), (ADMISSION, _read_by_webhook)):
        kinds = read(catalogue) - read(shipped)
        if kinds:
            name = f"{account}-own-checks"
            found += [_cluster_role(name, _rules(kinds, _READ)), _binding(name, account, namespace)]
    return found


def rights_of_rules(resources: Iterable[str], namespace: str) -> list[Json]:
    """For each of the resources (``ingresses.networking.k8s.io``) that rules look up a ClusterRole, and its binding."""
    found: list[Json] = []
    for resource in dict.fromkeys(resources):
        name = f"{NEEDS_PREFIX}{resource}"
        plural, _, group = resource.partition(".")
        found.append(_cluster_role(name, [{"apiGroups": [group], "resources": [plural], "verbs": _READ}]))
        binding = _binding(name, OPERATOR, namespace)
        binding["subjects"].append({"kind": "ServiceAccount", "name": ADMISSION, "namespace": namespace})
        found.append(binding)
    return found


def bindings(namespace: str) -> list[Json]:
    """The ClusterRoleBindings of both ServiceAccounts."""
    return [_binding(name, name, namespace) for name in (OPERATOR, ADMISSION)]


def _binding(name: str, account: str, namespace: str) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": LABELS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def namespaced_roles(namespace: str) -> list[Json]:
    """The Roles with their RoleBindings. Both processes read ConfigMaps of our own namespace: those with the label hold
    modules of Rego. The operator has the Lease and our Secrets there, makes the Events about such ConfigMaps, and
    in ``default``, where those about objects outside namespaces have to be, the Events about AuditPolicies.
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
            "resourceNames": [AUTHORITY_SECRET, RECEIVERS, SERVING_SECRET],
            "verbs": ["get", "update"],
        },
    ]
    modules: list[Json] = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]
    events: list[Json] = [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    return [
        *_namespaced_role(OPERATOR, namespace, [*rules, *modules, *events], namespace),
        *_namespaced_role(OPERATOR, "default", events, namespace),
        *_namespaced_role(ADMISSION, namespace, modules, namespace),
    ]


def _namespaced_role(account: str, home: str, rules: list[Json], namespace: str) -> list[Json]:
    """A Role of one of our ServiceAccounts, which are in ``namespace``, and its binding."""
    metadata = {"name": account, "namespace": home, "labels": LABELS}
    return [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
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
