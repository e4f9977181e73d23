"""Would-be denials are counted in a bounded map, and posted with what they are complete up to."""

from __future__ import annotations

import asyncio
from typing import Any

from admission.rollouts import RolloutCounts, RolloutWatch
from iocaudit.core.would_be_denied import ELSEWHERE, RolloutOutcome, RolloutRequester
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict
from iocaudit.engine.rollout import NOWHERE, Rollout
from iocaudit.evidence.counting import Attempts
from tests.support.rollout_world import Asked, RolloutWorld, role

CATALOGUE = builtin_catalogue()
WHO = RolloutRequester("c", "alice", "Role/r")
DENIED = RolloutOutcome.WOULD_BE_DENIED


def policy(name: str = "p", after: str = "100s") -> Policy:
    spec = {"preset": "lockdown", "rollout": {"after": after}}
    return read_policy({"metadata": {"name": name}, "spec": spec}, CATALOGUE)._replace(progress=NOWHERE)


def rollout(of: Policy) -> Rollout:
    assert of.rollout is not None
    return of.rollout


class Setting:
    def __init__(self, *policies: Policy, most: int = 4096) -> None:
        self.time = 1000.0
        self.policies = policies
        self.counts = RolloutCounts(
            lambda: PolicySet(CATALOGUE, self.policies), most=most, clock=lambda: self.time, monotonic=lambda: self.time
        )

    def due(self) -> bool:
        return self.counts.is_due

    def add(self, place: str = "shop") -> None:
        one = self.policies[0]
        self.counts.add(one, rollout(one), place, DENIED, [WHO])


def test_a_post_says_what_it_is_complete_up_to_and_for_which_rollouts() -> None:
    setting = Setting(policy())
    setting.add()
    setting.add()
    setting.time += 5
    found = setting.counts.take()
    assert (found.until, found.counting) == (1005.0, (("p", rollout(policy()).fingerprint),))
    ((key, tally),) = found.requests
    assert (key.place, tally.count, tally.last, tally.who) == ("shop", 2, 1000.0, ((WHO, 1000.0),))


def test_between_its_posts_it_is_complete_up_to_the_last() -> None:
    """Statuses are not written more often than has a purpose."""
    setting = Setting(policy())
    setting.time += 5
    assert setting.counts.take().until == 1005.0
    setting.time += 1
    setting.add()
    assert setting.due() is False
    held = setting.counts.take()
    assert (held.until, held.requests) == (1005.0, ())
    setting.time += 3
    assert setting.due() is True
    assert len(setting.counts.take().requests) == 1


def test_the_last_post_holds_everything() -> None:
    setting = Setting(policy())
    setting.counts.take()
    setting.add()
    assert len(setting.counts.take(last=True).requests) == 1


def test_beyond_its_places_it_counts_elsewhere() -> None:
    setting = Setting(policy(), most=2)
    for number in range(5):
        setting.add(f"n-{number}")
    found = {key.place: tally.count for key, tally in setting.counts.take().requests}
    assert found == {"n-0": 1, "n-1": 1, ELSEWHERE: 3}


def test_a_replica_speaks_as_often_as_the_shortest_rollout_asks() -> None:
    assert Setting().counts.heartbeat is None
    setting = Setting(policy(), policy("q", "7d"))
    assert setting.counts.heartbeat == 10.0
    attempts = Attempts("one", rollouts=setting.counts)
    assert attempts.heartbeat == 10.0
    before = attempts.is_empty
    setting.time += 5
    setting.add()
    assert (before, attempts.is_empty) == (True, False)
    assert attempts.next_post().rollouts is not None


def test_what_cannot_be_judged_is_missed_and_reaches_nobody() -> None:
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}}
    world = RolloutWorld({**raw, "spec": {"preset": "lockdown", "rollout": {"after": "2d"}}}, ["shop"])
    review = Asked(role("r", "shop"), "alice").review()

    async def fails(_auditor: Any) -> Any:
        raise RuntimeError("broken")

    asyncio.run(RolloutWatch(world.counts).follow(review, Verdict(allowed=True), world.auditor, fails))
    assert world.counts.take(last=True).missed == 1
