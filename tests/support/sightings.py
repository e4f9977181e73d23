"""Sightings of made-up rules, at minutes of one day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import signal_of
from tests.support.audit_events import event

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)


def sighting(
    minute: int | None,
    rule: str = "a",
    account: str = "alice",
    pod: str = "p",
    severity: Severity = Severity.MEDIUM,
    ioc: IoC = IoC.USER_ACTIVITY,
    *,
    is_check: bool = False,
    is_sequence: bool = False,
) -> Sighting:
    """Of an audit event about a pod in ``shop``; without a minute it has no time."""
    when = None if minute is None else (BEGIN + timedelta(minutes=minute)).isoformat()
    raw = event(
        1,
        user={"username": account},
        objectRef={"resource": "pods", "namespace": "shop", "name": pod} if pod else None,
        requestObject=None,
        responseObject=None,
        requestReceivedTimestamp=when,
        stageTimestamp=when,
    )
    signal = signal_of(read_event(raw, LinePlace("log", 1), "native"))
    return Sighting(
        rule, rule, (ioc,), severity, f"{rule} was seen", signal, is_check=is_check, is_sequence=is_sequence
    )
