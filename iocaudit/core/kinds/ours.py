"""Our own kinds that people write. No check looks at them, so that they are none of the kinds the auditor knows."""

from iocaudit.core.kinds.kind import Kind

GROUP = "iocaudit.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

AUDIT_POLICY = Kind(GROUP, VERSION, "AuditPolicy", "auditpolicies", namespaced=False)
IOC_WAIVER = Kind(GROUP, VERSION, "IocWaiver", "iocwaivers", namespaced=False)
