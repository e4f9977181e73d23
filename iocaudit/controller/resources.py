"""Our own kinds, and those the operator writes, as the client addresses them."""

from iocaudit.core.kinds import Kind

GROUP = "iocaudit.io"
VERSION = "v1alpha1"

IOC_FINDING = Kind(GROUP, VERSION, "IocFinding", "iocfindings")
CLUSTER_IOC_FINDING = Kind(GROUP, VERSION, "ClusterIocFinding", "clusteriocfindings", namespaced=False)
AUDIT_REPORT = Kind(GROUP, VERSION, "AuditReport", "auditreports")
CLUSTER_AUDIT_REPORT = Kind(GROUP, VERSION, "ClusterAuditReport", "clusterauditreports", namespaced=False)
AUDIT_POLICY = Kind(GROUP, VERSION, "AuditPolicy", "auditpolicies", namespaced=False)

WEBHOOK_CONFIGURATION = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)
"""Written by the operator once the webhook answers."""
