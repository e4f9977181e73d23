"""The one thread that audits and writes: sweeps on a period, changes as they come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from iocaudit.cluster.errors import ClusterError
from iocaudit.controller.sweep import Change, Cluster
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import mapping, text
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER

_log = logging.getLogger(__name__)

MOST_PENDING = 2000
"""Changes held at a time; beyond, a sweep takes their place, so that memory stays bounded."""
_SETTLE = 0.2
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0


class _Stopped(Exception):
    """The worker is to end now: no error, but the way out of a sweep in the middle."""


class Worker:
    """Takes changes from any thread and works them off in its own. ``turned`` is called after each turn."""

    def __init__(self, cluster: Cluster, *, period: float, turned: Callable[[], None] = lambda: None) -> None:
        self.cluster, self._period, self._turned = cluster, period, turned
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pending: dict[tuple[Kind, str], Change] = {}
        self._sweep_at = 0.0
        self._applying = False
        self._stop = threading.Event()
        self._retry = _FIRST_RETRY
        self.swept = threading.Event()
        """Set once the first sweep is complete."""
        self.failures = 0
        self.beat = time.monotonic()
        """When the thread last did anything: a stuck one does not move it."""
        cluster.between = self.apply_pending

    @property
    def pending(self) -> int:
        return len(self._pending)

    def receive(self, change: Change, listed: bool) -> None:
        """Take a change. One of a first listing counts only where it is news."""
        metadata = mapping(change.raw.get("metadata"))
        uid = text(metadata.get("uid"))
        if listed:
            known = self.cluster.inventory.get(uid)
            if known is not None and known.resource_version == metadata.get("resourceVersion"):
                return
        with self._lock:
            if len(self._pending) < MOST_PENDING or (change.kind, uid) in self._pending:
                self._pending[(change.kind, uid)] = change
                self._wake.set()
                return
        self.request_sweep()

    def request_sweep(self) -> None:
        """Sweep as soon as possible, whatever the period says."""
        with self._lock:
            self._sweep_at = 0.0
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``, also in mid-sweep. What fails as the API server is away is done again later."""
        self._stop = stop
        while not stop.is_set():
            self._wake.clear()
            self.beat = time.monotonic()
            try:
                if self.beat >= self._sweep_at:
                    with self._lock:
                        self._sweep_at = self.beat + self._period
                    self.cluster.sweep()
                    self.swept.set()
                self.apply_pending()
                self.cluster.catch_up()
                if not self.cluster.waiver_ends_in:
                    self.cluster.follow_waivers()
                self._retry = _FIRST_RETRY
            except _Stopped:
                return
            except ClusterError as error:
                self.failures += 1
                _log.warning("will sweep again in %.0f s: %s", self._retry, error)
                with self._lock:
                    self._sweep_at = time.monotonic() + self._retry
                self._retry = min(self._retry * 2, _LONGEST_RETRY)
            self._turned()
            due = self.cluster.due_in
            wait = min(self._sweep_at - time.monotonic(), 5.0 if due is None else max(due, _SETTLE))
            wait = min(wait, self.cluster.waiver_ends_in)
            self._wake.wait(max(0.0, wait))
            if self._pending:
                stop.wait(_SETTLE)

    def apply_pending(self) -> None:
        """Work off what has come in. After a failure a sweep makes up for it.

        Called between the pages of a list as well, and then from within itself: that does nothing, or
        changes that come fast enough would stack up lists that are half read.
        """
        self.beat = time.monotonic()
        if self._stop.is_set():
            raise _Stopped
        if self._applying:
            return
        with self._lock:
            changes, self._pending = list(self._pending.values()), {}
        if not changes:
            return
        self._applying = True
        try:
            if any(change.kind is AUDIT_POLICY for change in changes) and self.cluster.load_policies():
                self.request_sweep()
            if any(change.kind is IOC_WAIVER for change in changes) and self.cluster.load_waivers():
                if self.cluster.waivers.unrecorded:
                    self.request_sweep()
                else:
                    self.cluster.follow_waivers()
            self.cluster.apply(change for change in changes if change.kind is not IOC_WAIVER)
        except ClusterError:
            self.request_sweep()
            raise
        finally:
            self._applying = False
