"""The posts of webhook replicas and receivers: taken, sorted out by key, and followed until all of each is stored."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from iocaudit.core.severity import Severity
from iocaudit.evidence.finding import Delta
from iocaudit.evidence.key import MOST_KEYS, RUNTIME, EvidenceKey, EvidenceTally, other
from iocaudit.evidence.metrics import EvidenceMetrics
from iocaudit.evidence.post import Post
from iocaudit.evidence.store import Evidence, room_of

MOST_IN_NAMESPACE = 512
"""Attempts, and sightings, told apart in one namespace: a noisy one must not use up what is there for all."""
MOST_REPLICAS = 64
"""Replicas that may have a post waiting."""
SILENT = 120.0
"""Seconds after which a replica that said no farewell counts as lost; it speaks every 30."""


class Answer(Enum):
    """What a replica is told about its post."""

    STORED = "stored"
    WAITING = "waiting"
    """Taken; to be asked for again until it is stored."""
    BUSY = "busy"
    """Not taken; to be sent again."""


@dataclass(slots=True)
class _Replica:
    """``waiting`` are the attempts of post ``number`` that are not stored yet; ``heard`` is monotonic."""

    number: int = 0
    waiting: set[EvidenceKey] = field(default_factory=set)
    heard: float = 0.0
    leaving: bool = False
    durable: bool = False
    """Whether it keeps what it has not posted when it is killed: its silence loses nothing."""


class Posts:
    """What waits to be written, and for which replica. Used by any thread; ``lock`` is that of the evidence."""

    def __init__(
        self, lock: threading.Lock, evidence: Evidence, metrics: EvidenceMetrics, clock: Callable[[], datetime]
    ) -> None:
        self._lock, self._evidence, self._metrics, self._clock = lock, evidence, metrics, clock
        self._replicas: dict[str, _Replica] = {}
        self._pending: dict[EvidenceKey, list[Delta]] = {}

    def __len__(self) -> int:
        """How many attempts wait to be written."""
        return len(self._pending)

    def accept(self, post: Post) -> Answer:
        """Take a post, or say how far the same one is."""
        with self._lock:
            return self._accept(post)

    def _accept(self, post: Post) -> Answer:
        known = self._replicas.get(post.sender)
        if known is None:
            if len(self._replicas) >= MOST_REPLICAS:
                return Answer.BUSY
            known = _Replica(durable=not post.has_attempts)
        known.heard = time.monotonic()
        if post.number <= known.number:
            # The next number was taken only once the one before was stored.
            answer = Answer.WAITING if known.waiting and post.number == known.number else Answer.STORED
        elif known.waiting or self._waiting(not post.has_attempts) >= 2 * MOST_KEYS:
            answer = Answer.BUSY
        else:
            self._replicas[post.sender] = known
            known.number, known.leaving = post.number, post.last
            known.waiting = self._take(post)
            answer = Answer.WAITING if known.waiting else Answer.STORED
        if post.last and answer is Answer.STORED:
            self._replicas.pop(post.sender, None)
        return answer

    def _take(self, post: Post) -> set[EvidenceKey]:
        """Queue what of a post is not stored yet; the attempts that have to be written for it."""
        sorted_out: dict[EvidenceKey, EvidenceTally] = {}
        new = Counter(room_of(attempt) for attempt in self._pending if not self._evidence.knows(attempt))
        now = self._clock().timestamp()
        for attempt, said in post.attempts.items():
            # A clock that runs ahead must not keep evidence for ever.
            tally = replace(said, first=min(said.first, now), last=min(said.last, now))
            target = attempt
            if not (self._evidence.knows(attempt) or attempt in self._pending or attempt.is_other):
                room = room_of(attempt)
                here = self._evidence.told_apart_in(room) + new[room]
                there = sum(count for one, count in new.items() if one.runtime == room.runtime)
                if self._evidence.told_apart(room) + there < MOST_KEYS and here < MOST_IN_NAMESPACE:
                    new[room] += 1
                else:
                    target = other(attempt)
                    self._metrics.of(attempt).overflowed.inc(tally.count)
            known = sorted_out.get(target)
            sorted_out[target] = tally if known is None else known.plus(tally)
        waiting = set()
        for attempt, tally in sorted_out.items():
            delta = Delta(post.sender, post.number, tally)
            if self._evidence.missing(attempt, [delta]):
                self._pending.setdefault(attempt, []).append(delta)
                waiting.add(attempt)
        return waiting

    def due(self, *, others: bool) -> list[EvidenceKey]:
        """What to write, what had no room of its own or all else: attempts first, then sightings, the worst first."""
        with self._lock:
            found = [attempt for attempt in self._pending if attempt.is_other is others and self._ready(attempt)]
            return sorted(found, key=lambda one: (one.type == RUNTIME, -self._worst(one)))

    def _worst(self, key: EvidenceKey) -> Severity:
        return max(delta.tally.severity for delta in self._pending[key])

    def waiting(self, *, runtime: bool) -> int:
        """How many sightings, or attempts, wait to be written, each key once."""
        with self._lock:
            return self._waiting(runtime)

    def _waiting(self, runtime: bool) -> int:
        return sum((one.type == RUNTIME) is runtime for one in self._pending)

    def deltas(self, attempt: EvidenceKey) -> list[Delta]:
        """What to count of an attempt now."""
        with self._lock:
            return self._ready(attempt)

    def _ready(self, attempt: EvidenceKey) -> list[Delta]:
        """Of what had no room, only that of posts of which all else is stored: see ``Evidence.missing``."""
        deltas = self._pending[attempt]
        return [delta for delta in deltas if not attempt.is_other or not self._tells_apart(delta)]

    def _tells_apart(self, delta: Delta) -> bool:
        """Whether attempts that have room of their own wait in the delta's post."""
        known = self._replicas.get(delta.replica)
        return known is not None and known.number == delta.number and any(not one.is_other for one in known.waiting)

    def done(self, attempt: EvidenceKey, deltas: list[Delta]) -> None:
        """These were written, or never can be."""
        with self._lock:
            left = [delta for delta in self._pending[attempt] if delta not in deltas]
            if left:
                self._pending[attempt] = left
            else:
                del self._pending[attempt]
            for delta in deltas:
                known = self._replicas.get(delta.replica)
                if known is not None and known.number == delta.number:
                    known.waiting.discard(attempt)

    def lost(self) -> list[str]:
        """Forget the replicas that fell silent; those among them that had said no farewell."""
        with self._lock:
            silent = [
                name
                for name, one in self._replicas.items()
                if not one.waiting and time.monotonic() - one.heard > SILENT
            ]
            gone = {name: self._replicas.pop(name) for name in silent}
            return [name for name, one in gone.items() if not one.leaving and not one.durable]
