"""Our own kinds. Checks look at AuditPolicies alone; of the others it is known that they are ours."""

from iocaudit.core.kinds.kind import Kind

GROUP = "iocaudit.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

AUDIT_POLICY = Kind(GROUP, VERSION, "AuditPolicy", "auditpolicies", namespaced=False, subresources=("status",))
IOC_WAIVER = Kind(GROUP, VERSION, "IocWaiver", "iocwaivers", namespaced=False)
IOC_FINDING = Kind(GROUP, VERSION, "IocFinding", "iocfindings")
CLUSTER_IOC_FINDING = Kind(GROUP, VERSION, "ClusterIocFinding", "clusteriocfindings", namespaced=False)
IOC_INCIDENT = Kind(GROUP, VERSION, "IocIncident", "iocincidents", namespaced=False)
ACTIVITY_PROFILE = Kind(GROUP, VERSION, "ActivityProfile", "activityprofiles")
AUDIT_REPORT = Kind(GROUP, VERSION, "AuditReport", "auditreports")
CLUSTER_AUDIT_REPORT = Kind(GROUP, VERSION, "ClusterAuditReport", "clusterauditreports", namespaced=False)
OURS = (
    AUDIT_POLICY,
    IOC_WAIVER,
    ACTIVITY_PROFILE,
    IOC_FINDING,
    CLUSTER_IOC_FINDING,
    IOC_INCIDENT,
    AUDIT_REPORT,
    CLUSTER_AUDIT_REPORT,
)
