"""Rollouts carried on in an API server in memory: posts counted once, stages written, and nothing else."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from iocaudit.cluster.errors import ConflictError, ForbiddenError
from iocaudit.controller.counting import CountingReplicas
from iocaudit.controller.policies import Policies
from iocaudit.controller.rollout_metrics import RolloutMetrics
from iocaudit.controller.rollouts import Rollouts
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.would_be_denied import RolloutKey, RolloutOutcome, RolloutPost, RolloutRequester, RolloutTally
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.places import LabelledNamespace
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.rollout import Rollout
from iocaudit.evidence.ledger import Ledger
from iocaudit.evidence.metrics import EvidenceMetrics
from iocaudit.evidence.post import Post, read_post, to_bytes
from iocaudit.evidence.posts import Answer
from iocaudit.serving.metrics import new_registry
from tests.support.api import FakeApi

CATALOGUE = builtin_catalogue()
START = 1_800_000_000.0
Json = dict[str, Any]
WHO = RolloutRequester("escalation-verb", "alice", "Role/r")
PLACES = [LabelledNamespace(name, {}) for name in ("shop", "pay")]


class Clock:
    """Both clocks, moved by hand; time is that of the wall less START."""

    def __init__(self) -> None:
        self.time = 0.0

    def wall(self) -> float:
        return START + self.time

    def monotonic(self) -> float:
        return self.time


class Setting:
    """An operator's rollouts, one policy, and replicas that post when they are told."""

    def __init__(self, after: str = "100s", api: FakeApi | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.api = api or FakeApi("default")
        self.ready: int | None = None
        self.registered = True
        spec = {"preset": "lockdown", "rollout": {"after": after, "protect": ["flux-system"]}}
        self.policy = read_policy({"metadata": {"name": "p"}, "spec": spec}, CATALOGUE)
        if api is None:
            self.api.put(AUDIT_POLICY, "p", spec=spec)
        self.policies = Policies(CATALOGUE)
        self.registry = new_registry("test")
        self.rollouts = Rollouts(
            self.api,
            self.policies,
            RolloutMetrics(self.registry),
            ready=lambda: self.ready,
            registered=lambda: self.registered,
            clock=self.clock.wall,
            monotonic=self.clock.monotonic,
        )
        self.numbers: dict[str, int] = {}
        self.see()

    @property
    def rollout(self) -> Rollout:
        assert self.policy.rollout is not None
        return self.policy.rollout

    def see(self) -> None:
        """The operator's worker sees the policies as they stand."""
        self.policies.load(self.api.stored("auditpolicies"))
        self.policies.write_status(self.api, PLACES)

    def post(self, replica: str = "one", *places: str, outcome: str = "would-be-denied", **more: Any) -> bool:
        number = self.numbers[replica] = self.numbers.get(replica, 0) + 1
        post = self.made(replica, number, *places, outcome=outcome, **more)
        return self.deliver(post)

    def made(self, replica: str, number: int, *places: str, outcome: str = "would-be-denied", **more: Any) -> Post:
        now = self.clock.wall()
        tally = RolloutTally(1, now, ((WHO, now),))
        keys = (RolloutKey("p", self.rollout.fingerprint, place, RolloutOutcome(outcome)) for place in places)
        counting = more.get("counting", (("p", self.rollout.fingerprint),))
        part = RolloutPost(now, counting, tuple((key, tally) for key in keys), more.get("missed", 0))
        return Post(replica, number, {}, more.get("last", False), part)

    def deliver(self, post: Post) -> bool:
        """As a replica does: until it is told that all is stored."""
        again = read_post(to_bytes(post, self.clock.wall()), self.clock.wall())
        if self.rollouts.accept(again):
            return True
        self.rollouts.turn()
        return self.rollouts.accept(again)

    def live(self, seconds: int, *replicas: str) -> None:
        """Time passes, in which replicas speak, and the operator looks."""
        for _ in range(seconds // 5):
            self.clock.time += 5
            for replica in replicas:
                assert self.post(replica)
            self.rollouts.turn()
            self.see()

    @property
    def status(self) -> Json:
        (stored,) = self.api.stored("auditpolicies")
        found: Json = stored.get("status", {}).get("rollout", {})
        return found

    def events(self) -> list[str]:
        return [event["reason"] for event in self.api.stored("events")]

    def metric(self, name: str) -> float:
        return self.registry.get_sample_value(f"iocaudit_operator_{name}") or 0.0


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_it_goes_from_stage_to_stage_and_says_so(setting: Setting) -> None:
    setting.live(10, "one", "two")
    assert (setting.status["stage"], setting.status["countedBy"]) == ("Counting", ["one", "two"])
    setting.live(100, "one", "two")
    assert setting.status["stage"] == "Promoted"
    assert setting.events() == ["RolloutPromoted"]
    assert setting.policies.current.denies
    assert setting.metric("rollout_promotions_total") == 1


def test_nothing_but_the_status_is_written_and_only_what_has_changed(setting: Setting) -> None:
    setting.live(60, "one")
    before = setting.api.writes.copy()
    setting.live(15, "one")
    assert sum((setting.api.writes - before).values()) <= 15 // 5
    assert {method for method, _ in setting.api.writes} <= {"PATCH", "POST"}
    (stored,) = setting.api.stored("auditpolicies")
    assert stored["spec"] == {"preset": "lockdown", "rollout": {"after": "100s", "protect": ["flux-system"]}}


def test_a_would_be_denial_is_counted_once_and_holds(setting: Setting) -> None:
    setting.live(50, "one")
    assert setting.post("one", "shop")
    (hold,) = setting.status["holds"]
    assert (hold["namespace"], hold["count"]) == ("shop", 1)
    assert hold["who"][0] | {"last": ""} == {**WHO._asdict(), "last": ""}
    again = setting.made("one", setting.numbers["one"], "shop")
    assert setting.deliver(again)
    assert setting.status["holds"][0]["count"] == 1
    setting.live(60, "one")
    assert setting.status["stage"] == "Promoted"
    assert setting.policies.current.policies[0].progress.held == {"shop"}
    setting.live(60, "one")
    assert setting.status["holds"] == []


def test_a_post_is_acknowledged_once_it_is_counted_and_another_leader_counts_it_once(setting: Setting) -> None:
    setting.live(20, "one")
    post = setting.made("one", 99, "shop")
    assert not setting.rollouts.accept(post)
    assert not setting.rollouts.accept(post)
    setting.rollouts.turn()
    next_leader = Setting(api=setting.api, clock=setting.clock)
    assert not next_leader.rollouts.accept(post)
    next_leader.rollouts.turn()
    assert next_leader.rollouts.accept(post)
    assert setting.status["wouldBeDenied"] == 1


def test_a_leader_goes_on_where_the_one_before_ended(setting: Setting) -> None:
    setting.live(50, "one")
    again = Setting(api=setting.api, clock=setting.clock)
    again.numbers = setting.numbers
    again.live(60, "one")
    assert again.status["stage"] == "Promoted"
    assert again.status["since"] == "2027-01-15T08:01:45Z"


def test_time_in_which_a_replica_is_silent_does_not_count(setting: Setting) -> None:
    setting.live(50, "one", "two")
    setting.live(60, "one")
    assert setting.status["stage"] == "Counting"
    assert setting.status["counted"] <= 70
    setting.live(60, "one")
    assert setting.status["stage"] == "Promoted"


def test_a_farewell_costs_no_time(setting: Setting) -> None:
    setting.live(50, "one", "two")
    assert setting.post("two", last=True)
    setting.live(55, "one")
    assert setting.status["stage"] == "Promoted"


@pytest.mark.parametrize("why", ["none", "fewer", "unregistered", "idle", "missed"])
def test_time_in_which_not_all_is_known_does_not_count(why: str) -> None:
    setting = Setting()
    setting.live(50, "one")
    setting.ready = 2 if why == "fewer" else None
    setting.registered = why != "unregistered"
    for _ in range(20):
        setting.clock.time += 5
        if why != "none":
            setting.post(
                "one",
                missed=int(why == "missed"),
                counting=() if why == "idle" else (("p", setting.rollout.fingerprint),),
            )
        setting.rollouts.turn()
        setting.see()
    assert setting.status["stage"] == "Counting"
    if why != "missed":
        said = {
            "none": "no webhook replica reports",
            "fewer": "of 2 webhook replicas only 1 reports",
            "unregistered": "the webhook is not registered as it should be",
            "idle": "these webhook replicas do not count for it yet: one",
        }[why]
        assert setting.status["lacking"] == said
        assert f"the time does not count: {said}" in setting.status["reason"]
        assert "nextPromotion" not in setting.status
        assert setting.metric("rollouts_standing_still") == 1
    setting.ready, setting.registered = 1, True
    setting.live(70, "one")
    assert setting.status["stage"] == "Promoted"


def test_a_step_back_makes_an_event_and_a_metric(setting: Setting) -> None:
    setting.live(110, "one")
    assert setting.post("one", "shop", outcome="locked-out")
    setting.see()
    assert setting.policies.current.policies[0].progress.back == {"shop"}
    assert setting.post("one", "pay", outcome="locked-out")
    assert setting.events() == ["RolloutPromoted", "RolloutSteppedBack", "RolloutLockedOut"]
    messages = [event["message"] for event in setting.api.stored("events")]
    assert messages[1].startswith("namespace shop is taken back, as a protected controller was denied there: alice")
    assert "not taken back: there was a step back within a day" in messages[2]
    assert (setting.metric("rollout_step_backs_total"), setting.metric("rollout_locked_out_total")) == (1, 2)
    assert setting.metric("rollout_namespaces_back") == 1


def test_another_spec_and_a_policy_made_anew_start_anew(setting: Setting) -> None:
    setting.live(110, "one")
    assert setting.status["stage"] == "Promoted"
    spec = {"preset": "lockdown", "rollout": {"after": "200s"}}
    status = {"rollout": setting.status}
    setting.api.put(AUDIT_POLICY, "p", spec=spec, status=status)
    setting.see()
    assert not setting.policies.current.denies
    setting.rollouts.turn()
    assert setting.status["stage"] == "Counting"
    setting.api.put(AUDIT_POLICY, "p", spec={"preset": "lockdown"}, status={"rollout": setting.status})
    setting.see()
    assert setting.status == {}
    assert setting.policies.current.denies


def test_what_is_posted_for_another_spec_or_a_policy_that_is_gone_is_acknowledged(setting: Setting) -> None:
    post = Post(
        "one",
        1,
        {},
        False,
        RolloutPost(
            START,
            (),
            (
                (RolloutKey("p", "old", "shop", RolloutOutcome.WOULD_BE_DENIED), RolloutTally(1, START)),
                (RolloutKey("gone", "x", "shop", RolloutOutcome.WOULD_BE_DENIED), RolloutTally(1, START)),
            ),
        ),
    )
    assert setting.deliver(post)
    assert setting.status["wouldBeDenied"] == 0


def test_a_status_that_changed_meanwhile_is_read_again(setting: Setting) -> None:
    setting.live(10, "one")
    failures = iter([ConflictError("PATCH", 409, "Conflict", "changed")])

    def conflict(method: str, path: str) -> None:
        if method == "PATCH" and (error := next(failures, None)) is not None:
            raise error

    setting.api.before = conflict
    assert setting.post("one", "shop")
    assert setting.status["wouldBeDenied"] == 1


def test_the_time_in_which_something_could_not_be_counted_does_not_count(setting: Setting) -> None:
    setting.live(50, "one")

    def refuse(method: str, path: str) -> None:
        if method == "PATCH":
            raise ForbiddenError(f"PATCH {path}", 403, "Forbidden", "no")

    setting.clock.time += 20
    setting.api.before = refuse
    assert setting.post("one", "shop")
    setting.api.before = lambda _method, _path: None
    setting.live(45, "one")
    assert setting.status["counted"] <= 95
    setting.live(20, "one")
    assert setting.status["stage"] == "Promoted"


def test_the_ledger_acknowledges_what_is_counted_in_statuses_too(setting: Setting) -> None:
    ledger = Ledger(setting.api, str, EvidenceMetrics(new_registry("ledger")), rollouts=setting.rollouts)
    ledger.load()
    post = setting.made("one", 1, "shop")
    assert ledger.accept(post) is Answer.WAITING
    ledger.turn(threading.Event())
    assert ledger.accept(post) is Answer.STORED
    assert setting.status["wouldBeDenied"] == 1


def test_a_replica_that_nobody_can_hear_is_missed_by_the_next_leader() -> None:
    clock = Clock()
    counting = CountingReplicas(clock.wall, clock.monotonic)
    rollout = Rollout(Setting().rollout.start, Setting().rollout.end, timedelta(seconds=100), fingerprint="f")

    def covered(counted_by: frozenset[str]) -> Any:
        return counting.coverage("p", rollout, counted_by, ready=None, registered=True)

    counting.stored("one", RolloutPost(clock.wall(), (("p", "f"),)))
    assert covered(frozenset({"one", "two"})) is None
    clock.time = 35
    counting.stored("one", RolloutPost(clock.wall(), (("p", "f"),)))
    assert covered(frozenset({"one"})).since == 0.0
    clock.time = 45
    counting.stored("one", RolloutPost(clock.wall(), (("p", "f"),)))
    found = covered(frozenset({"one", "two"}))
    assert (found.since, found.replicas) == (clock.wall(), {"one"})
