"""Audit logs as a stream of events in the order of time, each request once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from iocaudit.core.shape import text
from iocaudit.decoding.objects import NotJsonError, decode, is_shallow
from iocaudit.signals.audit_event import AuditEvent, LinePlace, is_event, target_of
from iocaudit.signals.audit_filter import AuditFilter, EventFilter
from iocaudit.signals.audit_wrappers import NotAuditError, events_in
from iocaudit.signals.gke_entry import WRAPPER as GKE
from iocaudit.signals.log_files import MOST_LINE_BYTES, LogLine
from iocaudit.signals.timed_log import LogProgress, LogTally, TimedLog, UnreadLine

_MOST_REMEMBERED = 100_000
"""Requests that are remembered, so one that is logged twice counts once."""
_WRAPPERS = 6
_STAMPED = re.compile(rb"\d{4}-\d\d-\d\d[T ][0-9:.]+Z?[ \t]+(?=\{)")
"""The time that an export of CloudWatch to S3 puts before each event."""

__all__ = ["AuditLog", "LogProgress", "LogTally", "UnreadLine"]


class AuditLog(TimedLog[AuditEvent]):
    """The events of several logs. It is read once; ``tally`` grows meanwhile."""

    what = "audit log"

    def __init__(
        self,
        paths: Sequence[str],
        wanted: EventFilter,
        progress: LogProgress | None = None,
        *,
        most_line_bytes: int = MOST_LINE_BYTES,
    ) -> None:
        """``-`` is standard input. Raises LogError for a path that cannot be read."""
        super().__init__(paths, progress, most_line_bytes=most_line_bytes)
        self._filter = AuditFilter(wanted)
        self._seen: dict[int, None] = {}

    def alike(self, path: str) -> AuditLog:
        return AuditLog((path,), self._filter.by_name, most_line_bytes=self._most)

    def of_line(self, file: str, line: LogLine) -> Iterator[AuditEvent]:
        if not self._filter.may_matter(line.data):
            self.tally.left_out += 1
            return
        place = LinePlace(file, line.number)
        try:
            raw = self._decoded(line.data)
        except NotJsonError as error:
            cut = "" if line.data.endswith(b"\n") else " (the file may have been cut, or is still being written)"
            self.tally.cannot_read(place, f"not JSON: {error}{cut}")
            return
        found = 0
        for event in events_in(raw, place, self._filter.may_matter) if raw is not None else ():
            found += 1
            if isinstance(event, NotAuditError):
                self.tally.is_foreign(place, str(event))
            elif not self._matters(event):
                self.tally.left_out += 1
            elif self._is_repeated(event):
                self.tally.repeated += 1
            else:
                self.tally.wrappers[event.wrapper] += 1
                yield event
        if not found:
            self.tally.left_out += 1

    def _decoded(self, data: bytes) -> Any:
        """The value of a line; None where it is an event that cannot matter. Raises NotJsonError."""
        stamp = _STAMPED.match(data)
        if stamp is not None:
            data = data[stamp.end() :]
        try:
            found = orjson.loads(data)
        except orjson.JSONDecodeError:
            return decode(data)
        if isinstance(found, dict) and is_event(found):
            target = target_of(found)
            if not self._filter.by_name(text(found.get("verb")).lower(), target.group, target.whole):
                return None
        # Wrappers may be around an object of the most levels that count.
        return found if is_shallow(data, found, wrappers=_WRAPPERS) else decode(data)

    def _matters(self, event: AuditEvent) -> bool:
        target = event.target
        return event.is_answered and self._filter.by_name(event.verb, target.group, target.whole)

    def _is_repeated(self, event: AuditEvent) -> bool:
        """Whether the same request was handed on before. The id alone is the client's to choose."""
        if not event.audit_id:
            return False
        # The two entries of a connection in Google's logs have a time each, and an id that is Google's.
        received = None if event.wrapper == GKE and event.is_connection else event.received
        key = hash((event.audit_id, received, event.user.username, event.verb, event.target))
        if key in self._seen:
            return True
        if len(self._seen) >= _MOST_REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = None
        return False
