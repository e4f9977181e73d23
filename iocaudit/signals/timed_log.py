"""Several logs as one stream in the order of time, whatever their lines hold.

Whatever a line holds, its neighbours are read; what could not be is counted, with the first places.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.log_files import (
    MOST_LINE_BYTES,
    STANDARD_INPUT,
    LogLine,
    check_readable,
    is_regular,
    lines_of,
    size_of,
)

_MOST_NAMED = 20
"""How many lines that could not be read are named one by one."""
_LINES_BETWEEN = 2_000
_MIB = 1024 * 1024
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class TimedItem(Protocol):
    """What has a time of its own, or None."""

    @property
    def when(self) -> datetime | None: ...


Item = TypeVar("Item", bound=TimedItem)


class LogProgress(Protocol):
    """Is told of what was read."""

    def stage(self, title: str, steps: int) -> None:
        """From here on there are so many steps of this sort."""

    def step(self, name: str) -> None:
        """A step, which ``name`` says, has begun."""


class UnreadLine(NamedTuple):
    """A line that could not be read, and why."""

    place: LinePlace
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(slots=True)
class LogTally:
    """What was read: ``events`` were handed on, ``left_out`` could not matter by their kind or their stage.

    ``unread`` are the first lines that could not be read, ``unread_count`` is how many there were in all; ``foreign``
    are lines that are JSON, but no events of an audit log, with the first place. ``first`` and ``last`` are the times
    of the earliest event and of the latest.
    """

    lines: int = 0
    events: int = 0
    left_out: int = 0
    repeated: int = 0
    unread_count: int = 0
    unread: list[UnreadLine] = field(default_factory=list)
    foreign: int = 0
    first_foreign: UnreadLine | None = None
    wrappers: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None

    def cannot_read(self, place: LinePlace, reason: str) -> None:
        self.unread_count += 1
        if len(self.unread) < _MOST_NAMED:
            self.unread.append(UnreadLine(place, reason))

    def is_foreign(self, place: LinePlace, reason: str) -> None:
        self.foreign += 1
        self.first_foreign = self.first_foreign or UnreadLine(place, reason)


class TimedLog(ABC, Generic[Item]):
    """The items of several logs. It is read once; ``tally`` grows meanwhile."""

    what = "log"
    """What progress calls the logs."""

    def __init__(
        self, paths: Sequence[str], progress: LogProgress | None = None, *, most_line_bytes: int = MOST_LINE_BYTES
    ) -> None:
        """``-`` is standard input. Raises LogError for a path that cannot be read."""
        for path in paths:
            check_readable(path)
        self._paths = list(dict.fromkeys(paths))
        self._progress, self._most = progress, most_line_bytes
        self._read = 0
        self._steps = 0
        self.tally = LogTally()

    @abstractmethod
    def of_line(self, file: str, line: LogLine) -> Iterator[Item]:
        """The items of a line that could be read; counts them in ``tally``."""

    @abstractmethod
    def alike(self, path: str) -> TimedLog[Item]:
        """A log that reads alike, to look at the beginning of a file."""

    def __iter__(self) -> Iterator[Item]:
        if self._progress is not None:
            self._progress.stage(f"MiB of {self.what}", sum(map(size_of, self._paths)) // _MIB + 1)
        for item in self._merged():
            if item.when is not None:
                first, last = self.tally.first or item.when, self.tally.last or item.when
                self.tally.first, self.tally.last = min(first, item.when), max(last, item.when)
            self.tally.events += 1
            yield item

    def _merged(self) -> Iterator[Item]:
        """By time, as several API servers log side by side; a log is open only while its time is on."""
        if len(self._paths) == 1:
            yield from self._items(self._paths[0])
            return
        waiting = self._by_first_time()
        open_logs: list[tuple[datetime, int, _OpenLog[Item]]] = []
        while waiting or open_logs:
            if waiting and (not open_logs or waiting[0].first <= open_logs[0][0]):
                start = waiting.pop(0)
                log = start.log if start.log is not None else _OpenLog(self._items(start.path))
                if log.head is not None:
                    heapq.heappush(open_logs, (log.time, start.order, log))
                continue
            _, index, log = open_logs[0]
            assert log.head is not None
            item = log.head
            if log.advance():
                heapq.heapreplace(open_logs, (log.time, index, log))
            else:
                heapq.heappop(open_logs)
            yield item

    def _by_first_time(self) -> list[_Start[Item]]:
        """When each log begins. What can be opened again is closed until its time has come."""
        starts: list[_Start[Item]] = []
        for index, path in enumerate(self._paths):
            if is_regular(path):
                quiet = self.alike(path)
                first = next((item.when for item in quiet._items(path) if item.when is not None), _EARLIEST)
                starts.append(_Start(first, index, path, None))
            else:
                log = _OpenLog(self._items(path))
                starts.append(_Start(log.time, index, path, log))
        return sorted(starts, key=lambda start: (start.first, start.order))

    def _items(self, path: str) -> Iterator[Item]:
        """The items of one log, in their order in it."""
        file = STANDARD_INPUT if path == "-" else path
        before = 0

        def told(done: int) -> None:
            nonlocal before
            self._read += done - before
            before = done

        tally = self.tally
        for line in lines_of(path, told, most=self._most):
            tally.lines += 1
            if self._progress is not None and not tally.lines % _LINES_BETWEEN:
                self._tell(file)
            if line.problem:
                tally.cannot_read(LinePlace(file, line.number), line.problem)
            else:
                yield from self.of_line(file, line)

    def _tell(self, file: str) -> None:
        assert self._progress is not None
        while self._steps < self._read // _MIB:
            self._steps += 1
            self._progress.step(file)


class _OpenLog(Generic[Item]):
    """A log that is being read, with its next item; ``time`` never goes back where an item has none."""

    __slots__ = ("_items", "head", "time")

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self.head: Item | None = None
        self.time = _EARLIEST
        self.advance()

    def advance(self) -> bool:
        self.head = next(self._items, None)
        if self.head is not None and self.head.when is not None:
            self.time = self.head.when
        return self.head is not None


class _Start(NamedTuple, Generic[Item]):
    """When a log begins; ``log`` where it is open already."""

    first: datetime
    order: int
    path: str
    log: _OpenLog[Item] | None
