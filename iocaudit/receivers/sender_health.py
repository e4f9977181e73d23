"""Looks whether senders still speak, by the right clock and at a level that suffices; what is wrong is counted as seen.

A sender is missed where its entry says after how many seconds. Each trouble is counted once in `AGAIN` seconds for as
long as it lasts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from iocaudit.core.moments import rfc3339
from iocaudit.evidence.key import RUNTIME, EvidenceKey, EvidenceTally
from iocaudit.receivers.attribution import SENDER_KIND
from iocaudit.receivers.senders import Sender, Senders
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.detector_health import CLOCK_OFF, LEVEL_LOW, SILENT, HealthRule
from iocaudit.signals.signal import Signal

AGAIN: Final = 600.0
AHEAD: Final = 300.0
"""Seconds by which a sender's time may be later than ours."""
_WRITES = frozenset({"create", "update", "patch"})
_RBAC = "rbac.authorization.k8s.io"


class SenderHealth:
    """`heard` is told by the event loop of each post that was stored; the rest is the reader's."""

    def __init__(
        self,
        senders: Callable[[], Senders],
        count: Callable[[EvidenceKey, EvidenceTally], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._senders, self._count, self._clock = senders, count, clock
        self._lock = threading.Lock()
        self._begun = clock()
        self._heard: dict[str, float] = {}
        self._told: dict[tuple[str, str], float] = {}

    def heard(self, sender: str) -> None:
        """A post of a sender was stored."""
        with self._lock:
            self._heard[sender] = self._clock()

    def look(self) -> None:
        """Count the senders that are missed. Before its first post one counts as heard at the start."""
        now = self._clock()
        for sender in self._senders():
            if sender.silent_after is None:
                continue
            with self._lock:
                heard = self._heard.get(sender.name)
            since = self._begun if heard is None else heard
            if now - since > sender.silent_after:
                said = (
                    f"since {_time(heard)}" if heard is not None else f"since these receivers began at {_time(since)}"
                )
                self._tell(SILENT, sender, f"{sender.name} has sent nothing {said}", now)

    def see(self, signal: Signal, sender: Sender, received: float) -> None:
        """Count what is wrong with a signal that was received at a time of our clock."""
        if signal.when is not None and signal.when.timestamp() - received > AHEAD:
            ahead = signal.when.timestamp() - received
            message = f"{sender.name} sent a time that is {ahead:,.0f} s ahead: sequences of steps cannot be trusted"
            self._tell(CLOCK_OFF, sender, message, received)
        report = signal.report
        if isinstance(report, AuditEvent) and _lacks_grants(report):
            message = (
                f"{sender.name} sends writes of {report.target.resource} at level Metadata: what they grant cannot be "
                "judged; log RBAC at level Request"
            )
            self._tell(LEVEL_LOW, sender, message, received)

    def _tell(self, rule: HealthRule, sender: Sender, message: str, now: float) -> None:
        key = (rule.id, sender.name)
        if 0 <= now - self._told.get(key, -AGAIN) < AGAIN:
            return
        self._told[key] = now
        self._count(
            EvidenceKey(rule.id, "", SENDER_KIND, None, sender.name, "", RUNTIME),
            EvidenceTally(1, now, now, rule.severity, rule.iocs, message, ""),
        )


def _lacks_grants(event: AuditEvent) -> bool:
    return (
        event.level == "Metadata"
        and event.target.group == _RBAC
        and event.verb in _WRITES
        and event.went_on
        and not event.target.subresource
    )


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
