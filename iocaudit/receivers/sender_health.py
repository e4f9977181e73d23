"""Looks whether senders still speak, by the right clock and at a level that suffices.

A sender is missed where its entry says after how many seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from iocaudit.receivers.senders import Sender, Senders
from iocaudit.receivers.troubles import Troubles, moment_of, of_sender
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.detector_health import CLOCK_OFF, LEVEL_LOW, SILENT
from iocaudit.signals.signal import Signal

AHEAD: Final = 300.0
"""Seconds by which a sender's time may be later than ours."""
_WRITES = frozenset({"create", "update", "patch"})
_RBAC = "rbac.authorization.k8s.io"


class SenderHealth:
    """`heard` is told by the event loop of each post that was stored; the rest is the reader's."""

    def __init__(
        self, senders: Callable[[], Senders], troubles: Troubles, clock: Callable[[], float] = time.time
    ) -> None:
        self._senders, self._troubles, self._clock = senders, troubles, clock
        self._lock = threading.Lock()
        self._begun = clock()
        self._heard: dict[str, float] = {}

    def heard(self, sender: str) -> None:
        """A post of a sender was stored."""
        with self._lock:
            self._heard[sender] = self._clock()

    def look(self) -> None:
        """Tell of the senders that are missed. Before its first post one counts as heard at the start."""
        now = self._clock()
        missed = set()
        for sender in self._senders():
            if sender.silent_after is None:
                continue
            with self._lock:
                heard = self._heard.get(sender.name)
            since = self._begun if heard is None else heard
            about = of_sender(sender.name)
            if now - since > sender.silent_after:
                missed.add(about)
                said = (
                    f"since {moment_of(heard)}"
                    if heard is not None
                    else f"since these receivers began at {moment_of(since)}"
                )
                self._troubles.tell(SILENT, about, f"{sender.name} has sent nothing {said}", now)
            elif heard is None:
                missed.add(about)  # after a restart nothing shows yet that it speaks again
        for about in self._troubles.about(SILENT):
            if about not in missed:
                self._troubles.over(SILENT, about, f"{about.name} speaks, or is not waited for any more", now)
        for rule in (CLOCK_OFF, LEVEL_LOW):
            self._troubles.end_quiet(rule, now)

    def see(self, signal: Signal, sender: Sender, received: float) -> None:
        """Tell what is wrong with a signal that was received at a time of our clock."""
        if signal.when is not None and signal.when.timestamp() - received > AHEAD:
            ahead = signal.when.timestamp() - received
            message = f"{sender.name} sent a time that is {ahead:,.0f} s ahead: sequences of steps cannot be trusted"
            self._troubles.tell(CLOCK_OFF, of_sender(sender.name), message, received)
        report = signal.report
        if isinstance(report, AuditEvent) and _lacks_grants(report):
            message = (
                f"{sender.name} sends writes of {report.target.resource} at level Metadata: what they grant cannot be "
                "judged; log RBAC at level Request"
            )
            self._troubles.tell(LEVEL_LOW, of_sender(sender.name), message, received)


def _lacks_grants(event: AuditEvent) -> bool:
    return (
        event.level == "Metadata"
        and event.target.group == _RBAC
        and event.verb in _WRITES
        and event.went_on
        and not event.target.subresource
    )
