"""One active leader by a Lease of coordination.k8s.io.

The holder renews; another takes over once it has itself seen the Lease unchanged for its whole duration, so
that clocks need not agree. Writes carry the resourceVersion: of two that try, one is told of the conflict.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ClusterError, ConflictError, NotFoundError
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import Json, integer, mapping, text
from iocaudit.supervision.part import Stop

_log = logging.getLogger(__name__)

LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")


class LeaseLostError(ClusterError):
    """Another process holds the Lease, or it could not be renewed in time: this one must stop acting."""


class Lease:
    """A Lease as one of its candidates sees it. ``duration``: seconds it holds without being renewed.

    The holder gives up before the others may take over: after two thirds of the duration.
    """

    def __init__(
        self,
        client: Api,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._namespace, self._name, self._identity = client, namespace, name, identity
        self.duration = duration
        self._clock = clock
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    def ensure(self) -> None:
        """Raise LeaseLostError unless the Lease is ours for certain, by our own clock.

        To be asked before each write: a process that was paused may act before it has noticed.
        """
        if self._renewed_at is None or self._clock() - self._renewed_at >= self.duration:
            raise LeaseLostError(f"lease {self._namespace}/{self._name} is not held: nothing is written without it")

    def acquire(self, stop: Stop) -> bool:
        """Wait until this process holds the Lease; False where ``stop`` was set before."""
        complained = False
        while not stop.is_set():
            try:
                if self.try_once():
                    _log.info("leading", extra={"lease": self._name, "identity": self._identity})
                    return True
            except ClusterError as error:
                (_log.debug if complained else _log.warning)("no lease yet: %s", error)
                complained = True
            stop.wait(self.duration / 7)
        return False

    def hold(self, stop: Stop) -> None:
        """Renew until ``stop``, then hand the Lease back. Raises LeaseLostError when it is no longer ours."""
        while not stop.wait(self.duration / 7):
            try:
                if not self.try_once():
                    self._renewed_at = None
                    raise LeaseLostError(f"lease {self._namespace}/{self._name} is held by another process")
            except LeaseLostError:
                raise
            except ClusterError as error:
                if self._renewed_at is None or self._clock() - self._renewed_at > self.duration * 2 / 3:
                    raise LeaseLostError(
                        f"lease {self._namespace}/{self._name} could not be renewed in time: {error}"
                    ) from error
                _log.warning("lease not renewed, trying again: %s", error)
        self._release()

    def try_once(self) -> bool:
        """Take or renew the Lease; whether it is ours now."""
        try:
            current = self._client.get(LEASE, self._namespace, self._name)
        except NotFoundError:
            return self._write(lambda: self._client.create(LEASE, self._body({}, "")))
        spec = mapping(current.get("spec"))
        holder = text(spec.get("holderIdentity"))
        seen = (holder, text(mapping(current.get("metadata")).get("resourceVersion")))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        lasts = integer(spec.get("leaseDurationSeconds")) or self.duration
        if holder and holder != self._identity and self._clock() - self._seen_at < lasts:
            return False
        return self._write(lambda: self._client.replace(LEASE, self._body(current, holder)))

    def _write(self, write: Callable[[], Json]) -> bool:
        begun = self._clock()
        try:
            write()
        except ConflictError:
            return False
        self._renewed_at = begun
        return True

    def _body(self, current: Json, holder: str) -> Json:
        spec = mapping(current.get("spec"))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = holder == self._identity
        transitions = integer(spec.get("leaseTransitions")) or 0
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": current.get("metadata") or {"namespace": self._namespace, "name": self._name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(1, round(self.duration)),
                "acquireTime": spec.get("acquireTime") or now if ours else now,
                "renewTime": now,
                "leaseTransitions": transitions if ours or not holder else transitions + 1,
            },
        }

    def _release(self) -> None:
        self._renewed_at = None
        try:
            current = self._client.get(LEASE, self._namespace, self._name)
            if mapping(current.get("spec")).get("holderIdentity") == self._identity:
                self._client.replace(LEASE, {**current, "spec": {**current["spec"], "holderIdentity": ""}})
        except ClusterError as error:
            _log.info("the lease was not released, it expires by itself: %s", error)
