"""Recorded signals of every sort as one stream in the order of time: audit logs, Falco's output, Alertmanager's.

Each line says by its own shape what it is, so one file may hold several sorts. The same signal counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from iocaudit.core.shape import Json
from iocaudit.signals.alerts import is_alertmanager, read_alerts
from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.audit_log import AuditLog
from iocaudit.signals.falco import is_falco, read_alert
from iocaudit.signals.log_files import MOST_LINE_BYTES, LogLine
from iocaudit.signals.signal import Signal, SignalReport, signal_of
from iocaudit.signals.timed_log import LogProgress, TimedLog

_MOST_REMEMBERED = 100_000
FALCO, ALERTMANAGER = "falco", "alertmanager"


class SignalLog(TimedLog[Signal]):
    """The signals of several logs. It is read once; ``tally`` grows meanwhile."""

    what = "log"

    def __init__(
        self, paths: Sequence[str], progress: LogProgress | None = None, *, most_line_bytes: int = MOST_LINE_BYTES
    ) -> None:
        """``-`` is standard input. Raises LogError for a path that cannot be read."""
        super().__init__(paths, progress, most_line_bytes=most_line_bytes)
        self._audit = AuditLog((), _every, most_line_bytes=most_line_bytes)
        self._audit.tally = self.tally
        self._seen: dict[str, None] = {}

    def alike(self, path: str) -> SignalLog:
        return SignalLog((path,), most_line_bytes=self._most)

    def of_line(self, file: str, line: LogLine) -> Iterator[Signal]:
        raw = _alert_in(line.data)
        if raw is None:
            yield from map(signal_of, self._audit.of_line(file, line))
            return
        place = LinePlace(file, line.number)
        reports: list[SignalReport] = [read_alert(raw, place)] if is_falco(raw) else [*read_alerts(raw, place)]
        for report in reports:
            signal = signal_of(report)
            if self._is_repeated(signal.identity):
                self.tally.repeated += 1
                continue
            self.tally.wrappers[signal.source] += 1
            yield signal
        if not reports:
            self.tally.left_out += 1

    def _is_repeated(self, identity: str) -> bool:
        if identity in self._seen:
            return True
        if len(self._seen) >= _MOST_REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._seen[identity] = None
        return False


def _every(_verb: str, _group: str, _resource: str) -> bool:
    return True


def _alert_in(data: bytes) -> Json | None:
    """The alert of Falco or the message of Alertmanager that a line is; None where it is anything else.

    Most lines are events of an audit log: only one that has the words of an alert is decoded here.
    """
    if not ((b'"rule"' in data and (b'"output_fields"' in data or b'"priority"' in data)) or b'"alerts"' in data):
        return None
    try:
        raw = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return raw if isinstance(raw, dict) and (is_falco(raw) or is_alertmanager(raw)) else None
