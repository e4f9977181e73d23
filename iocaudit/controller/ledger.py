"""Writes denied attempts as findings, and keeps evidence when its namespace goes.

A replica's post is acknowledged once all of it is stored, not before; so whatever ends in between, the replica
sends it again, and every finding knows by itself which posts it holds (`sinks.attempt_findings`). A leader that
was told nothing by the one before loses and doubles nothing.

Evidence is all that is not posture (`controller.evidence`). One thread writes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError, ClusterError, ConflictError, NotFoundError
from iocaudit.cluster.writer import change, is_terminating, put
from iocaudit.controller.attempt_metrics import AttemptMetrics
from iocaudit.controller.evidence import Evidence
from iocaudit.controller.policy_events import tell
from iocaudit.controller.posts import Answer, Posts
from iocaudit.core.attempt import POLICY_CHANGE, Attempt
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.shape import mapping, text
from iocaudit.records.kinds import CLUSTER_IOC_FINDING, IOC_FINDING, finding_kind
from iocaudit.records.lifecycle import Key
from iocaudit.sinks.attempt_findings import Delta, copied, counted, empty
from iocaudit.sources.attempt_post import Post
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.part import Stop

_log = logging.getLogger(__name__)

WRITES_PER_SECOND = 25.0
_REFUSED = frozenset({400, 403, 413, 422})
"""Statuses that the same write would meet again."""
_HOUSEKEEPING = 30.0
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 30.0


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
        self._evidence = Evidence(self._lock)
        self._posts = Posts(self._lock, self._evidence, metrics, clock)
        self._dying: dict[str, str] = {}
        self._alive: Mapping[str, str] | None = None

    # -- from other threads --------------------------------------------------------------------------------

    def accept(self, post: Post) -> Answer:
        """Take a post, or say how far the same one is."""
        answer = self._posts.accept(post) if self._loaded else Answer.BUSY
        self._metrics.posts.labels(answer.value).inc()
        if answer is Answer.WAITING:
            self._wake.set()
        return answer

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

    def run(self, stop: Stop) -> None:
        """Write until ``stop``. What fails because the API server is away is written later."""
        retry, tidy_at = Backoff(_FIRST_RETRY, _LONGEST_RETRY), 0.0
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
                retry.reset()
            except ClusterError as error:
                wait = retry.next()
                _log.warning("denied attempts not written, trying again in %.1f s: %s", wait, error)
                stop.wait(wait)
                continue
            self._wake.wait(1.0)

    def load(self) -> None:
        """Read all evidence back; from then on posts are taken."""
        for kind in (IOC_FINDING, CLUSTER_IOC_FINDING):
            for body in self._client.each(kind):
                self._evidence.remember(body)
        self._loaded = True

    def turn(self, stop: Stop | None = None) -> None:
        """One round of writing, whatever is due."""
        self._keep_evidence()
        self._write_pending(stop or threading.Event())

    def _write_pending(self, stop: Stop) -> None:
        # What had no room comes last: where its count holds a post, all else of that post is stored, so that a
        # repeated post whose attempts have room by then is not counted a second time.
        for others in (False, True):
            for attempt in self._posts.due(others=others):
                if stop.is_set():
                    return
                deltas = self._posts.deltas(attempt)
                wrote = self._store(attempt, deltas)
                self._posts.done(attempt, deltas)
                if wrote:
                    stop.wait(self._pause)

    def _store(self, attempt: Attempt, deltas: list[Delta]) -> bool:
        """Count deltas where the attempt's finding lives; whether anything was written.

        Raises where it should be tried again. What the API server refuses for good is counted as dropped.
        """
        left = self._evidence.missing(attempt, deltas)
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
        if attempt.type == POLICY_CHANGE and not attempt.is_other:
            for delta in left:
                tell(self._client, attempt, delta)
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
        self._count_at(self._evidence.cluster_key(attempt), attempt, deltas)

    def _count_at(self, key: Key, attempt: Attempt, deltas: list[Delta]) -> None:
        kind, known = finding_kind(key[0]), self._evidence.get(key)
        if known is not None:
            try:
                self._evidence.remember(self._client.replace(kind, counted(known, deltas)))
                return
            except ConflictError:
                after = change(self._client, kind, *key, lambda body: counted(body, deltas))
            except NotFoundError:
                after = None
            if after is not None:
                self._evidence.remember(after)
                return
            # Somebody deleted it: what comes now is news.
            self._evidence.forget(key)
        new = counted(empty(key[0], attempt, self._titles.get(attempt.check, attempt.check)), deltas)
        try:
            self._evidence.remember(self._client.create(kind, new))
        except ConflictError:
            after = change(self._client, kind, *key, lambda body: counted(body, deltas))
            if after is None:
                raise
            self._evidence.remember(after)

    def _keep_evidence(self) -> None:
        """Copy the evidence of namespaces that are being deleted, or that are gone, to cluster scope."""
        with self._lock:
            alive, self._alive = self._alive, None
            if alive is not None:
                # One that is gone needs no more; one of that name that is there again is another.
                self._dying = {name: uid for name, uid in self._dying.items() if alive.get(name) == uid}
            dying = set(self._dying)
        gone: dict[str, bool] = {}
        for key in self._evidence if dying or alive is not None else ():
            if key[0] is None:
                continue
            namespace = key[0]
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
        body = self._evidence.get(key)
        assert body is not None, "only this thread forgets"
        copy = copied(body)
        try:
            self._evidence.remember(put(self._client, CLUSTER_IOC_FINDING, copy))
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            self._metrics.dropped.inc()
            _log.error("evidence could not be kept: %s", error, extra={"finding": key[1], "namespace": key[0]})
        else:
            self._metrics.kept.inc()
        self._evidence.forget(key)

    def _tidy(self) -> None:
        """Remove evidence past its retention, and count replicas that fell silent."""
        now = self._clock()
        for key, body in self._evidence.expired(now, self._retention):
            uid = text(mapping(body.get("metadata")).get("uid"))
            try:
                self._client.delete(finding_kind(key[0]), *key, uid=uid or None)
            except ConflictError:
                # Another object of that name by now, which is none of ours.
                _log.info("not removed, it was made anew", extra={"finding": key[1]})
            self._evidence.forget(key)
        for name in self._posts.lost():
            self._metrics.lost.inc()
            _log.warning("a webhook replica fell silent; its last seconds of denied attempts may be lost: %s", name)
        self._metrics.findings.set(len(self._evidence))
        self._metrics.waiting.set(len(self._posts))
