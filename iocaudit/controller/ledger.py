"""Writes denied attempts as findings, and keeps evidence when its namespace goes.

A replica's post is acknowledged once all of it is stored, not before; so whatever ends in between, the replica
sends it again, and every finding knows by itself which posts it holds (`sinks.attempt_findings`). A leader that
was told nothing by the one before loses and doubles nothing.

Evidence is all that is not posture. One thread writes it. It keeps every body, because the namespace controller
deletes the findings of a dying namespace faster than they could be read back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError, ClusterError, ConflictError, NotFoundError
from iocaudit.cluster.writer import change, is_terminating, put
from iocaudit.controller.attempt_metrics import AttemptMetrics
from iocaudit.controller.resources import CLUSTER_IOC_FINDING, IOC_FINDING
from iocaudit.core.attempt import MOST_KEYS, Attempt, Tally, other
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.shape import Json, mapping, text
from iocaudit.sinks.attempt_findings import Delta, attempt_of, copied, counted, empty, fresh
from iocaudit.sinks.custom_resources import DENIED_ATTEMPT, POSTURE
from iocaudit.sources.attempt_post import Post

_log = logging.getLogger(__name__)

MOST_IN_NAMESPACE = 512
"""Denied attempts told apart in one namespace: a noisy one must not use up what is there for all."""
MOST_REPLICAS = 64
"""Replicas that may have a post waiting."""
WRITES_PER_SECOND = 25.0
SILENT = 120.0
"""Seconds after which a replica that said no farewell counts as lost; it speaks every 30."""
_REFUSED = frozenset({400, 403, 413, 422})
"""Statuses that the same write would meet again."""
_HOUSEKEEPING = 30.0
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 30.0

Key = tuple[str | None, str]
"""Namespace (None: cluster scope) and name of a finding's resource."""


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


class Ledger:
    """`accept` takes posts from any thread, `run` is the thread that writes.

    ``namespace`` and ``namespaces`` tell it, from any thread, which are going or gone.
    """

    def __init__(
        self,
        client: Client,
        titles: Mapping[str, str],
        metrics: AttemptMetrics,
        *,
        retention: timedelta = timedelta(days=7),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        writes_per_second: float = WRITES_PER_SECOND,
    ) -> None:
        self._client, self._titles, self._metrics = client, titles, metrics
        self._retention, self._clock = retention, clock
        self._pause = 1.0 / writes_per_second
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._loaded = False
        self._replicas: dict[str, _Replica] = {}
        self._pending: dict[Attempt, list[Delta]] = {}
        self._dying: dict[str, str] = {}
        self._alive: Mapping[str, str] | None = None
        # Everything stored that is evidence; by attempt, for there may be copies from namespaces before.
        self._bodies: dict[Key, Json] = {}
        self._places: dict[Attempt, set[Key]] = {}
        self._in_namespace: Counter[str | None] = Counter()

    # -- from other threads --------------------------------------------------------------------------------

    def accept(self, post: Post) -> Answer:
        """Take a post, or say how far the same one is."""
        with self._lock:
            answer = self._accept(post)
        self._metrics.posts.labels(answer.value).inc()
        if answer is Answer.WAITING:
            self._wake.set()
        return answer

    def _accept(self, post: Post) -> Answer:
        if not self._loaded:
            return Answer.BUSY
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
        new = Counter(attempt.namespace for attempt in self._pending if attempt not in self._places)
        now = self._clock().timestamp()
        for attempt, said in post.attempts.items():
            # A clock that runs ahead must not keep evidence for ever.
            tally = replace(said, first=min(said.first, now), last=min(said.last, now))
            target = attempt
            if not (attempt in self._places or attempt in self._pending or attempt.is_other):
                here = self._in_namespace[attempt.namespace] + new[attempt.namespace]
                if len(self._places) + new.total() < MOST_KEYS and here < MOST_IN_NAMESPACE:
                    new[attempt.namespace] += 1
                else:
                    target = other(attempt.check)
                    self._metrics.overflowed.inc(tally.count)
            known = sorted_out.get(target)
            sorted_out[target] = tally if known is None else known.plus(tally)
        waiting = set()
        for attempt, tally in sorted_out.items():
            delta = Delta(post.replica, post.number, tally)
            if self._left(attempt, [delta]):
                self._pending.setdefault(attempt, []).append(delta)
                waiting.add(attempt)
        return waiting

    def namespace(self, name: str, uid: str, *, dying: bool) -> None:
        """A namespace is as it should be, or is being deleted: its evidence is copied before it goes with it."""
        with self._lock:
            if dying:
                self._dying[name] = uid
            elif self._dying.get(name, uid) != uid:
                del self._dying[name]
        self._wake.set()

    def namespaces(self, alive: Mapping[str, str]) -> None:
        """All namespaces there are, with their uids: of the others, a deletion may have been missed."""
        with self._lock:
            self._alive = dict(alive)
        self._wake.set()

    # -- the writing thread --------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Write until ``stop``. What fails because the API server is away is written later."""
        retry, tidy_at = _FIRST_RETRY, 0.0
        while not stop.is_set():
            self._wake.clear()
            try:
                if not self._loaded:
                    self.load()
                self._keep_evidence()
                self._write_pending(stop)
                if time.monotonic() >= tidy_at:
                    tidy_at = time.monotonic() + _HOUSEKEEPING
                    self._tidy()
                retry = _FIRST_RETRY
            except ClusterError as error:
                _log.warning("denied attempts not written, trying again in %.1f s: %s", retry, error)
                stop.wait(retry)
                retry = min(retry * 2, _LONGEST_RETRY)
                continue
            self._wake.wait(1.0)

    def load(self) -> None:
        """Read all evidence back; from then on posts are taken."""
        for kind in (IOC_FINDING, CLUSTER_IOC_FINDING):
            for body in self._client.each(kind):
                self._remember(body)
        with self._lock:
            self._loaded = True

    def turn(self, stop: threading.Event | None = None) -> None:
        """One round of writing, whatever is due."""
        self._keep_evidence()
        self._write_pending(stop or threading.Event())

    def _write_pending(self, stop: threading.Event) -> None:
        # What had no room comes last: where its count holds a post, all else of that post is stored, so that a
        # repeated post whose attempts have room by then is not counted a second time.
        for others in (False, True):
            with self._lock:
                due = [attempt for attempt in self._pending if attempt.is_other is others]
            for attempt in due:
                if stop.is_set():
                    return
                with self._lock:
                    deltas = list(self._pending[attempt])
                wrote = self._store(attempt, deltas)
                with self._lock:
                    self._done(attempt, deltas)
                if wrote:
                    stop.wait(self._pause)

    def _done(self, attempt: Attempt, deltas: list[Delta]) -> None:
        left = [delta for delta in self._pending[attempt] if delta not in deltas]
        if left:
            self._pending[attempt] = left
        else:
            del self._pending[attempt]
        for delta in deltas:
            known = self._replicas.get(delta.replica)
            if known is not None and known.number == delta.number:
                known.waiting.discard(attempt)

    def _store(self, attempt: Attempt, deltas: list[Delta]) -> bool:
        """Count deltas where the attempt's finding lives; whether anything was written.

        Raises where it should be tried again. What the API server refuses for good is counted as dropped.
        """
        left = self._left(attempt, deltas)
        if not left:
            return False
        try:
            self._count(attempt, left)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            self._metrics.dropped.inc(sum(delta.tally.count for delta in left))
            _log.error("a denied attempt could not be stored: %s", error, extra={"finding": attempt.finding})
            return True
        self._metrics.counted.inc(sum(delta.tally.count for delta in left))
        return True

    def _count(self, attempt: Attempt, deltas: list[Delta]) -> None:
        """Count in the attempt's namespace, or, where that is gone or going, in cluster scope."""
        namespace = attempt.namespace
        if namespace is not None and namespace not in self._dying:
            try:
                self._count_at((namespace, attempt.finding), attempt, deltas)
                return
            except ApiError as error:
                if not isinstance(error, NotFoundError) and not is_terminating(error):
                    raise
        self._count_at(self._cluster_key(attempt), attempt, deltas)

    def _cluster_key(self, attempt: Attempt) -> Key:
        """The newest of the attempt's findings in cluster scope, else the one to make."""
        found = [key for key in self._places.get(attempt, ()) if key[0] is None]
        if not found:
            return (None, attempt.finding)
        return max(found, key=lambda key: (text(mapping(self._bodies[key].get("finding")).get("lastSeen")), key[1]))

    def _count_at(self, key: Key, attempt: Attempt, deltas: list[Delta]) -> None:
        kind, known = _kind(key), self._bodies.get(key)
        if known is not None:
            try:
                self._remember(self._client.replace(kind, counted(known, deltas)))
                return
            except ConflictError:
                after = change(self._client, kind, *key, lambda body: counted(body, deltas))
            except NotFoundError:
                after = None
            if after is not None:
                self._remember(after)
                return
            # Somebody deleted it: what comes now is news.
            self._forget(key)
        new = counted(empty(key[0], attempt, self._titles.get(attempt.check, attempt.check)), deltas)
        try:
            self._remember(self._client.create(kind, new))
        except ConflictError:
            after = change(self._client, kind, *key, lambda body: counted(body, deltas))
            if after is None:
                raise
            self._remember(after)

    def _keep_evidence(self) -> None:
        """Copy the evidence of namespaces that are being deleted, or that are gone, to cluster scope."""
        with self._lock:
            alive, self._alive = self._alive, None
            if alive is not None:
                # One that is gone needs no more; one of that name that is there again is another.
                self._dying = {name: uid for name, uid in self._dying.items() if alive.get(name) == uid}
            dying = set(self._dying)
        gone: dict[str, bool] = {}
        for key in [key for key in self._bodies if key[0] is not None] if dying or alive is not None else ():
            namespace = str(key[0])
            if alive is not None and namespace not in alive and namespace not in gone:
                # What was told may be older than the namespace.
                gone[namespace] = self._is_gone(namespace)
            if namespace in dying or gone.get(namespace):
                self._bury(key)

    def _is_gone(self, namespace: str) -> bool:
        try:
            self._client.get(NAMESPACE, None, namespace)
        except NotFoundError:
            return True
        return False

    def _bury(self, key: Key) -> None:
        copy = copied(self._bodies[key])
        try:
            self._remember(put(self._client, CLUSTER_IOC_FINDING, copy))
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            self._metrics.dropped.inc()
            _log.error("evidence could not be kept: %s", error, extra={"finding": key[1], "namespace": key[0]})
        else:
            self._metrics.kept.inc()
        self._forget(key)

    def _tidy(self) -> None:
        """Remove evidence past its retention, and count replicas that fell silent."""
        now = self._clock()
        for key, body in list(self._bodies.items()):
            if self._expired(body, now):
                uid = text(mapping(body.get("metadata")).get("uid"))
                try:
                    self._client.delete(_kind(key), *key, uid=uid or None)
                except ConflictError:
                    # Another object of that name by now, which is none of ours.
                    _log.info("not removed, it was made anew", extra={"finding": key[1]})
                self._forget(key)
        lost: list[str] = []
        with self._lock:
            silent = [
                name
                for name, one in self._replicas.items()
                if not one.waiting and time.monotonic() - one.heard > SILENT
            ]
            for name in silent:
                if not self._replicas.pop(name).leaving:
                    lost.append(name)
        for name in lost:
            self._metrics.lost.inc()
            _log.warning("a webhook replica fell silent; its last seconds of denied attempts may be lost: %s", name)
        self._metrics.findings.set(len(self._bodies))
        self._metrics.waiting.set(len(self._pending))

    def _expired(self, body: Json, now: datetime) -> bool:
        finding = mapping(body.get("finding"))
        try:
            seen = datetime.fromisoformat(text(finding.get("lastSeen")) or text(finding.get("lastChanged")))
            return now - seen >= self._retention
        except (ValueError, TypeError):
            # A time that cannot be read was not written by us: it is kept, and never counted as old.
            return False

    # -- what is stored ------------------------------------------------------------------------------------

    def _left(self, attempt: Attempt, deltas: Iterable[Delta]) -> list[Delta]:
        """The deltas that none of the attempt's findings holds, nor the one for what had no room."""
        left = list(deltas)
        places = [self._bodies[key] for key in self._places.get(attempt, ())]
        if not places and not attempt.is_other:
            places = [self._bodies[key] for key in self._places.get(other(attempt.check), ())]
        for body in places:
            left = fresh(left, body)
        return left

    def _remember(self, body: Json) -> None:
        finding = mapping(body.get("finding"))
        if (text(finding.get("type")) or POSTURE) == POSTURE:
            return
        metadata = {key: value for key, value in mapping(body.get("metadata")).items() if key != "managedFields"}
        key: Key = (text(metadata.get("namespace")) or None, text(metadata.get("name")))
        with self._lock:
            if key not in self._bodies and finding.get("type") == DENIED_ATTEMPT:
                attempt = attempt_of(body)
                self._places.setdefault(attempt, set()).add(key)
                self._in_namespace[attempt.namespace] += 1
            self._bodies[key] = {**body, "metadata": metadata}

    def _forget(self, key: Key) -> None:
        with self._lock:
            body = self._bodies.pop(key, None)
            if body is None or mapping(body.get("finding")).get("type") != DENIED_ATTEMPT:
                return
            attempt = attempt_of(body)
            keys = self._places.get(attempt, set())
            keys.discard(key)
            if not keys:
                self._places.pop(attempt, None)
            self._in_namespace[attempt.namespace] -= 1


def _kind(key: Key) -> Kind:
    return IOC_FINDING if key[0] is not None else CLUSTER_IOC_FINDING
