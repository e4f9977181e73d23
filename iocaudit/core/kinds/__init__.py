"""The kinds the auditor knows.

A kind that is not declared in one of these modules can still be read and printed; no check looks at it.
Every ``Kind`` at the top of a module listed here is known; a new one needs no further entry.
"""

from types import ModuleType

from iocaudit.core.kinds import (
    builtin,
    connections,
    flow_control,
    gateway_api,
    gateways,
    ours,
    policies,
    rbac_manager,
    scaling,
    workloads,
)
from iocaudit.core.kinds.builtin import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    INGRESS,
    INGRESS_CLASS,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
)
from iocaudit.core.kinds.connections import CONNECTIONS
from iocaudit.core.kinds.gateways import (
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
)
from iocaudit.core.kinds.kind import Kind, PodLocation
from iocaudit.core.kinds.rbac_manager import RBAC_DEFINITION
from iocaudit.core.kinds.workloads import (
    CRON_JOB,
    CUSTOM_WORKLOADS,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    POD_TEMPLATE,
    PODS,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
    WORKLOADS,
)

_MODULES: tuple[ModuleType, ...] = (
    workloads,
    builtin,
    gateway_api,
    gateways,
    ours,
    policies,
    flow_control,
    connections,
    rbac_manager,
    scaling,
)


def _declared(value: object) -> tuple[Kind, ...]:
    if isinstance(value, Kind):
        return (value,)
    return tuple(v for v in value if isinstance(v, Kind)) if isinstance(value, tuple) else ()


KINDS: dict[tuple[str, str], Kind] = {
    kind.key: kind for module in _MODULES for value in vars(module).values() for kind in _declared(value)
}

# Groups that served a kind before it moved; the API server converts them, files still carry them.
_MOVED: dict[tuple[str, str], Kind] = {
    ("extensions", "Deployment"): DEPLOYMENT,
    ("extensions", "DaemonSet"): DAEMON_SET,
    ("extensions", "ReplicaSet"): REPLICA_SET,
    ("extensions", "Ingress"): INGRESS,
    ("extensions", "NetworkPolicy"): NETWORK_POLICY,
    ("extensions", "Job"): JOB,
    ("", "DeploymentConfig"): KINDS["apps.openshift.io", "DeploymentConfig"],
    ("authorization.openshift.io", "ClusterRole"): CLUSTER_ROLE,
    ("authorization.openshift.io", "Role"): ROLE,
    ("authorization.openshift.io", "ClusterRoleBinding"): CLUSTER_ROLE_BINDING,
    ("authorization.openshift.io", "RoleBinding"): ROLE_BINDING,
}


def kind_of(group: str, name: str) -> Kind | None:
    """The kind served as ``group`` and ``name`` now or in the past; None where we don't know it."""
    return KINDS.get((group, name)) or _MOVED.get((group, name))


__all__ = [
    "CLUSTER_ROLE",
    "CLUSTER_ROLE_BINDING",
    "CONFIG_MAP",
    "CONNECTIONS",
    "CRON_JOB",
    "CUSTOM_WORKLOADS",
    "DAEMON_SET",
    "DEPLOYMENT",
    "INGRESS",
    "INGRESS_CLASS",
    "JOB",
    "KINDS",
    "LEGACY_TRAEFIK_INGRESS_ROUTE",
    "LEGACY_TRAEFIK_MIDDLEWARE",
    "LIMIT_RANGE",
    "NAMESPACE",
    "NETWORK_POLICY",
    "PERSISTENT_VOLUME",
    "PERSISTENT_VOLUME_CLAIM",
    "POD",
    "PODS",
    "POD_TEMPLATE",
    "RBAC_DEFINITION",
    "REPLICATION_CONTROLLER",
    "REPLICA_SET",
    "ROLE",
    "ROLE_BINDING",
    "SECRET",
    "SERVICE",
    "SERVICE_ACCOUNT",
    "STATEFUL_SET",
    "TRAEFIK_INGRESS_ROUTE",
    "TRAEFIK_MIDDLEWARE",
    "WORKLOADS",
    "Kind",
    "PodLocation",
    "kind_of",
]
