"""Our own kinds, and those the operator writes, as the client addresses them."""

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.kinds.ours import AUDIT_POLICY, GROUP, IOC_WAIVER, VERSION

__all__ = [
    "AUDIT_POLICY",
    "AUDIT_REPORT",
    "CLUSTER_AUDIT_REPORT",
    "CLUSTER_IOC_FINDING",
    "GROUP",
    "IOC_FINDING",
    "IOC_WAIVER",
    "VALIDATING_WEBHOOK_CONFIGURATION",
    "finding_kind",
]

IOC_FINDING = Kind(GROUP, VERSION, "IocFinding", "iocfindings")
CLUSTER_IOC_FINDING = Kind(GROUP, VERSION, "ClusterIocFinding", "clusteriocfindings", namespaced=False)
AUDIT_REPORT = Kind(GROUP, VERSION, "AuditReport", "auditreports")
CLUSTER_AUDIT_REPORT = Kind(GROUP, VERSION, "ClusterAuditReport", "clusterauditreports", namespaced=False)


def finding_kind(namespace: str | None) -> Kind:
    """The kind of a finding that lives in a namespace (None: in cluster scope)."""
    return IOC_FINDING if namespace is not None else CLUSTER_IOC_FINDING
