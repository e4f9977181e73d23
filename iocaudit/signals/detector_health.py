"""What is wrong with the detectors themselves: a sender that fell silent, rules that are not loaded, events dropped.

Detectors whose alerts reach nobody are worse than none: everybody believes that it is quiet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.signal import SignalSource


class HealthRule(NamedTuple):
    """``iocs`` are the indicators that may be missed meanwhile."""

    id: str
    title: str
    severity: Severity
    iocs: tuple[IoC, ...]


SILENT = HealthRule("detector-silent", "A sender of signals has fallen silent", Severity.HIGH, tuple(IoC))
CLOCK_OFF = HealthRule("detector-clock-off", "A sender's clock runs ahead", Severity.LOW, (IoC.USER_ACTIVITY,))
LEVEL_LOW = HealthRule(
    "audit-level-too-low",
    "The audit log does not hold what roles and bindings grant",
    Severity.MEDIUM,
    (IoC.CLUSTER_ADMIN,),
)
NO_SOURCE = HealthRule(
    "detector-no-source", "No sender is configured that sees an indicator", Severity.MEDIUM, tuple(IoC)
)
NOT_LOADED = HealthRule("detector-rules-not-loaded", "Rules that we ship are not loaded", Severity.HIGH, tuple(IoC))
DROPS = HealthRule("detector-drops", "Signals were dropped", Severity.MEDIUM, tuple(IoC))
UNHEARD = HealthRule("detector-unheard", "The operator did not take what was seen", Severity.HIGH, tuple(IoC))
GAP = HealthRule("detector-gap", "Signals were lost while the receivers were down", Severity.MEDIUM, tuple(IoC))
HEALTH_RULES = {rule.id: rule for rule in (SILENT, CLOCK_OFF, LEVEL_LOW, NO_SOURCE, NOT_LOADED, DROPS, UNHEARD, GAP)}

_AUDIT, _FALCO, _ALERTS = SignalSource.AUDIT, SignalSource.FALCO, SignalSource.ALERTMANAGER
WITNESSES: Final[dict[IoC, tuple[SignalSource, ...]]] = {
    IoC.RESOURCE_SPIKE: (_ALERTS,),
    IoC.OUTBOUND_TRAFFIC: (_FALCO, _ALERTS),
    IoC.CLUSTER_ADMIN: (_AUDIT,),
    IoC.USER_ACTIVITY: (_AUDIT,),
    IoC.INBOUND_TRAFFIC: (_ALERTS, _AUDIT),
    IoC.FILESYSTEM_CHANGE: (_FALCO,),
    IoC.DNS_ANOMALY: (_ALERTS, _FALCO),
    IoC.RESPONSE_SIZE: (_ALERTS,),
    IoC.UNKNOWN_BINARY: (_FALCO,),
    IoC.HTTP_ERRORS: (_ALERTS, _AUDIT),
}
"""Who sees the activity itself. Others see a trace of it at most, as the audit log sees who changed the DNS server."""

HEARTBEAT_ALERT: Final = "IocauditHeartbeat"
"""The alert that always fires, once for each file of our rules for Prometheus, which its label ``rules`` names."""
RULE_GROUPS: Final = (
    "dns", "health", "http_errors", "inbound", "outbound", "requests", "resources", "responses", "workloads",
)  # fmt: skip
"""The files of rules for Prometheus that we ship."""
HEALTH_LABEL: Final = "iocaudit_health"
"""The label of alerts that tell of a detector's health: ``heartbeat`` or ``drops``."""
FALCO_RULES: Final = "iocaudit_rules"
"""The file of Falco's rules that we ship, without its suffix. That of the audit log needs a plugin and is not asked."""


def seen_by(sources: frozenset[SignalSource]) -> tuple[IoC, ...]:
    """The indicators that senders of these sources see."""
    return tuple(ioc for ioc in IoC if sources & set(WITNESSES[ioc]))
