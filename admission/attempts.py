"""Denied requests, counted in a bounded map until they are posted to the operator.

All of it runs on the event loop: a request costs a look-up and an addition for each check that denied it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from admission.owners import is_made_by_controller
from iocaudit.core.attempt import MOST_KEYS, POLICY_CHANGE, Attempt, Tally, other
from iocaudit.core.identity import BOUNDS, bounded
from iocaudit.core.report import Found
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.core.shape import text
from iocaudit.engine.posture import Verdict
from iocaudit.sources.admission_review import Review
from iocaudit.sources.attempt_post import LONGEST, Post


class Attempts:
    """The map, and the one post that is under way. ``overflowed`` is told what found no room of its own.

    While the operator is away everything adds up here: memory stays within two maps of ``most`` keys each.
    """

    def __init__(
        self,
        replica: str,
        *,
        most: int = MOST_KEYS,
        clock: Callable[[], float] = time.time,
        overflowed: Callable[[], None] = lambda: None,
    ) -> None:
        self.replica = replica
        self._most, self._clock, self._overflowed = most, clock, overflowed
        self._tallies: dict[Attempt, Tally] = {}
        self._number = 0
        self._posting: Post | None = None

    def count(self, review: Review, verdict: Verdict) -> int:
        """Count a denied request once for each cause that denied it, and what is recorded of it; how many those are.

        A denial because a check failed or lacked something is a fault, and no attempt.
        """
        resource = review.resource or review.old
        if resource is None:
            return 0
        worst: dict[str, Found] = {}
        for found in verdict.causes.denials:
            worst.setdefault(found.check, found)
        now = self._clock()
        for check, found in worst.items():
            self._add(attempt_of(check, resource, review.request), _tally(found, now))
        for found in verdict.recorded:
            attempt = attempt_of(found.check, resource, review.request)
            self._add(attempt._replace(type=POLICY_CHANGE), _tally(found, now))
        return len(worst) + len(verdict.recorded)

    def _add(self, attempt: Attempt, tally: Tally) -> None:
        known = self._tallies.get(attempt)
        if known is None and len(self._tallies) >= self._most and not attempt.is_other:
            self._overflowed()
            self._add(other(attempt), tally)
            return
        self._tallies[attempt] = tally if known is None else known.plus(tally)

    def next_post(self, *, last: bool = False) -> Post:
        """The post to send now: the one under way for as long as it is not stored, else a new one."""
        if self._posting is None:
            self._number += 1
            self._posting = Post(self.replica, self._number, self._tallies, last)
            self._tallies = {}
        return self._posting

    def stored(self, number: int) -> int:
        """The operator has stored a post; how many denials were in it. Anything but the one under way is old."""
        if self._posting is None or self._posting.number != number:
            return 0
        posted, self._posting = self._posting, None
        return _sum(posted.attempts.values())

    @property
    def waiting(self) -> int:
        """Denials that were counted and are not known to be stored."""
        return _sum(self._tallies.values()) + (_sum(self._posting.attempts.values()) if self._posting else 0)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever counted or posted."""
        return self._number == 0 and not self._tallies

    @property
    def posting(self) -> bool:
        return self._posting is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted since the last post was made."""
        return not self._tallies


def attempt_of(check: str, resource: Resource, request: Request) -> Attempt:
    """What a denied request counts as, within the bounds of a post."""
    group, kind, name = resource.group, resource.kind_name, resource.name
    generated = text(resource.metadata.get("generateName"))
    owner = resource.controller if is_made_by_controller(resource, request) else None
    if owner is not None and text(owner.get("kind")):
        group, _, _ = text(owner.get("apiVersion")).rpartition("/")
        kind, name = text(owner.get("kind")), text(owner.get("name"))
    elif generated and name.startswith(generated):
        # The API server makes the name before it asks us: each new try would be another.
        name = generated
    return Attempt(
        check,
        bounded(group, BOUNDS["group"]),
        bounded(kind, BOUNDS["kind"]),
        resource.namespace,
        bounded(name, BOUNDS["name"]),
        bounded(request.username, BOUNDS["user"]),
    )


def _tally(found: Found, now: float) -> Tally:
    return Tally(
        1, now, now, found.severity, found.iocs, found.message[: LONGEST["message"]], found.fix[: LONGEST["fix"]]
    )


def _sum(tallies: Iterable[Tally]) -> int:
    return sum(tally.count for tally in tallies)
