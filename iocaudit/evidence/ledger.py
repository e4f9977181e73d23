"""Writes what senders counted as findings, and keeps evidence when its namespace goes.

A sender's post is acknowledged once all of it is stored, not before; so whatever ends in between, the sender
sends it again, and every finding knows by itself which posts it holds (`evidence.finding`). A leader that
was told nothing by the one before loses and doubles nothing.

Evidence is all that is not posture (`evidence.store`). One thread writes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ApiError, ClusterError, ConflictError, NotFoundError
from iocaudit.cluster.writer import change, is_terminating, put
from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.shape import integer, mapping, text
from iocaudit.evidence.finding import Delta, attempt_of, copied, counted, empty
from iocaudit.evidence.key import POLICY_CHANGE, RUNTIME, EvidenceKey
from iocaudit.evidence.metrics import EvidenceMetrics
from iocaudit.evidence.post import Post
from iocaudit.evidence.posts import Answer, Posts
from iocaudit.evidence.store import Evidence
from iocaudit.evidence.write_budget import WriteBudget
from iocaudit.records.kinds import CLUSTER_IOC_FINDING, IOC_FINDING, finding_kind
from iocaudit.records.lifecycle import RecordKey
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.part import Stop

_log = logging.getLogger(__name__)

WRITES_PER_SECOND = 25.0
_REFUSED = frozenset({400, 403, 413, 422})
"""Statuses that the same write would meet again."""
_HOUSEKEEPING = 30.0
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 30.0


class RolloutLedger(Protocol):
    """What posts say of rollouts, counted and written beside the attempts."""

    def accept(self, post: Post) -> bool:
        """Take a post of which all else is stored; whether what it says of rollouts is, too."""

    def turn(self) -> None:
        """Write what is due. Raises ClusterError."""


class IncidentWriter(Protocol):
    """What posts say of incidents, written beside the sightings."""

    def load(self) -> None:
        """Read what is stored. Raises ClusterError."""

    def accept(self, post: Post) -> bool:
        """Take the incidents of a post; whether all of them are stored."""

    def turn(self) -> None:
        """Write what is due. Raises ClusterError."""

    def tidy(self) -> None:
        """Remove what is too old. Raises ClusterError."""


class Ledger:
    """`accept` takes posts from any thread, `run` is the thread that writes.

    ``namespace`` and ``namespaces`` tell it, from any thread, which are going or gone. It tells ``changed`` of each
    change of a policy that it counted.
    """

    def __init__(
        self,
        client: Api,
        title_of: Callable[[str], str],
        metrics: EvidenceMetrics,
        *,
        rollouts: RolloutLedger | None = None,
        incidents: IncidentWriter | None = None,
        changed: Callable[[EvidenceKey, Delta], None] = lambda *_: None,
        retention: timedelta = timedelta(days=7),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        writes_per_second: float = WRITES_PER_SECOND,
        budget: WriteBudget | None = None,
    ) -> None:
        self._client, self._title_of, self._metrics = client, title_of, metrics
        self._rollouts, self._incidents, self._changed = rollouts, incidents, changed
        self._retention, self._clock = retention, clock
        self._pause = 1.0 / writes_per_second
        self._budget = budget or WriteBudget()
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
        if (
            answer is Answer.STORED
            and post.has_attempts
            and self._rollouts is not None
            and not self._rollouts.accept(post)
        ):
            answer = Answer.WAITING
        # Incidents are told whole each time: taken even of a post of which something else waits.
        if (
            answer is not Answer.BUSY
            and post.incidents
            and self._incidents is not None
            and not self._incidents.accept(post)
        ):
            answer = Answer.WAITING
        of = self._metrics.attempts if post.has_attempts else self._metrics.sightings
        of.posts.labels(answer.value).inc()
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
                self.turn(stop)
                if time.monotonic() >= tidy_at:
                    tidy_at = time.monotonic() + _HOUSEKEEPING
                    self._tidy()
                retry.reset()
            except ClusterError as error:
                wait = retry.next()
                _log.warning("evidence not written, trying again in %.1f s: %s", wait, error)
                stop.wait(wait)
                continue
            self._wake.wait(1.0)

    def load(self) -> None:
        """Read all evidence back; from then on posts are taken."""
        for kind in (IOC_FINDING, CLUSTER_IOC_FINDING):
            for body in self._client.each(kind):
                self._evidence.remember(body)
        if self._incidents is not None:
            self._incidents.load()
        self._loaded = True

    def turn(self, stop: Stop | None = None) -> None:
        """One round of writing, whatever is due: incidents first, as they are few and say the most."""
        if self._incidents is not None:
            self._incidents.turn()
        self._keep_evidence()
        self._write_pending(stop or threading.Event())
        if self._rollouts is not None:
            self._rollouts.turn()

    def _write_pending(self, stop: Stop) -> None:
        # What had no room comes last of each post, so one that is repeated is not counted a second time.
        for others in (False, True):
            for attempt in self._posts.due(others=others):
                if stop.is_set():
                    return
                if attempt.type == RUNTIME and not self._budget.left:
                    continue
                deltas = self._posts.deltas(attempt)
                wrote = self._store(attempt, deltas)
                self._posts.done(attempt, deltas)
                if wrote:
                    if attempt.type == RUNTIME:
                        self._budget.spend()
                    stop.wait(self._pause)

    def _store(self, attempt: EvidenceKey, deltas: list[Delta]) -> bool:
        """Count deltas where the attempt's finding lives; whether anything was written.

        Raises where it should be tried again. What the API server refuses for good is counted as dropped.
        """
        left = self._evidence.missing(attempt, deltas)
        if not left:
            return False
        metrics, count = self._metrics.of(attempt), sum(delta.tally.count for delta in left)
        try:
            self._count(attempt, left)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            metrics.dropped.inc(count)
            _log.error("evidence could not be stored: %s", error, extra={"finding": attempt.finding})
            return True
        metrics.counted.inc(count)
        metrics.suppressed.inc(count - 1)
        if attempt.type == POLICY_CHANGE and not attempt.is_other:
            for delta in left:
                self._changed(attempt, delta)
        return True

    def _count(self, attempt: EvidenceKey, deltas: list[Delta]) -> None:
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

    def _count_at(self, key: RecordKey, attempt: EvidenceKey, deltas: list[Delta]) -> None:
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
            # Someone deleted it: what comes now is news.
            self._evidence.forget(key)
        new = counted(empty(key[0], attempt, self._title_of(attempt.check)), deltas)
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

    def _bury(self, key: RecordKey) -> None:
        body = self._evidence.get(key)
        assert body is not None, "only this thread forgets"
        copy = copied(body)
        try:
            self._evidence.remember(put(self._client, CLUSTER_IOC_FINDING, copy))
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            self._metrics.of(attempt_of(body)).dropped.inc(integer(mapping(body.get("finding")).get("count")) or 1)
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
                # Another object of that name by now, which is not ours.
                _log.info("not removed, it was made anew", extra={"finding": key[1]})
            self._evidence.forget(key)
        for name in self._posts.lost():
            self._metrics.lost.inc()
            _log.warning("a webhook replica fell silent; its last seconds of denied attempts may be lost: %s", name)
        if self._incidents is not None:
            self._incidents.tidy()
        self._metrics.findings.set(len(self._evidence))
        self._metrics.attempts.waiting.set(self._posts.waiting(runtime=False))
        self._metrics.sightings.waiting.set(self._posts.waiting(runtime=True))
