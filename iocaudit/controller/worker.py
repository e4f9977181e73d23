"""The one thread that audits and writes: sweeps on a period, changes as they come."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from iocaudit.cluster.errors import ClusterError
from iocaudit.controller.pending import PendingChanges
from iocaudit.controller.sweep import ClusterAuditor, ObjectChange
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.part import Stop, beat

_log = logging.getLogger(__name__)

_SETTLE = 0.2
_MEND_EVERY = 5.0
_LONGEST_AGAIN = 300.0
"""Seconds until objects are audited again of which a rule could not be evaluated; at first far fewer."""
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0


class _StopWork(Exception):
    """The worker is to end now: no error, but the way out of a sweep in the middle."""


class Worker:
    """Takes changes from any thread and works them off in its own. ``turned`` is called after each turn."""

    def __init__(self, cluster: ClusterAuditor, *, period: float, turned: Callable[[], None] = lambda: None) -> None:
        self.cluster, self._period, self._turned = cluster, period, turned
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pending = PendingChanges()
        self._sweep_at = 0.0
        self._applying = False
        self._mend_at = 0.0
        self._audit_again = Backoff(_MEND_EVERY, _LONGEST_AGAIN)
        self._audit_again_at = math.inf
        self._stop: Stop = threading.Event()
        self._retry = Backoff(_FIRST_RETRY, _LONGEST_RETRY)
        self._unfollowed: dict[Kind, str | None] = {}
        self._reload: set[Kind] = set()
        self.swept = threading.Event()
        """Set once the first sweep is complete."""
        self.failures = 0
        cluster.between = self.apply_pending

    @property
    def pending(self) -> int:
        return len(self._pending)

    def receive(self, change: ObjectChange) -> None:
        """Take a change, from any thread. Beyond what is held of them a sweep takes their place."""
        with self._lock:
            if self._pending.put(change):
                self._wake.set()
                return
        self.request_sweep()

    def unfollowed(self, kind: Kind, reason: str | None) -> None:
        """Take note, from any thread, that changes of a kind are not seen; None: they are, from now on."""
        with self._lock:
            self._unfollowed[kind] = reason
        self._wake.set()

    def reload(self, kind: Kind) -> None:
        """Have our own policies or waivers read again, as if one had changed."""
        with self._lock:
            self._reload.add(kind)
        self._wake.set()

    def request_sweep(self, *, rest: bool = False) -> None:
        """Sweep as soon as possible, whatever the period says; with ``rest`` no more than half of the time."""
        swept_at = self.cluster.swept_at
        with self._lock:
            soonest = swept_at + self.cluster.duration if rest and swept_at is not None else 0.0
            self._sweep_at = min(self._sweep_at, soonest)
        self._wake.set()

    def run(self, stop: Stop) -> None:
        """Work until ``stop``, also in mid-sweep. What fails as the API server is away is done again later."""
        self._stop = stop
        self._sweep_at = 0.0
        while not stop.is_set():
            self._wake.clear()
            now = time.monotonic()
            try:
                if now >= self._sweep_at:
                    with self._lock:
                        self._sweep_at = now + self._period
                    self.cluster.sweep()
                    self.swept.set()
                self.apply_pending()
                self._mend_rules(now)
                self.cluster.catch_up()
                if not self.cluster.waiver_ends_in:
                    self.cluster.follow_waivers()
                self._retry.reset()
            except _StopWork:
                return
            except ClusterError as error:
                self.failures += 1
                wait = self._retry.next()
                _log.warning("will sweep again in %.0f s: %s", math.ceil(wait), error)
                with self._lock:
                    self._sweep_at = time.monotonic() + wait
            self._turned()
            due = self.cluster.due_in
            wait = min(self._sweep_at - time.monotonic(), 5.0 if due is None else max(due, _SETTLE))
            wait = min(wait, self.cluster.waiver_ends_in)
            self._sleep(wait)
            if self._pending:
                stop.wait(_SETTLE)

    def _mend_rules(self, now: float) -> None:
        """Where rules could not be loaded, try again now and then; what failed meanwhile is audited again."""
        if now >= self._mend_at:
            self._mend_at = now + _MEND_EVERY
            if self.cluster.mend_rules():
                self.request_sweep(rest=True)
            if not self.cluster.rules_fail:
                self._audit_again.reset()
                self._audit_again_at = math.inf
            elif self._audit_again_at == math.inf:
                self._audit_again_at = now + self._audit_again.next()
            elif now >= self._audit_again_at:
                self._audit_again_at = math.inf
                self.request_sweep(rest=True)

    def _sleep(self, seconds: float) -> None:
        """Until something is to be done, and note that this is not a standstill."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._wake.wait(min(left, 1.0)):
            beat()

    def apply_pending(self) -> None:
        """Work off what has come in. After a failure a sweep makes up for it.

        Called between the pages of a list as well, and then from within itself: that does nothing, or
        changes that come fast enough would stack up lists that are half read.
        """
        if self._stop.is_set():
            raise _StopWork
        if self._applying:
            return
        with self._lock:
            changes = self._pending.take()
            unfollowed, self._unfollowed = self._unfollowed, {}
            reload, self._reload = self._reload, set()
        kinds = reload | {change.kind for change in changes}
        if not kinds and not unfollowed:
            return
        self._applying = True
        try:
            if unfollowed:
                self.cluster.note_unfollowed(unfollowed)
            ours = AUDIT_POLICY in kinds or any(map(self.cluster.is_module, changes))
            if ours and self.cluster.load_policies():
                self.request_sweep()
                # What other rules failed at before says nothing of those that are in force now.
                self._audit_again.reset()
                self._audit_again_at = math.inf
            if IOC_WAIVER in kinds and self.cluster.load_waivers():
                if self.cluster.waivers.unrecorded:
                    self.request_sweep()
                else:
                    self.cluster.follow_waivers()
            self.cluster.apply(change for change in changes if change.kind is not IOC_WAIVER)
            if NAMESPACE in kinds:
                self.cluster.tell_policies()
        except ClusterError:
            self.request_sweep()
            raise
        finally:
            self._applying = False
