"""The posts of webhook replicas: taken, sorted out by attempt, and followed until all of each is stored."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from iocaudit.controller.attempt_metrics import AttemptMetrics
from iocaudit.controller.evidence import Evidence
from iocaudit.core.attempt import MOST_KEYS, Attempt, Tally, other
from iocaudit.sinks.attempt_findings import Delta
from iocaudit.sources.attempt_post import Post

MOST_IN_NAMESPACE = 512
"""Denied attempts told apart in one namespace: a noisy one must not use up what is there for all."""
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
    waiting: set[Attempt] = field(default_factory=set)
    heard: float = 0.0
    leaving: bool = False


class Posts:
    """What waits to be written, and for which replica. Used by any thread; ``lock`` is that of the evidence."""

    def __init__(
        self, lock: threading.Lock, evidence: Evidence, metrics: AttemptMetrics, clock: Callable[[], datetime]
    ) -> None:
        self._lock, self._evidence, self._metrics, self._clock = lock, evidence, metrics, clock
        self._replicas: dict[str, _Replica] = {}
        self._pending: dict[Attempt, list[Delta]] = {}

    def __len__(self) -> int:
        """How many attempts wait to be written."""
        return len(self._pending)

    def accept(self, post: Post) -> Answer:
        """Take a post, or say how far the same one is."""
        with self._lock:
            return self._accept(post)

    def _accept(self, post: Post) -> Answer:
        known = self._replicas.get(post.replica)
        if known is None:
            if len(self._replicas) >= MOST_REPLICAS:
                return Answer.BUSY
            known = _Replica()
        known.heard = time.monotonic()
        if post.number <= known.number:
            # The next number was taken only once the one before was stored.
            answer = Answer.WAITING if known.waiting and post.number == known.number else Answer.STORED
        elif known.waiting or len(self._pending) >= 2 * MOST_KEYS:
            answer = Answer.BUSY
        else:
            self._replicas[post.replica] = known
            known.number, known.leaving = post.number, post.last
            known.waiting = self._take(post)
            answer = Answer.WAITING if known.waiting else Answer.STORED
        if post.last and answer is Answer.STORED:
            self._replicas.pop(post.replica, None)
        return answer

    def _take(self, post: Post) -> set[Attempt]:
        """Queue what of a post is not stored yet; the attempts that have to be written for it."""
        sorted_out: dict[Attempt, Tally] = {}
        new = Counter(attempt.namespace for attempt in self._pending if not self._evidence.knows(attempt))
        now = self._clock().timestamp()
        for attempt, said in post.attempts.items():
            # A clock that runs ahead must not keep evidence for ever.
            tally = replace(said, first=min(said.first, now), last=min(said.last, now))
            target = attempt
            if not (self._evidence.knows(attempt) or attempt in self._pending or attempt.is_other):
                here = self._evidence.told_apart_in(attempt.namespace) + new[attempt.namespace]
                if self._evidence.attempts + new.total() < MOST_KEYS and here < MOST_IN_NAMESPACE:
                    new[attempt.namespace] += 1
                else:
                    target = other(attempt)
                    self._metrics.overflowed.inc(tally.count)
            known = sorted_out.get(target)
            sorted_out[target] = tally if known is None else known.plus(tally)
        waiting = set()
        for attempt, tally in sorted_out.items():
            delta = Delta(post.replica, post.number, tally)
            if self._evidence.missing(attempt, [delta]):
                self._pending.setdefault(attempt, []).append(delta)
                waiting.add(attempt)
        return waiting

    def due(self, *, others: bool) -> list[Attempt]:
        """The attempts to write: those that had no room of their own, or all else."""
        with self._lock:
            return [attempt for attempt in self._pending if attempt.is_other is others]

    def deltas(self, attempt: Attempt) -> list[Delta]:
        with self._lock:
            return list(self._pending[attempt])

    def done(self, attempt: Attempt, deltas: list[Delta]) -> None:
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
            return [name for name in silent if not self._replicas.pop(name).leaving]
