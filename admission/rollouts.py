"""What policies under rollout would deny: judged once the answer is on its way, and counted until it is posted.

Only requests that were admitted count as what would be denied, by the very code that denies. A request that was denied,
of a controller that is protected, is judged as if its namespace were taken back: where it would have passed then, the
operator is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from iocaudit.core.kinds import NAMESPACE
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.resource import Resource
from iocaudit.core.would_be_denied import (
    ELSEWHERE,
    LONGEST_WHO,
    MOST_PLACES,
    MOST_ROLLOUTS,
    MOST_WHO,
    RolloutKey,
    RolloutOutcome,
    RolloutPost,
    RolloutRequester,
    RolloutTally,
)
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict
from iocaudit.engine.rollout import CLUSTER_SCOPE, EVERYWHERE, Rollout, RolloutProgress, RolloutState, forces_step_back
from iocaudit.engine.rollout_status import heartbeat
from iocaudit.evidence.counting import attempt_of
from iocaudit.knowledge.clipping import clip
from iocaudit.sources.admission_review import Review

_log = logging.getLogger(__name__)

Judge = Callable[[Auditor], Awaitable[Verdict]]
"""Judges the request anew, by another auditor."""
_MOST_AUDITORS = 1000
_PAUSES = 3
"""How often would-be denials are posted in the time within which a replica speaks at all."""


class RolloutCounts:
    """The map, bounded; all of it runs on the event loop. ``policies`` are those in force."""

    def __init__(
        self,
        policies: Callable[[], PolicySet],
        *,
        most: int = MOST_PLACES,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies, self._most = policies, most
        self._clock, self._monotonic = clock, monotonic
        self._requests: dict[RolloutKey, RolloutTally] = {}
        self._missed = 0
        self._until, self._posted = clock(), 0.0

    @property
    def rollouts(self) -> list[tuple[Policy, Rollout]]:
        """The policies that have a rollout."""
        found = [(one, one.rollout) for one in self._policies().policies if one.rollout is not None]
        return found[:MOST_ROLLOUTS]

    @property
    def heartbeat(self) -> float | None:
        """Seconds within which this replica is to speak; None where no policy has a rollout."""
        return min((heartbeat(rollout.after) for _, rollout in self.rollouts), default=None)

    @property
    def is_due(self) -> bool:
        """Whether there is something to be posted now."""
        if not (self._requests or self._missed):
            return False
        return self._monotonic() - self._posted >= (self.heartbeat or 0.0) / _PAUSES

    def add(
        self, policy: Policy, rollout: Rollout, place: str, outcome: RolloutOutcome, who: Iterable[RolloutRequester]
    ) -> None:
        """Count a request."""
        now = self._clock()
        found = RolloutTally(1, now, tuple((one, now) for one in who))
        key = RolloutKey(policy.name, rollout.fingerprint, place, outcome)
        known = self._requests.get(key)
        if known is None and len(self._requests) >= self._most:
            key = key._replace(place=ELSEWHERE)
            known = self._requests.get(key)
        self._requests[key] = found if known is None else known.plus(found)

    def miss(self) -> None:
        """It is not known of a request whether it would be denied."""
        self._missed += 1

    def take(self, *, last: bool = False) -> RolloutPost:
        """What the post says that is made now."""
        due = last or self.is_due or not (self._requests or self._missed)
        requests, missed = (self._requests, self._missed) if due else ({}, 0)
        if due:
            self._requests, self._missed = {}, 0
            self._until, self._posted = self._clock(), self._monotonic()
        counting = tuple(sorted((policy.name, rollout.fingerprint) for policy, rollout in self.rollouts))
        return RolloutPost(self._until, counting, tuple(requests.items()), missed)


class RolloutWatch:
    """Tells the counts of requests, once each was answered."""

    def __init__(self, counts: RolloutCounts) -> None:
        self._counts = counts
        self._auditor: Auditor | None = None
        self._auditors: dict[tuple[str, RolloutProgress], Auditor] = {}

    async def follow(self, review: Review, verdict: Verdict, auditor: Auditor, judge: Judge) -> None:
        """Count what each rollout has to do with a request. Nothing that fails here reaches the requester."""
        resource = review.resource
        rollouts = self._counts.rollouts
        if not rollouts or resource is None or resource.group == GROUP:
            return
        try:
            for policy, rollout in rollouts:
                if verdict.allowed:
                    await self._would_be(review, policy, rollout, auditor, judge)
                else:
                    await self._locked_out(review, policy, rollout, auditor, judge)
        except Exception as error:  # noqa: BLE001  counted: the time in which it came is not clean
            self._counts.miss()
            _log.error("a request could not be judged by a rollout: %s: %s", type(error).__name__, error)

    async def _would_be(self, review: Review, policy: Policy, rollout: Rollout, auditor: Auditor, judge: Judge) -> None:
        resource = review.resource
        if resource is None or resource.kind is None or not policy.is_rolling:
            return
        home = auditor.home_of(resource)
        waits = _holds(policy, resource, home, review, auditor) and policy.standing_in(home) is not RolloutState.TO
        place = CLUSTER_SCOPE if home is None else home
        if home is None and _completes(resource, auditor):
            # What it completes may be in places that are promoted at another time; that of an object in a namespace
            # is there with it.
            others = EVERYWHERE._replace(held=frozenset({place})) if waits else EVERYWHERE
            found = await judge(self._under(auditor, policy, others))
            if not found.allowed:
                self._counts.add(policy, rollout, ELSEWHERE, RolloutOutcome.WOULD_BE_DENIED, _who(review, found))
                return
        if waits:
            found = await judge(self._under(auditor, policy, EVERYWHERE))
            if not found.allowed:
                self._counts.add(policy, rollout, place, RolloutOutcome.WOULD_BE_DENIED, _who(review, found))

    async def _locked_out(
        self, review: Review, policy: Policy, rollout: Rollout, auditor: Auditor, judge: Judge
    ) -> None:
        resource = review.resource
        if resource is None:
            return
        home = auditor.home_of(resource)
        if home is None or not forces_step_back(review.request, home, rollout.protect):
            return
        if not _holds(policy, resource, home, review, auditor) or policy.standing_in(home) is not RolloutState.TO:
            return
        progress = policy.progress._replace(back=policy.progress.back | {home})
        if (await judge(self._under(auditor, policy, progress))).allowed:
            denied = await judge(auditor)
            self._counts.add(policy, rollout, home, RolloutOutcome.LOCKED_OUT, _who(review, denied))

    def _under(self, auditor: Auditor, policy: Policy, progress: RolloutProgress) -> Auditor:
        """The auditor as it would be with the rollout of a policy as far as that."""
        if self._auditor is not auditor or len(self._auditors) > _MOST_AUDITORS:
            self._auditor, self._auditors = auditor, {}
        kept = self._auditors.get((policy.name, progress))
        if kept is None:
            kept = auditor.under(auditor.policies.with_progress(policy.name, progress))
            self._auditors[policy.name, progress] = kept
        return kept


def _holds(policy: Policy, resource: Resource, home: str | None, review: Review, auditor: Auditor) -> bool:
    """Whether a policy may decide a request for an object at home there."""
    if not policy.covers(review.request):
        return False
    by_itself = policy.is_for(resource.kind) and policy.is_for_operation(review.request.operation)
    # What it completes is of other kinds, and judged as if it were created.
    if not (by_itself or _completes(resource, auditor)):
        return False
    known = auditor.world.get(NAMESPACE, None, home) if home is not None and policy.selects_by_label else None
    return policy.matches(home, known.labels if known is not None else {})


def _completes(resource: Resource, auditor: Auditor) -> bool:
    """Whether objects of other kinds may mean more by this one."""
    return resource.kind is not None and auditor.catalogue.completed_by(resource.kind) is not None


def _who(review: Review, verdict: Verdict) -> list[RolloutRequester]:
    """Who asked for what, by the checks that deny, worst first."""
    resource = review.resource
    assert resource is not None
    checks = [one.check for one in verdict.denials]
    checks += [one.check for one in verdict.fault_denials]
    checks += [one.check or "" for one in verdict.incomplete_denials]
    found = []
    for check in list(dict.fromkeys(checks))[:MOST_WHO]:
        attempt = attempt_of(check, resource, review.request)
        target = f"{attempt.kind}/{attempt.name}"
        found.append(
            RolloutRequester(
                check[: LONGEST_WHO["check"]],
                clip(attempt.user, LONGEST_WHO["user"]),
                clip(target, LONGEST_WHO["target"]),
            )
        )
    return found
