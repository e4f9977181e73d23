"""How far the webhook is behind: from answering a request that creates an object until its watch has brought it.

What passes meanwhile is judged without that object. Each request that was let through and never stored (another
webhook denied it) is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from iocaudit.core.kinds import Kind
from iocaudit.core.request import Operation
from iocaudit.core.resource import Resource
from iocaudit.engine.posture import Verdict
from iocaudit.sources.admission_review import Review

MOST_WAITING = 256
"""Objects that are waited for at most; the oldest is forgotten first."""
_Identity = tuple[Kind, str | None, str]


class Lag:
    """Tells ``observe`` of each object how many seconds it took to be seen. To be called in the event loop."""

    def __init__(
        self,
        kinds: Iterable[Kind],
        observe: Callable[[Kind, float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kinds = frozenset(kinds)
        self._observe, self._clock = observe, clock
        self._waiting: dict[_Identity, float] = {}

    def answered(self, review: Review, verdict: Verdict) -> None:
        """A request was answered. A change of what is there may change nothing, and then there is nothing to see."""
        resource, request = review.resource, review.request
        if resource is None or resource.kind not in self._kinds:
            return
        if not verdict.allowed or request.dry_run or request.operation is not Operation.CREATE or not request.name:
            return
        identity = (resource.kind, resource.namespace, request.name)
        self._waiting.pop(identity, None)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        self._waiting[identity] = self._clock()

    def seen(self, resource: Resource) -> None:
        """An object is in the webhook's world."""
        if self._waiting and resource.kind is not None:
            since = self._waiting.pop((resource.kind, resource.namespace, resource.name), None)
            if since is not None:
                self._observe(resource.kind, self._clock() - since)
