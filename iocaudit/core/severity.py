"""How bad a hit is, and which indicator of compromise it belongs to."""

from enum import IntEnum


class Severity(IntEnum):
    """Ordered, so ``max()`` and thresholds work. ``label`` is the spelling users see."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> "Severity":
        """Read ``critical``, ``high``, ``medium`` or ``low``; raises ValueError naming the choices."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"{text!r} is not a severity (critical, high, medium, low)") from None


class IoC(IntEnum):
    """The ten indicators of compromise, by the number users see."""

    RESOURCE_SPIKE = 1
    OUTBOUND_TRAFFIC = 2
    CLUSTER_ADMIN = 3
    USER_ACTIVITY = 4
    INBOUND_TRAFFIC = 5
    FILESYSTEM_CHANGE = 6
    DNS_ANOMALY = 7
    RESPONSE_SIZE = 8
    UNKNOWN_BINARY = 9
    HTTP_ERRORS = 10

    @property
    def title(self) -> str:
        return _TITLES[self]

    @property
    def short(self) -> str:
        """A few words for a summary, where the number follows in brackets."""
        return _SHORT[self]


_TITLES = {
    IoC.RESOURCE_SPIKE: "CPU or memory spike of a container (resource hijacking)",
    IoC.OUTBOUND_TRAFFIC: "abnormal outbound traffic",
    IoC.CLUSTER_ADMIN: "cluster-admin, privilege escalation, privileged and root containers",
    IoC.USER_ACTIVITY: "abnormal user activity",
    IoC.INBOUND_TRAFFIC: "abnormal inbound traffic (denial of service)",
    IoC.FILESYSTEM_CHANGE: "unexpected change of a filesystem",
    IoC.DNS_ANOMALY: "anomalies in DNS requests",
    IoC.RESPONSE_SIZE: "abnormal size of HTTP responses (exfiltration)",
    IoC.UNKNOWN_BINARY: "unknown binaries spawned",
    IoC.HTTP_ERRORS: "spikes of HTTP 403 and 404",
}
_SHORT = {
    IoC.RESOURCE_SPIKE: "resource spike",
    IoC.OUTBOUND_TRAFFIC: "outbound traffic",
    IoC.CLUSTER_ADMIN: "privilege escalation",
    IoC.USER_ACTIVITY: "user activity",
    IoC.INBOUND_TRAFFIC: "inbound traffic",
    IoC.FILESYSTEM_CHANGE: "filesystem change",
    IoC.DNS_ANOMALY: "DNS anomaly",
    IoC.RESPONSE_SIZE: "response size",
    IoC.UNKNOWN_BINARY: "unknown binary",
    IoC.HTTP_ERRORS: "HTTP errors",
}
