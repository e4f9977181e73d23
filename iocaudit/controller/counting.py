"""Whether all would-be denials of a rollout are known: which webhook replicas count for it, and up to when.

A replica's post says for which rollouts it counts, and until when everything it counted is in its posts. Time counts
only up to the earliest of these, and only while every replica that answers reviews is among those that report. What a
replica counted before it fell silent, or while it was not known of, cannot be known: that time does not count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iocaudit.core.wording import counted, several
from iocaudit.core.would_be_denied import RolloutPost
from iocaudit.engine.rollout import Rollout
from iocaudit.engine.rollout_status import RolloutCoverage, patience

MOST_REPLICAS = 64
_MOST_LEFT = 256
_MOST_NAMES = 3


@dataclass(slots=True)
class _CountingReplica:
    """``until`` is by the operator's clock, ``heard`` monotonic."""

    until: float
    heard: float
    counting: dict[str, str]


@dataclass(slots=True)
class _CountedSpan:
    """The time in which all is known of one rollout; ``broken`` while it does not go on."""

    since: float = 0.0
    until: float = 0.0
    broken: bool = False


class CountingReplicas:
    """Told of each post that is stored whole, by any thread; asked by the one that writes the statuses."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.Lock()
        self._begun = monotonic()
        self._replicas: dict[str, _CountingReplica] = {}
        self._left: dict[str, None] = {}
        self._spans: dict[tuple[str, str], _CountedSpan] = {}
        self._doubt = 0.0

    def stored(self, replica: str, post: RolloutPost | None, *, last: bool = False) -> None:
        """A post is stored whole; ``last``: the replica goes, and everything that it counted is known."""
        with self._lock:
            if last:
                self._replicas.pop(replica, None)
                self._left[replica] = None
                if len(self._left) > _MOST_LEFT:
                    del self._left[next(iter(self._left))]
                return
            known = self._replicas.get(replica)
            if post is None or (known is None and len(self._replicas) >= MOST_REPLICAS):
                return
            until = min(post.until, self._clock())
            if known is not None:
                until = max(until, known.until)
            self._replicas[replica] = _CountingReplica(until, self._monotonic(), dict(post.counting))
            if post.missed:
                self._doubt = max(self._doubt, until)

    def coverage(
        self, policy: str, rollout: Rollout, counted_by: frozenset[str], *, ready: int | None, registered: bool
    ) -> RolloutCoverage | None:
        """What is known of a rollout; None while it is too early to tell.

        ``counted_by`` are the replicas that counted when its status was written, maybe by a leader before.
        ``ready`` is how many replicas are to report; None where it is not known.
        """
        with self._lock:
            waits, now = patience(rollout.after), self._clock()
            for name, one in list(self._replicas.items()):
                if self._monotonic() - one.heard > waits:
                    del self._replicas[name]
                    self._doubt = now
            gone = counted_by - self._replicas.keys() - self._left.keys()
            why = self._lacking(policy, rollout.fingerprint, ready, registered=registered)
            if (gone or why) and self._monotonic() - self._begun < waits:
                return None
            if gone:
                self._doubt = now
            span = self._spans.setdefault((policy, rollout.fingerprint), _CountedSpan())
            if why:
                span.broken = True
            else:
                since = now if span.broken else span.since
                span.since, span.broken = max(since, self._doubt), False
                span.until = min(one.until for one in self._replicas.values())
            return RolloutCoverage(span.since, span.until, why, frozenset(self._replicas))

    def _lacking(self, policy: str, fingerprint: str, ready: int | None, *, registered: bool) -> str:
        """Why not all is known now; nothing where it is."""
        if not registered:
            return "the webhook is not registered as it should be"
        if not self._replicas:
            return "no webhook replica reports"
        if ready is not None and len(self._replicas) < ready:
            return f"of {counted(ready, 'webhook replica')} only {len(self._replicas)} reports"
        idle = sorted(name for name, one in self._replicas.items() if one.counting.get(policy) != fingerprint)
        return f"these webhook replicas do not count for it yet: {several(idle, _MOST_NAMES)}" if idle else ""

    def lost(self, policy: str, fingerprint: str) -> None:
        """Something that was posted of a rollout could not be kept: the time in which it came does not count."""
        with self._lock:
            self._spans.setdefault((policy, fingerprint), _CountedSpan()).broken = True

    def keep(self, policies: Iterable[tuple[str, str]]) -> None:
        """Keep what is known of these rollouts (policy and fingerprint) alone."""
        kept = set(policies)
        with self._lock:
            self._spans = {key: span for key, span in self._spans.items() if key in kept}
