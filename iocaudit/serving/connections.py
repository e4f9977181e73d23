"""The connections of one listener: all counted from accept on, and who goes when there is no room for a new one.

The source of a connection is known at accept, its certificate only after the handshake. So one from a source that is
over its bound is taken all the same, in the place of another of that source that has proven nothing: it may still
prove to be the API server, whose connections count for no source.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum, StrEnum

PATIENCE = 1.0
"""Seconds that a connection is given for its handshake, its first request, or to send one, before it makes room.

A new connection would otherwise be the first to go wherever all others have come further; the API server is done with
each of these in milliseconds.
"""


class Rank(IntEnum):
    """What a connection does. Where room is needed the lowest goes first, and of those the one that is it longest."""

    CLOSING = 0
    """All was said: only what is still to be sent, or the other side's goodbye, keeps it."""
    OPENING = 1
    """From accept to the end of the TLS handshake; without TLS, to the first byte."""
    IDLE = 2
    LARGE = 3
    """A large request has begun and is not whole."""
    RECEIVING = 4
    """The same of any other request."""
    PROVEN = 5
    """Idle, and a client certificate was proven."""
    BUSY = 6
    """A whole request is being answered, or a client with a proven certificate sends one. Never goes."""


class Reason(StrEnum):
    """Why a listener closed a connection by itself: the label of a metric."""

    FULL = "full"
    SOURCE = "source"
    REFUSED = "refused"
    DESCRIPTORS = "descriptors"
    SILENT = "silent"
    HANDSHAKE = "handshake"
    SLOW = "slow"
    LARGE = "large"
    HEADERS = "headers"
    PIPELINED = "pipelined"
    MALFORMED = "malformed"


class ConnectionSlot:
    """One connection's place. ``end`` closes the connection; who drives it sets what that means at the time."""

    __slots__ = ("end", "proven", "rank", "since", "source")

    def __init__(self, source: str, now: float) -> None:
        self.source = source
        self.since = now
        """When it came to its rank."""
        self.rank: Rank | None = Rank.OPENING
        """None once it was told to end, or has left."""
        self.proven = False
        self.end: Callable[[ConnectionSlot], None] = no_end


_TO_GO = (Rank.CLOSING, Rank.OPENING, Rank.IDLE, Rank.LARGE, Rank.RECEIVING)
"""Of these, those that are it for `PATIENCE`; then of the next, any."""
_LAST_TO_GO = (Rank.OPENING, Rank.IDLE, Rank.PROVEN)
_OF_PROVEN = {Rank.IDLE: Rank.PROVEN, Rank.LARGE: Rank.BUSY, Rank.RECEIVING: Rank.BUSY}


class Connections:
    """At most ``most`` at a time, of them ``most_by_source`` from one source that have proven no client certificate.

    ``closed`` is told the reason of each that is refused or told to end. Not safe from other threads than the loop's.
    """

    def __init__(
        self,
        most: int,
        most_by_source: int,
        closed: Callable[[Reason], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.most_by_source = most, most_by_source
        self.closed = closed
        self.clock = clock
        self._lines: tuple[OrderedDict[ConnectionSlot, None], ...] = tuple(OrderedDict() for _ in Rank)
        """Of each rank its places, in the order in which they came to it."""
        self._count = 0
        self._by_source: dict[str, int] = {}
        self._ending: set[ConnectionSlot] = set()

    def __len__(self) -> int:
        """Those that have a place; one that was told to end has none, although its descriptor may last a moment."""
        return self._count

    @property
    def ending(self) -> int:
        """Those that were told to end and have not left yet."""
        return len(self._ending)

    def of(self, rank: Rank) -> int:
        """How many are of a rank."""
        return len(self._lines[rank])

    def from_source(self, source: str) -> int:
        """How many count for a source."""
        return self._by_source.get(source, 0)

    def oldest(self, rank: Rank) -> ConnectionSlot | None:
        """The one that has been of a rank longest."""
        return next(iter(self._lines[rank]), None)

    def admit(self, source: str) -> ConnectionSlot | None:
        """A place for a new connection, another one told to end for it if need be; None where none can go."""
        now = self.clock()
        if self.from_source(source) >= self.most_by_source:
            room = self._end_first(now, Reason.SOURCE, source)
        else:
            room = self._count < self.most or self._end_first(now, Reason.FULL)
        if not room:
            self.closed(Reason.REFUSED)
            return None
        place = ConnectionSlot(source, now)
        self._lines[Rank.OPENING][place] = None
        self._count += 1
        self._by_source[source] = self._by_source.get(source, 0) + 1
        return place

    def move(self, place: ConnectionSlot, rank: Rank) -> None:
        """Say what a connection does now; of no effect on one that was told to end."""
        old = place.rank
        if place.proven:
            rank = _OF_PROVEN.get(rank, rank)
        if old is None or old is rank:
            return
        del self._lines[old][place]
        self._lines[rank][place] = None
        place.rank = rank
        place.since = self.clock()

    def prove(self, place: ConnectionSlot) -> None:
        """A client certificate was proven: from now on it counts for no source, and goes last."""
        if place.rank is not None and not place.proven:
            self._leave_source(place.source)
            place.proven = True

    def make_room(self, reason: Reason) -> bool:
        """Tell the first to go to end; False where none can go."""
        return self._end_first(self.clock(), reason)

    def fits(self, rank: Rank, most: int, patience: float = PATIENCE) -> bool:
        """Whether no more than ``most`` are of a rank; one that has been for ``patience`` seconds is told to end."""
        line = self._lines[rank]
        if len(line) > most:
            oldest = next(iter(line))
            if self.clock() - oldest.since < patience:
                return False
            self.end(oldest, Reason.LARGE)
        return True

    def end(self, place: ConnectionSlot, reason: Reason | None = None) -> None:
        """Tell one to end; of no effect on one that was told already."""
        if place.rank is None:
            return
        self._remove(place, place.rank)
        self._ending.add(place)
        if reason is not None:
            self.closed(reason)
        place.end(place)

    def end_all(self) -> None:
        """Tell every one to end."""
        for place in [place for line in self._lines for place in line]:
            self.end(place)

    def leave(self, place: ConnectionSlot) -> None:
        """A connection is gone; may be said more than once."""
        if place.rank is not None:
            self._remove(place, place.rank)
        else:
            self._ending.discard(place)

    def _end_first(self, now: float, reason: Reason, source: str | None = None) -> bool:
        for ranks, latest in ((_TO_GO, now - PATIENCE), (_LAST_TO_GO, now)):
            for rank in ranks:
                for place in self._lines[rank]:
                    if place.since > latest and rank is not Rank.CLOSING:
                        break
                    if source is None or (place.source == source and not place.proven):
                        self.end(place, reason)
                        return True
        return False

    def _remove(self, place: ConnectionSlot, rank: Rank) -> None:
        del self._lines[rank][place]
        self._count -= 1
        if not place.proven:
            self._leave_source(place.source)
        place.rank = None

    def _leave_source(self, source: str) -> None:
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


def no_end(_place: ConnectionSlot) -> None:
    """Until someone drives a connection there is nothing to close."""
