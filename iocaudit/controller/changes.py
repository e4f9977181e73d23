"""What the watches see, handed to the worker; nothing is listed or held for it.

A watch begins with the version as of which the sweep listed the kind, so it tells of every change and deletion
since. Where that version is too old, or the kind has come only now, it begins with the latest one, and a sweep reads
what lies before it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from iocaudit.cluster.api import Api
from iocaudit.cluster.watch import Sink, Watches, whole
from iocaudit.controller.sweep import ObjectChange
from iocaudit.controller.worker import Worker
from iocaudit.core.kinds import Kind
from iocaudit.core.resource import Resource
from iocaudit.records.kinds import AUDIT_POLICY, GROUP, IOC_WAIVER
from iocaudit.supervision.supervisor import Supervisor

_log = logging.getLogger(__name__)
_OURS = (AUDIT_POLICY, IOC_WAIVER)


class Changes:
    """Follows the kinds. ``receive`` takes each change, ``installed`` is told once our own kinds are there anew."""

    def __init__(
        self,
        client: Api,
        kinds: Iterable[Kind],
        worker: Worker,
        supervisor: Supervisor,
        receive: Callable[[ObjectChange], None],
        failed: Callable[[Kind | None], None],
        installed: Callable[[], None],
    ) -> None:
        self._client, self._worker, self._receive, self._installed = client, worker, receive, installed
        self._followed: set[Kind] = set()
        self._ours: bool | None = None
        sink = Sink(
            self._replace,
            lambda resource: self._change(resource, deleted=False),
            lambda resource: self._change(resource, deleted=True),
            worker.unfollowed,
            self._install,
            begin=self._begin,
            keep=whole,
        )
        self.watches = Watches(client, kinds, sink, supervisor, failed)

    def _begin(self, kind: Kind) -> str:
        version = self._worker.cluster.take_version(kind)
        if version is None:
            version = self._client.latest(kind)
            if kind is not IOC_WAIVER:
                self._worker.request_sweep(rest=True)
        if kind in _OURS:
            # They are read apart from the sweep's list of them, and before it.
            self._worker.reload(kind)
        self._followed.add(kind)
        self._worker.unfollowed(kind, None)
        return version

    def _replace(self, kind: Kind, _none: list[Resource]) -> None:
        """The kind is not served: what there was of it went with it."""
        self._worker.unfollowed(kind, None)
        if kind in self._followed:
            self._followed.discard(kind)
            self._worker.request_sweep(rest=True)

    def _change(self, resource: Resource, *, deleted: bool) -> None:
        assert resource.kind is not None
        self._receive(ObjectChange(resource.kind, deleted, resource.raw))

    def _install(self, groups: frozenset[str]) -> None:
        there = GROUP in groups
        if there and self._ours is False:
            self._installed()
        self._ours = there
