"""Stores what arrives and only then says so: bodies that come while one commit is on its way share the next.

One thread reads and stores them. A body that cannot be read costs its own request alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from iocaudit.receivers.body import BodyError, read_entries
from iocaudit.receivers.journal import Journal, JournalFullError, NewBatch
from iocaudit.receivers.senders import Sender
from iocaudit.signals.signal import SignalSource
from iocaudit.supervision.part import Life

MOST_TOGETHER = 8 << 20
"""Bytes of bodies in one commit."""
MOST_WAITING = 4096
_TIDY_EVERY = 60.0
_NAP = 1.0


class StoredCount(NamedTuple):
    """How many entries a body had, and how many of them had not been stored before."""

    entries: int
    new: int


_Outcome = StoredCount | Exception


@dataclass(slots=True, eq=False)
class _Arrival:
    source: SignalSource
    sender: Sender
    body: bytes
    loop: asyncio.AbstractEventLoop
    told: asyncio.Future[StoredCount]

    def set(self, outcome: _Outcome) -> None:
        """In its event loop; a request that was given up meanwhile hears nothing."""
        if self.told.done():
            return
        if isinstance(outcome, Exception):
            self.told.set_exception(outcome)
        else:
            self.told.set_result(outcome)


def _tell(outcomes: Sequence[tuple[_Arrival, _Outcome]]) -> None:
    """Tell requests what became of them, from any thread: all of one event loop at once."""

    def set_all(told: Sequence[tuple[_Arrival, _Outcome]]) -> None:
        for arrival, outcome in told:
            arrival.set(outcome)

    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Arrival, _Outcome]]] = {}
    for arrival, outcome in outcomes:
        loops.setdefault(arrival.loop, []).append((arrival, outcome))
    for loop, told in loops.items():
        # One that has ended has nobody waiting in it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(set_all, told)


class Intake:
    """`take` waits in the event loop, `run` is the thread that stores. ``stored`` is told of each commit."""

    def __init__(
        self,
        journal: Journal,
        stored: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._clock = journal, clock
        self.stored = stored
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._waiting: list[_Arrival] = []
        self._tidied = 0.0
        self._taking = 0

    @property
    def is_busy(self) -> bool:
        """Whether anyone waits to be told that a body is stored."""
        return self._taking > 0

    async def take(self, source: SignalSource, sender: Sender, body: bytes) -> StoredCount:
        """Raises BodyError, or JournalFullError where nothing was stored: it is to be sent again."""
        self._taking += 1
        try:
            return await self._taken(source, sender, body)
        finally:
            self._taking -= 1

    async def _taken(self, source: SignalSource, sender: Sender, body: bytes) -> StoredCount:
        loop = asyncio.get_running_loop()
        arrival = _Arrival(source, sender, body, loop, loop.create_future())
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                raise JournalFullError(f"{MOST_WAITING} bodies wait to be stored")
            self._waiting.append(arrival)
        self._wake.set()
        return await arrival.told

    def run(self, life: Life) -> None:
        """Store what comes, until ``life`` is over and nothing waits."""
        while True:
            arrivals = self._next()
            if arrivals:
                self._store(arrivals)
            elif life.is_set():
                return
            else:
                self._tidy()
                self._wake.wait(_NAP)
            life.beat()

    def _next(self) -> list[_Arrival]:
        with self._lock:
            self._wake.clear()
            size = 0
            for number, arrival in enumerate(self._waiting):
                size += len(arrival.body)
                if number and size > MOST_TOGETHER:
                    found, self._waiting = self._waiting[:number], self._waiting[number:]
                    return found
            found, self._waiting = self._waiting, []
            return found

    def _store(self, arrivals: list[_Arrival]) -> None:
        readable: list[_Arrival] = []
        batches: list[NewBatch] = []
        outcomes: list[tuple[_Arrival, _Outcome]] = []
        now = self._clock()
        for arrival in arrivals:
            try:
                entries = read_entries(arrival.source, arrival.body)
            except BodyError as error:
                outcomes.append((arrival, error))
                continue
            except Exception as error:  # noqa: BLE001  one body must not cost those beside it
                outcomes.append((arrival, BodyError(f"the body cannot be read ({type(error).__name__})")))
                continue
            readable.append(arrival)
            identities = [entry.identity for entry in entries]
            batches.append(NewBatch(arrival.source, arrival.sender.name, now, arrival.body, identities))
        try:
            news = self._journal.append(batches) if batches else []
        except Exception as error:  # noqa: BLE001  those who wait hear that nothing was stored
            full = error if isinstance(error, JournalFullError) else JournalFullError(str(error))
            _tell([*outcomes, *((arrival, full) for arrival in readable)])
            return
        for arrival, batch, new in zip(readable, batches, news, strict=True):
            outcomes.append((arrival, StoredCount(len(batch.identities), new)))
        _tell(outcomes)
        if news:
            self.stored()

    def _tidy(self) -> None:
        now = self._clock()
        if not 0 <= now - self._tidied < _TIDY_EVERY:
            self._tidied = now
            try:
                self._journal.forget_identities(now)
            except JournalFullError:
                return  # a full disk: what is sent is refused with the reason, and this is tried again
