"""What a policy under rollout would deny, as webhook replicas count it: by policy and place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

ELSEWHERE = "*"
"""Stands for a place that cannot be named: what a request completes in other namespaces."""
MOST_WHO = 3
"""How many requests are named in one place, the last of each kind."""
MOST_PLACES = 4096
"""How many places are distinguished in one replica; beyond these they count as ELSEWHERE."""
MOST_ROLLOUTS = 256
LONGEST_WHO = {"check": 63, "user": 128, "target": 192}


class RolloutOutcome(StrEnum):
    """What became of the requests."""

    WOULD_BE_DENIED = "would-be-denied"
    """They were admitted, and would have been denied after the promotion."""
    LOCKED_OUT = "locked-out"
    """They were denied, of a controller that is protected; a step back would have let them pass."""


class RolloutRequester(NamedTuple):
    """Who asked for what: ``target`` is the object, or the owner that one of the cluster's controllers made it for."""

    check: str
    user: str
    target: str


class RolloutKey(NamedTuple):
    """``fingerprint`` tells the rollout of one spec from that of another. ``place`` is a namespace, empty for cluster
    scope, or ELSEWHERE.
    """

    policy: str
    fingerprint: str
    place: str
    outcome: RolloutOutcome


@dataclass(frozen=True, slots=True)
class RolloutTally:
    """How many requests, the time of the last in Unix seconds, and of some of them who asked, each with its last."""

    count: int
    last: float
    who: tuple[tuple[RolloutRequester, float], ...] = ()

    def plus(self, more: RolloutTally) -> RolloutTally:
        """Both together; of the requesters those that asked last."""
        return RolloutTally(self.count + more.count, max(self.last, more.last), latest((*self.who, *more.who)))


def latest(who: tuple[tuple[RolloutRequester, float], ...]) -> tuple[tuple[RolloutRequester, float], ...]:
    """Each requester once, with the last time; MOST_WHO of them, the last first."""
    times: dict[RolloutRequester, float] = {}
    for one, last in who:
        times[one] = max(last, times.get(one, last))
    return tuple(sorted(times.items(), key=lambda item: (-item[1], item[0]))[:MOST_WHO])


@dataclass(frozen=True, slots=True)
class RolloutPost:
    """What a post says of rollouts.

    ``until`` (Unix seconds by the replica's clock): everything counted before is in this post or in earlier ones.
    ``counting`` are the rollouts that the replica counts for, policy to fingerprint. ``missed``: requests since the
    post before of which it was not known whether they would have been denied.
    """

    until: float
    counting: tuple[tuple[str, str], ...] = ()
    requests: tuple[tuple[RolloutKey, RolloutTally], ...] = ()
    missed: int = 0
