"""The incidents of a running cluster: opened, told again, merged and closed as signals arrive.

What belongs together depends on the signals alone (`incidents.correlation`). The book adds what needs a memory:

- An incident keeps the **name** it was opened with, whatever comes late, and whatever joins it.
- It is **open** while its last signal is at most as old as the window, and closed after that. A signal that belongs to
  it opens it again.
- Where two turn out to be one, the older goes on, and the other is **merged** into it.
- Where what it consisted of turned out to be a habit of the cluster, it is closed, and says so.
- It is told when it is opened, when its state, its severity or its indicators change, and, of what is only counted,
  ever more rarely.

Strands are forgotten a day after their last signal, but never those of an incident that is known, which is known for as
long as it is open, and a day more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.incidents.correlation import Incident, incidents_of
from iocaudit.incidents.kept_strands import StrandsFormatError, strands_of_bytes, strands_to_bytes
from iocaudit.incidents.strand import WINDOW, Strand, StrandKey, StrandLog
from iocaudit.incidents.telling import record_of
from iocaudit.records.incident import (
    IncidentFormatError,
    IncidentRecord,
    IncidentState,
    incident_content,
    read_incident,
)

HORIZON: Final = timedelta(days=1)
"""Over which habits are learned, and for which what was closed is remembered."""
MOST_STRANDS: Final = 10_000
MOST_KNOWN: Final = 300
FIRST_UPDATE: Final = timedelta(seconds=10)
LONGEST_UPDATE: Final = timedelta(minutes=30)
QUIET = "no signal of it for an hour"
HABIT = "what it consisted of turned out to be usual in this cluster"
_VERSION = 1


class BookFormatError(IocauditError):
    """A book that was kept cannot be read; says why."""


class StrandSpan(NamedTuple):
    """Where a strand was when it was looked at: strands only grow, so one that overlaps it is the same."""

    key: StrandKey
    first: datetime
    last: datetime


@dataclass(slots=True)
class _KnownIncident:
    """``told`` is what was told last, and when; ``wait`` how long what is only counted may wait after that."""

    told: IncidentRecord
    told_at: datetime
    spans: tuple[StrandSpan, ...]
    wait: timedelta = FIRST_UPDATE
    is_behind: bool = False
    """Whether something was counted that was not told."""

    @property
    def last(self) -> datetime:
        return max(span.last for span in self.spans)

    @property
    def age(self) -> tuple[datetime, str]:
        return (self.told.opened, self.told.name)


class IncidentBook:
    """Takes strands and says what is to be told. One thread uses it."""

    def __init__(self, window: timedelta = WINDOW, most: int = MOST_STRANDS) -> None:
        self._window, self._most = window, most
        self._log = StrandLog(window, 2 * most)
        self._known: dict[str, _KnownIncident] = {}
        self._changed = False
        self.forgotten = 0
        """Strands that were forgotten for want of room."""

    def __len__(self) -> int:
        """How many incidents are known."""
        return len(self._known)

    @property
    def strands(self) -> int:
        return len(self._log)

    @property
    def beyond(self) -> int:
        """Sightings for which there was no room between two looks."""
        return self._log.beyond

    def put(self, strand: Strand) -> None:
        """Take one sighting, as a strand."""
        self._log.put(strand)
        self._changed = True

    # -- what is to be told --------------------------------------------------------------------------------

    def look(self, now: datetime) -> list[IncidentRecord]:
        """What changed since the last look, by name."""
        if not self._changed and not any(self._is_due(one, now) for one in self._known.values()):
            return []
        self._changed = False
        self._forget_strands(now)
        told: list[IncidentRecord] = []
        stands: set[str] = set()
        for incident, known, others in self._matched(incidents_of(self._log, self._window)):
            record = self._record(incident, known, now)
            stands.add(record.name)
            if self._is_told(record, incident, now, has_grown=bool(others)):
                told.append(record)
            for other in others:
                told.append(self._end(other, IncidentState.MERGED, f"it is one with {record.name}", record.name))
        told += self._fallen([known for name, known in self._known.items() if name not in stands], now)
        self._forget_incidents(now)
        return sorted(told, key=lambda one: one.name)

    def _is_due(self, known: _KnownIncident, now: datetime) -> bool:
        """Whether time alone changes it."""
        if known.is_behind and self._may_count(known, now):
            return True
        if known.told.state is IncidentState.OPEN:
            return now - known.last > self._window
        return now - known.told.last > HORIZON

    def _may_count(self, known: _KnownIncident, now: datetime) -> bool:
        return now - known.told_at >= known.wait

    def _matched(self, found: list[Incident]) -> Iterator[tuple[Incident, _KnownIncident | None, list[_KnownIncident]]]:
        """Each incident with the one that was known of it, the oldest, and those that are now a part of it."""
        by_key: dict[StrandKey, list[tuple[StrandSpan, str]]] = {}
        for name, known in self._known.items():
            if known.told.state is not IncidentState.MERGED:
                for span in known.spans:
                    by_key.setdefault(span.key, []).append((span, name))
        touched = [_touched(incident, by_key) for incident in found]
        taken: dict[str, int] = {}
        # What was one and is two now goes on where the worse is: incidents come the worst first.
        for number, names in enumerate(touched):
            mine = [name for name in names if name not in taken]
            if mine:
                taken[min(mine, key=lambda name: self._known[name].age)] = number
        for number, names in enumerate(touched):
            own = next((name for name in names if taken.get(name) == number), None)
            parts = [self._known[name] for name in names if name not in taken]
            for part in parts:
                taken[part.told.name] = -1
            yield found[number], self._known[own] if own is not None else None, parts

    def _record(self, incident: Incident, known: _KnownIncident | None, now: datetime) -> IncidentRecord:
        name = known.told.name if known is not None else self._new_name(incident.name)
        opened = known.told.opened if known is not None else now
        is_open = now - incident.last <= self._window
        state, reason = (IncidentState.OPEN, "") if is_open else (IncidentState.CLOSED, QUIET)
        return record_of(incident, name, opened, state, reason)

    def _new_name(self, name: str) -> str:
        """The name that the incident has by its beginning, unless one has it that began there and was split."""
        free, number = name, 1
        while free in self._known:
            number += 1
            free = f"{name}{number:x}"
        return free

    def _is_told(self, record: IncidentRecord, incident: Incident, now: datetime, *, has_grown: bool) -> bool:
        spans = tuple(StrandSpan(one.key, one.first, one.last) for one in incident.strands)
        known = self._known.get(record.name)
        if known is None:
            self._known[record.name] = _KnownIncident(record, now, spans)
            return True
        known.spans = spans
        if has_grown or _is_news(known.told, record):
            known.wait = FIRST_UPDATE
        elif record == known.told or not self._may_count(known, now):
            known.is_behind = record != known.told
            return False
        else:
            known.wait = min(known.wait * 2, LONGEST_UPDATE)
        known.told, known.told_at, known.is_behind = record, now, False
        return True

    def _fallen(self, rest: list[_KnownIncident], now: datetime) -> list[IncidentRecord]:
        """End those that are habits by now, and those of which nothing is left."""
        told: list[IncidentRecord] = []
        by_key: dict[StrandKey, list[Strand]] = {}
        for strand in self._log if rest else ():
            by_key.setdefault(strand.key, []).append(strand)
        for known in rest:
            is_here = all(any(_overlaps(span, one) for one in by_key.get(span.key, ())) for span in known.spans)
            if known.told.state is IncidentState.MERGED or known.told.reason == HABIT:
                continue
            # After a restart what it consists of may not have been read again yet.
            if is_here:
                told.append(self._end(known, IncidentState.CLOSED, HABIT))
            elif known.told.state is IncidentState.OPEN and now - known.last > self._window:
                told.append(self._end(known, IncidentState.CLOSED, QUIET))
        return told

    def _end(self, known: _KnownIncident, state: IncidentState, reason: str, into: str = "") -> IncidentRecord:
        known.told = replace(known.told, state=state, reason=reason, merged_into=into)
        return known.told

    # -- what is forgotten ---------------------------------------------------------------------------------

    def _forget_strands(self, now: datetime) -> None:
        held = self._spans_by_key()
        for strand in list(self._log):
            if now - strand.last > HORIZON and not _is_held(strand, held):
                self._log.remove(strand)
        if len(self._log) > self._most:
            # Where there is no room those go that are silent for longest, what no incident consists of first.
            rest = sorted(self._log, key=lambda one: (_is_held(one, held), one.last, one.first, one.key))
            for strand in rest[: len(rest) - self._most * 9 // 10]:
                self._log.remove(strand)
                self.forgotten += 1

    def _forget_incidents(self, now: datetime) -> None:
        for name, known in list(self._known.items()):
            if known.told.state is not IncidentState.OPEN and now - known.told.last > HORIZON:
                del self._known[name]
        while len(self._known) > MOST_KNOWN:
            del self._known[min(self._known, key=lambda name: (self._known[name].told.last, name))]

    def _spans_by_key(self) -> dict[StrandKey, list[StrandSpan]]:
        """What is not forgotten: a habit goes as what made it one goes."""
        held: dict[StrandKey, list[StrandSpan]] = {}
        for known in self._known.values():
            for span in known.spans if known.told.reason != HABIT else ():
                held.setdefault(span.key, []).append(span)
        return held

    def spans_of(self, name: str) -> tuple[StrandSpan, ...]:
        """The strands that an incident consists of; none where it is not known."""
        known = self._known.get(name)
        return known.spans if known is not None else ()

    def again(self) -> list[IncidentRecord]:
        """All that is known, to be told once more: after a restart nobody knows what was taken of it."""
        return [self._known[name].told for name in sorted(self._known)]

    # -- what is kept --------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """All of it, for ``load``."""
        strands = strands_to_bytes(self._log)
        return len(strands).to_bytes(8, "big") + strands + self.dump_known()

    def dump_known(self) -> bytes:
        """The incidents alone, without what they consist of: their names must not be given twice."""
        return orjson.dumps([_VERSION, [_kept(one) for one in self._known.values()]])

    def load(self, kept: bytes, known: bytes | None = None) -> None:
        """Take up what was kept; ``known`` is newer than that, where it is given. Raises BookFormatError."""
        try:
            size = int.from_bytes(kept[:8], "big")
            for strand in strands_of_bytes(kept[8 : 8 + size]):
                self._log.put(strand)
            self.load_known(known or kept[8 + size :])
        except StrandsFormatError as error:
            raise BookFormatError(str(error)) from error
        self._changed = True

    def load_known(self, kept: bytes) -> None:
        """Take up the incidents alone. Raises BookFormatError."""
        try:
            version, rows = orjson.loads(kept)
            if version != _VERSION:
                raise BookFormatError(f"the incidents were kept by another version ({version})")
            self._known = {one.told.name: one for one in map(_known_of, rows)}
        except (ValueError, TypeError, KeyError, IncidentFormatError) as error:
            raise BookFormatError(f"the incidents that were kept cannot be read: {error}") from error


def _is_news(before: IncidentRecord, after: IncidentRecord) -> bool:
    """Whether it is told at once."""
    return (before.state, before.severity, before.iocs) != (after.state, after.severity, after.iocs)


def _overlaps(span: StrandSpan, strand: Strand) -> bool:
    return span.first <= strand.last and strand.first <= span.last


def _is_held(strand: Strand, held: dict[StrandKey, list[StrandSpan]]) -> bool:
    return any(_overlaps(span, strand) for span in held.get(strand.key, ()))


def _touched(incident: Incident, by_key: dict[StrandKey, list[tuple[StrandSpan, str]]]) -> list[str]:
    """The names of those that were known of what an incident consists of."""
    names = {name: None for one in incident.strands for span, name in by_key.get(one.key, ()) if _overlaps(span, one)}
    return list(names)


def _kept(known: _KnownIncident) -> list[Any]:
    spans = [[list(one.key), one.first.isoformat(), one.last.isoformat()] for one in known.spans]
    return [incident_content(known.told), known.told_at.isoformat(), known.wait.total_seconds(), spans]


def _known_of(row: list[Any]) -> _KnownIncident:
    told, told_at, wait, spans = row
    return _KnownIncident(
        read_incident(told),
        datetime.fromisoformat(told_at),
        tuple(
            StrandSpan(StrandKey(*key), datetime.fromisoformat(first), datetime.fromisoformat(last))
            for key, first, last in spans
        ),
        timedelta(seconds=wait),
    )
