"""Our own kinds, and those the operator writes, as the client addresses them."""

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, GROUP, IOC_WAIVER, VERSION

__all__ = [
    "AUDIT_POLICY",
    "AUDIT_REPORT",
    "CLUSTER_AUDIT_REPORT",
    "CLUSTER_IOC_FINDING",
    "GROUP",
    "IOC_FINDING",
    "IOC_WAIVER",
    "WEBHOOK_CONFIGURATION",
]

IOC_FINDING = Kind(GROUP, VERSION, "IocFinding", "iocfindings")
CLUSTER_IOC_FINDING = Kind(GROUP, VERSION, "ClusterIocFinding", "clusteriocfindings", namespaced=False)
AUDIT_REPORT = Kind(GROUP, VERSION, "AuditReport", "auditreports")
CLUSTER_AUDIT_REPORT = Kind(GROUP, VERSION, "ClusterAuditReport", "clusterauditreports", namespaced=False)

WEBHOOK_CONFIGURATION = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)
"""Written by the operator once the webhook answers."""
