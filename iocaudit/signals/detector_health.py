"""What is wrong with the detectors themselves: a sender that fell silent, a clock that is off, a level that is too low.

Detectors whose alerts reach nobody are worse than none: everybody believes that it is quiet.
"""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.severity import IoC, Severity


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
HEALTH_RULES = {rule.id: rule for rule in (SILENT, CLOCK_OFF, LEVEL_LOW)}
