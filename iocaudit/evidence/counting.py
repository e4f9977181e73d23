"""Denied requests, counted in a bounded map until they are posted to the operator.

All of it runs on the event loop: a request costs a look-up and an addition for each check that denied it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from iocaudit.core.identity import BOUNDS, bounded
from iocaudit.core.report import ReportedHit
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.core.shape import text
from iocaudit.core.would_be_denied import RolloutPost
from iocaudit.engine.posture import Verdict
from iocaudit.evidence.key import MOST_KEYS, POLICY_CHANGE, EvidenceKey, EvidenceTally, other
from iocaudit.evidence.post import LONGEST, Post
from iocaudit.judging.owners import is_made_by_controller
from iocaudit.sources.admission_review import Review


class RolloutPart(Protocol):
    """What a post says of rollouts beside the attempts."""

    @property
    def is_due(self) -> bool:
        """Whether it has something to be posted now."""

    @property
    def heartbeat(self) -> float | None:
        """Seconds within which this replica is to speak; None where it need not."""

    def take(self, *, last: bool = False) -> RolloutPost:
        """What the post says that is made now."""


class Attempts:
    """The map, and the one post that is under way. ``overflowed`` is told what found no room of its own.

    While the operator is away everything adds up here: memory stays within two maps of ``most`` keys each.
    """

    def __init__(
        self,
        replica: str,
        *,
        rollouts: RolloutPart | None = None,
        most: int = MOST_KEYS,
        clock: Callable[[], float] = time.time,
        overflowed: Callable[[], None] = lambda: None,
    ) -> None:
        self.replica = replica
        self._rollouts = rollouts
        self._most, self._clock, self._overflowed = most, clock, overflowed
        self._tallies: dict[EvidenceKey, EvidenceTally] = {}
        self._number = 0
        self._posting: Post | None = None

    def count(self, review: Review, verdict: Verdict) -> int:
        """Count a denied request once for each cause that denied it, and what is recorded of it; how many those are.

        A denial because a check failed or lacked something is a fault, and no attempt.
        """
        resource = review.resource or review.old
        if resource is None:
            return 0
        worst: dict[str, ReportedHit] = {}
        for found in verdict.causes.denials:
            worst.setdefault(found.check, found)
        now = self._clock()
        for check, found in worst.items():
            self._add(attempt_of(check, resource, review.request), _tally(found, now))
        for found in verdict.recorded:
            attempt = attempt_of(found.check, resource, review.request)
            self._add(attempt._replace(type=POLICY_CHANGE), _tally(found, now))
        return len(worst) + len(verdict.recorded)

    def _add(self, attempt: EvidenceKey, tally: EvidenceTally) -> None:
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
            rollouts = self._rollouts.take(last=last) if self._rollouts is not None else None
            self._posting = Post(self.replica, self._number, self._tallies, last, rollouts)
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
        return self._number == 0 and self.is_empty

    @property
    def posting(self) -> bool:
        return self._posting is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be posted since the last post was made."""
        return not self._tallies and not (self._rollouts is not None and self._rollouts.is_due)

    @property
    def heartbeat(self) -> float | None:
        """Seconds within which rollouts ask this replica to speak, whatever it has to say; None where none does."""
        return self._rollouts.heartbeat if self._rollouts is not None else None


def attempt_of(check: str, resource: Resource, request: Request) -> EvidenceKey:
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
    return EvidenceKey(
        check,
        bounded(group, BOUNDS["group"]),
        bounded(kind, BOUNDS["kind"]),
        resource.namespace,
        bounded(name, BOUNDS["name"]),
        bounded(request.username, BOUNDS["user"]),
    )


def _tally(found: ReportedHit, now: float) -> EvidenceTally:
    return EvidenceTally(
        1, now, now, found.severity, found.iocs, found.message[: LONGEST["message"]], found.fix[: LONGEST["fix"]]
    )


def _sum(tallies: Iterable[EvidenceTally]) -> int:
    return sum(tally.count for tally in tallies)
