"""Tells of what was dropped before or at the receivers.

- Falco: its alert of dropped system calls, and in its metrics snapshots the system calls and alerts dropped since.
- The API server: our alert on ``apiserver_audit_error_total``. Audit events have no number: no gap shows.
- Alertmanager: alerts that it left out of a message (``max_alerts``).
- The audit log file: one that went away before it was read to its end.
- The receivers: posts that were answered with 503, and what was turned away unread.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from iocaudit.core.severity import IoC
from iocaudit.receivers.rule_health import SNAPSHOT
from iocaudit.receivers.senders import LOG_SENDER, Sender
from iocaudit.receivers.troubles import RECEIVERS, Troubles, of_sender
from iocaudit.signals.alerts import MetricAlert
from iocaudit.signals.detector_health import DROPS, HEALTH_LABEL, seen_by
from iocaudit.signals.falco import FalcoAlert
from iocaudit.signals.signal import Signal

EVENT_DROP: Final = "Falco internal: syscall event drop"
_QUEUE = "falco.outputs_queue_num_drops"
_MOST_NODES = 10_000
_OF_CLIENTS = frozenset({"incomplete-body"})
"""Reasons to turn a request away that are its sender's own doing."""


class DropHealth:
    """`refused` and `rejected` are told by the event loop, the rest is the reader's."""

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._lost = ""
        self._queues: dict[tuple[str, str], int] = {}

    def refused(self, sender: str) -> None:
        """A post of a sender was answered with 503."""
        with self._lock:
            self._refused[sender] += 1

    def rejected(self, reason: str) -> None:
        """A request was turned away before its body was read, of whom is not known."""
        with self._lock:
            self._rejected[reason] += 1

    def lost(self, what: str) -> None:
        """Part of the audit log file will never be read, from the thread that follows it."""
        with self._lock:
            self._lost = what

    def look(self, now: float) -> None:
        """Tell what was refused since the last look, and what is over."""
        with self._lock:
            refused, rejected = self._refused, self._rejected
            lost, self._lost = self._lost, ""
            self._refused, self._rejected = Counter(), Counter()
        if lost:
            self._troubles.tell(DROPS, of_sender(LOG_SENDER.name), lost, now, seen_by(LOG_SENDER.sources))
        for name, count in sorted(refused.items()):
            message = f"{count:,} posts of {name} were answered with 503: nothing of them was stored"
            self._troubles.tell(DROPS, of_sender(name), message, now)
        if said := [f"{count:,} {reason}" for reason, count in sorted(rejected.items()) if reason not in _OF_CLIENTS]:
            self._troubles.tell(DROPS, RECEIVERS, f"posts were turned away unread: {', '.join(said)}", now)
        self._troubles.end_quiet(DROPS, now)

    def see(self, signal: Signal, sender: Sender, received: float) -> None:
        """Tell what a signal says that was dropped."""
        report = signal.report
        message = ""
        if isinstance(report, MetricAlert):
            if report.labels.get(HEALTH_LABEL) == "drops" and report.is_firing:
                message = report.annotations.get("summary") or report.name
            elif report.truncated:
                message = f"Alertmanager left {report.truncated:,} alerts of a group out: raise max_alerts"
        elif isinstance(report, FalcoAlert) and report.rule == EVENT_DROP:
            message = f"Falco dropped {_number(report, 'n_drops'):,} of {_number(report, 'n_evts'):,} system calls"
        elif isinstance(report, FalcoAlert) and report.rule == SNAPSHOT:
            message = self._in_snapshot(report, sender)
        if message:
            where = f" on {report.hostname}" if isinstance(report, FalcoAlert) and report.hostname else ""
            missed: tuple[IoC, ...] = seen_by(sender.sources) or DROPS.iocs
            self._troubles.tell(DROPS, of_sender(sender.name), message + where, received, missed)

    def _in_snapshot(self, alert: FalcoAlert, sender: Sender) -> str:
        """What was dropped since the snapshot before. Counts of alerts begin anew with each start of Falco."""
        said = []
        if "scap.n_drops_prev" in alert.fields:
            calls = _number(alert, "scap.n_drops") - _number(alert, "scap.n_drops_prev")
            if calls > 0:
                said.append(f"{calls:,} system calls")
        key, total = (sender.name, alert.hostname), _number(alert, _QUEUE)
        before = self._queues.get(key)
        if before is not None or len(self._queues) < _MOST_NODES:
            self._queues[key] = total
        if before is not None and total > before:
            said.append(f"{total - before:,} alerts")
        return f"Falco dropped {' and '.join(said)} since its snapshot before" if said else ""


def _number(alert: FalcoAlert, name: str) -> int:
    """A figure of an alert, which falcosidekick and old releases write as text; else 0."""
    given = alert.field(name)
    return int(given) if given.isascii() and given.isdigit() and len(given) < 20 else 0
