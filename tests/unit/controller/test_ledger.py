"""Denied attempts are counted exactly once, whatever is repeated, reordered or killed in between."""

import random
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ApiError, ClusterError
from iocaudit.controller import posts
from iocaudit.controller.attempt_metrics import AttemptMetrics
from iocaudit.controller.ledger import Ledger
from iocaudit.controller.posts import Answer
from iocaudit.core.attempt import POLICY_CHANGE, Attempt, Tally, other
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.severity import IoC, Severity
from iocaudit.records.kinds import IOC_FINDING
from iocaudit.serving.metrics import new_registry
from iocaudit.sinks.attempt_findings import attempt_of
from iocaudit.sources.attempt_post import Post
from tests.unit.controller.memory_api import MemoryApi, unavailable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
START = NOW.timestamp()
WEEK = timedelta(days=7)
Json = dict[str, Any]


def ledger(api: MemoryApi, *, now: datetime = NOW, loaded: bool = True) -> Ledger:
    found = Ledger(
        cast(Client, api),
        {"privileged-container": "A container runs privileged"},
        AttemptMetrics(new_registry("test")),
        clock=lambda: now,
        writes_per_second=1e9,
    )
    if loaded:
        found.load()
    return found


def attempt(name: str = "miner", user: str = "mallory", namespace: str | None = "shop") -> Attempt:
    return Attempt("privileged-container", "", "Pod", namespace, name, user)


def tally(count: int = 1, at: float = START) -> Tally:
    return Tally(count, at, at, Severity.CRITICAL, (IoC.CLUSTER_ADMIN,), "Pod shop/miner: runs privileged", "Remove it")


def post(number: int, *attempts: Attempt, replica: str = "one", count: int = 1) -> Post:
    return Post(replica, number, {one: tally(count) for one in attempts})


def counts(api: MemoryApi) -> Counter[Attempt]:
    found: Counter[Attempt] = Counter()
    for body in api.objects.values():
        found[attempt_of(body)] += body["finding"]["count"]
    return found


def only(api: MemoryApi) -> Json:
    (found,) = api.objects.values()
    return found


def test_a_post_becomes_a_finding_and_is_acknowledged_once_it_is_stored() -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    assert one.accept(post(1, attempt(), count=2)) is Answer.WAITING
    assert one.accept(post(1, attempt(), count=2)) is Answer.WAITING
    assert api.objects == {}
    one.turn()
    assert one.accept(post(1, attempt(), count=2)) is Answer.STORED
    body = only(api)
    finding = body["finding"]
    assert body["kind"] == "IocFinding"
    assert body["metadata"]["name"].startswith("privileged-container-denied-")
    assert body["metadata"]["labels"]["iocaudit.io/state"] == "Denied"
    assert (finding["type"], finding["state"], finding["count"]) == ("denied-attempt", "Denied", 2)
    assert (finding["target"], finding["user"], finding["severity"], finding["rank"]) == (
        "Pod/miner",
        "mallory",
        "critical",
        1,
    )
    assert finding["firstSeen"] == finding["lastSeen"] == "2026-01-02T03:04:05Z"
    assert finding["message"] == "mallory was denied 2 times: Pod shop/miner: runs privileged"


def test_nothing_is_taken_before_what_is_stored_was_read() -> None:
    assert ledger(MemoryApi("shop"), loaded=False).accept(post(1, attempt())) is Answer.BUSY


def test_repeated_ones_only_count_up() -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    for number in (1, 2, 3):
        one.accept(post(number, attempt()))
        one.turn()
    assert counts(api) == {attempt(): 3}
    assert len(api.objects) == 1


def test_an_empty_post_is_a_sign_of_life_and_no_write() -> None:
    api = MemoryApi("shop")
    assert ledger(api).accept(post(1)) is Answer.STORED
    assert api.writes == 0


def test_cluster_scope_and_a_namespace_that_is_not_there() -> None:
    api = MemoryApi()
    one = ledger(api)
    binding = Attempt(
        "cluster-admin-binding", "rbac.authorization.k8s.io", "ClusterRoleBinding", None, "ops", "mallory"
    )
    one.accept(post(1, binding, attempt()))
    one.turn()
    assert {key[0] for key in api.objects} == {"clusteriocfindings"}
    assert {body["finding"]["target"] for body in api.objects.values()} == {"ClusterRoleBinding/ops", "Pod/shop/miner"}


def test_evidence_outlives_its_namespace_and_goes_on_being_counted() -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    one.accept(post(1, attempt(), count=3))
    one.turn()
    # The namespace controller was faster: what is stored is gone, the copy comes from memory.
    api.end_namespace("shop")
    one.namespace("shop", "uid-shop", dying=True)
    one.turn()
    copy = only(api)
    assert copy["kind"] == "ClusterIocFinding"
    assert (copy["finding"]["count"], copy["finding"]["subject"]["namespace"]) == (3, "shop")
    assert copy["finding"]["target"] == "Pod/shop/miner"
    # A post that was under way is in there already, a new one is added there.
    assert one.accept(post(1, attempt(), count=3)) is Answer.STORED
    one.accept(post(2, attempt()))
    one.turn()
    assert counts(api) == {attempt(): 4}


def test_a_namespace_of_the_same_name_begins_anew_and_the_copies_stay_apart() -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    for uid, number in (("a", 1), ("b", 2)):
        one.namespace("shop", uid, dying=False)
        api.terminating.clear()
        one.accept(post(number, attempt()))
        one.turn()
        assert counts(api)[attempt()] == number
        assert len([key for key in api.objects if key[1] == "shop"]) == 1
        api.end_namespace("shop")
        one.namespace("shop", uid, dying=True)
        one.turn()
    assert [body["finding"]["count"] for body in api.objects.values()] == [1, 1]
    assert {key[0] for key in api.objects} == {"clusteriocfindings"}


def test_a_deletion_that_was_missed_is_made_up_for_and_a_new_namespace_is_not_taken_for_one() -> None:
    api = MemoryApi("shop", "late")
    one = ledger(api)
    one.accept(post(1, attempt(), attempt(namespace="late")))
    one.turn()
    api.end_namespace("shop")
    del api.namespaces["shop"]
    one.namespaces({"default": "d"})
    one.turn()
    assert {key[:2] for key in api.objects} == {("clusteriocfindings", None), ("iocfindings", "late")}


def test_kept_evidence_is_that_of_other_sources_too() -> None:
    api = MemoryApi("shop")
    body = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocFinding",
        "metadata": {"name": "shell-in-container-x", "namespace": "shop"},
        "finding": {
            "type": "run-time",
            "check": "shell-in-container",
            "severity": "high",
            "state": "Open",
            "subject": {"kind": "Pod", "name": "web", "namespace": "shop"},
        },
    }
    api.create(IOC_FINDING, body)
    posture = {**body, "metadata": {"name": "host-pid-y", "namespace": "shop"}}
    posture["finding"] = {**cast(Json, body["finding"]), "type": "posture"}
    api.create(IOC_FINDING, posture)
    one = ledger(api)
    api.end_namespace("shop")
    one.namespace("shop", "uid", dying=True)
    one.turn()
    assert [b["finding"]["type"] for b in api.objects.values()] == ["run-time"]


def test_evidence_is_removed_after_its_retention() -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    one.accept(post(1, attempt()))
    one.turn()
    ledger(api, now=NOW + WEEK - timedelta(seconds=1))._tidy()
    assert len(api.objects) == 1
    ledger(api, now=NOW + WEEK)._tidy()
    assert api.objects == {}


def test_a_replica_whose_clock_runs_ahead_does_not_make_evidence_eternal() -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    one.accept(Post("fast", 1, {attempt(): tally(at=START + 1e8)}))
    one.turn()
    assert only(api)["finding"]["lastSeen"] == "2026-01-02T03:04:05Z"


def test_one_deleted_by_hand_begins_anew() -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    one.accept(post(1, attempt(), count=9))
    one.turn()
    api.objects.clear()
    one.accept(post(2, attempt()))
    one.turn()
    assert counts(api) == {attempt(): 1}


def test_what_the_api_server_refuses_for_good_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    api = MemoryApi("shop")
    one = ledger(api)
    refused = iter([ApiError("POST", 422, "Invalid", "no"), None])

    def fail(when: str) -> None:
        if when == "before" and (error := next(refused, None)) is not None:
            raise error

    api.fail = fail
    one.accept(post(1, attempt("a"), attempt("b")))
    one.turn()
    assert one.accept(post(1, attempt("a"), attempt("b"))) is Answer.STORED
    assert counts(api).total() == 1
    assert "could not be stored" in caplog.text


def test_too_many_kinds_of_attempts_are_counted_as_other_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "MOST_IN_NAMESPACE", 3)
    api = MemoryApi("shop", "calm")
    many = post(1, *(attempt(f"pod-{n}") for n in range(10)), attempt(namespace="calm"), count=2)
    one = ledger(api)
    one.accept(many)
    one.turn()
    found = counts(api)
    rest = other(attempt())
    assert found.total() == 22
    assert found[rest] == 14
    assert found[attempt(namespace="calm")] == 2
    # There is room by the time it comes again, to another leader: it is counted all the same.
    monkeypatch.setattr(posts, "MOST_IN_NAMESPACE", 100)
    again = ledger(api)
    assert again.accept(many) is Answer.STORED
    assert counts(api) == found


def test_one_post_at_a_time_of_a_bounded_number_of_replicas() -> None:
    one = ledger(MemoryApi("shop"))
    assert one.accept(post(1, attempt())) is Answer.WAITING
    assert one.accept(post(2, attempt("b"))) is Answer.BUSY
    for n in range(posts.MOST_REPLICAS - 1):
        assert one.accept(post(1, attempt(), replica=f"r{n}")) is Answer.WAITING
    assert one.accept(post(1, attempt(), replica="late")) is Answer.BUSY


def test_a_replica_that_falls_silent_is_counted_one_that_says_farewell_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "SILENT", -1.0)
    registry = new_registry("test")
    one = Ledger(cast(Client, MemoryApi("shop")), {}, AttemptMetrics(registry), clock=lambda: NOW)
    one.load()
    one.accept(post(1, replica="killed"))
    one.accept(Post("drained", 1, {}, last=True))
    one.accept(Post("busy", 1, {attempt(): tally()}, last=True))
    one.turn()
    one._tidy()
    assert registry.get_sample_value("iocaudit_operator_attempt_replicas_lost_total") == 1


def test_runs_until_stopped_and_goes_on_after_the_api_server_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iocaudit.controller.ledger._FIRST_RETRY", 0.01)
    api = MemoryApi("shop")
    failing = [unavailable(), unavailable()]

    def fail(when: str) -> None:
        if when == "before" and failing:
            raise failing.pop()

    api.fail = fail
    one, stop = ledger(api, loaded=False), threading.Event()
    thread = threading.Thread(target=one.run, args=(stop,))
    thread.start()
    try:
        waiter = threading.Event()
        for _ in range(1000):
            if one.accept(post(1, attempt())) is Answer.STORED:
                break
            waiter.wait(0.01)
        assert counts(api) == {attempt(): 1}
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()


class _Killed(BaseException):
    """The process ends here."""


def test_a_weakened_policy_is_recorded_with_its_user_and_an_event_says_so() -> None:
    api = MemoryApi("shop", "default")
    change = Attempt("policy-weakens-guard", GROUP, "AuditPolicy", None, "quiet", "mallory", POLICY_CHANGE)
    one = ledger(api)
    for _ in range(2):
        one.accept(post(1, change))
        one.turn()
    one.accept(post(1, change, replica="two", count=3))
    one.turn()
    (finding,) = [body for body in api.objects.values() if body["kind"] == "ClusterIocFinding"]
    content = finding["finding"]
    assert finding["metadata"]["name"].startswith("policy-weakens-guard-changed-")
    assert (content["state"], content["type"], content["user"], content["count"]) == (
        "Recorded",
        "policy-change",
        "mallory",
        4,
    )
    assert content["message"].startswith("mallory weakened the guard 4 times: ")
    events = [body for body in api.objects.values() if body["kind"] == "Event"]
    assert [event["count"] for event in events] == [1, 3]
    for event in events:
        assert event["metadata"]["namespace"] == "default"
        assert event["involvedObject"]["name"] == "quiet"
        assert event["message"].startswith("mallory: ")
    # A week after the last one it goes; the Event the API server forgets by itself.
    later = ledger(api, now=NOW + WEEK)
    later._tidy()
    assert [body["kind"] for body in api.objects.values()] == ["Event", "Event"]


def test_an_event_that_is_refused_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    api = MemoryApi("shop")  # without a namespace default
    change = Attempt("policy-weakens-guard", GROUP, "AuditPolicy", None, "quiet", "mallory", POLICY_CHANGE)
    one = ledger(api)
    one.accept(post(1, change))
    one.turn()
    assert one.accept(post(1, change)) is Answer.STORED
    assert [body["kind"] for body in api.objects.values()] == ["ClusterIocFinding"]
    assert "could not make an Event" in caplog.text


ATTEMPTS = [attempt(f"pod-{n}", user) for n in range(4) for user in ("mallory", "eve")] + [attempt(namespace=None)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([0.0, 0.15, 0.4]), st.integers(1, 9))
def test_exactly_once_under_repetition_reordering_and_kills(seed: int, replicas: int, harm: float, room: int) -> None:
    """Replicas that send each post until it is stored; old posts that come late; leaders that are killed before or
    after any write, overlap, and read back what is stored; an API server that fails; a namespace that goes.
    """
    chance = random.Random(seed)
    api = MemoryApi("shop")
    told = 0
    sent: list[Post] = []
    under_way: dict[str, Post] = {}
    numbers: Counter[str] = Counter()
    before, posts.MOST_IN_NAMESPACE = posts.MOST_IN_NAMESPACE, room

    def fail(_when: str) -> None:
        if chance.random() < harm:
            raise _Killed if chance.random() < 0.5 else unavailable()

    try:
        leader = ledger(api)
        for step in range(60):
            api.fail = fail if step < 50 else lambda _when: None
            name = f"replica-{chance.randrange(replicas)}"
            if name not in under_way and step < 50:
                numbers[name] += 1
                some = chance.sample(ATTEMPTS, chance.randrange(4))
                under_way[name] = Post(name, numbers[name], {one: tally(chance.randint(1, 5)) for one in some})
                sent.append(under_way[name])
                told += sum(one.count for one in under_way[name].attempts.values())
            if sent and chance.random() < 0.3:
                leader.accept(chance.choice(sent))  # late, or once more
            if step == 30:
                # What it holds is known to the leader alone by then: a kill just here is the documented loss.
                api.fail = lambda _when: None
                api.end_namespace("shop")
                leader.namespace("shop", "uid-shop", dying=True)
            try:
                leader.turn()
            except _Killed:
                posts.MOST_IN_NAMESPACE = chance.randint(1, room)
                leader = ledger(api)
                if step >= 30:
                    leader.namespace("shop", "uid-shop", dying=True)
            except ClusterError:
                pass
            for one in list(under_way.values()):
                if leader.accept(one) is Answer.STORED:
                    del under_way[one.replica]
        for _ in range(10):
            leader.turn()
            under_way = {r: p for r, p in under_way.items() if leader.accept(p) is not Answer.STORED}
    finally:
        posts.MOST_IN_NAMESPACE = before
    assert under_way == {}
    assert counts(api).total() == told
