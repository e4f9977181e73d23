"""Our own kinds, and those the operator writes, as the client addresses them."""

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.kinds.ours import (
    ACTIVITY_PROFILE,
    AUDIT_POLICY,
    AUDIT_REPORT,
    CLUSTER_AUDIT_REPORT,
    CLUSTER_IOC_FINDING,
    GROUP,
    IOC_FINDING,
    IOC_INCIDENT,
    IOC_WAIVER,
)

__all__ = [
    "ACTIVITY_PROFILE",
    "AUDIT_POLICY",
    "AUDIT_REPORT",
    "CLUSTER_AUDIT_REPORT",
    "CLUSTER_IOC_FINDING",
    "GROUP",
    "IOC_FINDING",
    "IOC_INCIDENT",
    "IOC_WAIVER",
    "VALIDATING_WEBHOOK_CONFIGURATION",
    "finding_kind",
]


def finding_kind(namespace: str | None) -> Kind:
    """The kind of a finding that lives in a namespace (None: in cluster scope)."""
    return IOC_FINDING if namespace is not None else CLUSTER_IOC_FINDING
