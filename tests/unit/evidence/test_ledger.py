"""Denied attempts are counted exactly once, whatever is repeated, reordered or killed in between."""

import logging
import random
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.cluster.errors import ApiError, ClusterError
from iocaudit.controller.policy_events import tell
from iocaudit.core.kinds import CONFIG_MAP, NAMESPACE
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.severity import IoC, Severity
from iocaudit.evidence import posts
from iocaudit.evidence.finding import attempt_of
from iocaudit.evidence.key import POLICY_CHANGE, RUNTIME, EvidenceKey, EvidenceTally, other
from iocaudit.evidence.ledger import Ledger
from iocaudit.evidence.metrics import EvidenceMetrics
from iocaudit.evidence.post import Post
from iocaudit.evidence.posts import Answer
from iocaudit.evidence.write_budget import WriteBudget
from iocaudit.records.kinds import IOC_FINDING
from iocaudit.serving.metrics import new_registry
from tests.support.api import FakeApi, unavailable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
START = NOW.timestamp()
WEEK = timedelta(days=7)
Json = dict[str, Any]


def ledger(api: FakeApi, *, now: datetime = NOW, loaded: bool = True, budget: WriteBudget | None = None) -> Ledger:
    found = Ledger(
        api,
        lambda name: {"privileged-container": "A container runs privileged"}.get(name, name),
        EvidenceMetrics(new_registry("test")),
        changed=partial(tell, api),
        clock=lambda: now,
        writes_per_second=1e9,
        budget=budget,
    )
    if loaded:
        found.load()
    return found


def attempt(name: str = "miner", user: str = "mallory", namespace: str | None = "shop") -> EvidenceKey:
    return EvidenceKey("privileged-container", "", "Pod", namespace, name, user)


def tally(count: int = 1, at: float = START) -> EvidenceTally:
    return EvidenceTally(
        count, at, at, Severity.CRITICAL, (IoC.CLUSTER_ADMIN,), "Pod shop/miner: runs privileged", "Remove it"
    )


def post(number: int, *attempts: EvidenceKey, replica: str = "one", count: int = 1) -> Post:
    return Post(replica, number, {one: tally(count) for one in attempts})


def evidence(api: FakeApi) -> list[Json]:
    """What is stored of it, in namespaces and in cluster scope."""
    return [*api.stored("iocfindings"), *api.stored("clusteriocfindings")]


def counts(api: FakeApi) -> Counter[EvidenceKey]:
    found: Counter[EvidenceKey] = Counter()
    for body in evidence(api):
        found[attempt_of(body)] += body["finding"]["count"]
    return found


def only(api: FakeApi) -> Json:
    (found,) = evidence(api)
    return found


def test_a_post_becomes_a_finding_and_is_acknowledged_once_it_is_stored() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    assert one.accept(post(1, attempt(), count=2)) is Answer.WAITING
    assert one.accept(post(1, attempt(), count=2)) is Answer.WAITING
    assert evidence(api) == []
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
    assert ledger(FakeApi("shop"), loaded=False).accept(post(1, attempt())) is Answer.BUSY


def test_repeated_ones_only_count_up() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    for number in (1, 2, 3):
        one.accept(post(number, attempt()))
        one.turn()
    assert counts(api) == {attempt(): 3}
    assert len(evidence(api)) == 1


def test_an_empty_post_is_a_sign_of_life_and_no_write() -> None:
    api = FakeApi("shop")
    assert ledger(api).accept(post(1)) is Answer.STORED
    assert not api.writes


def test_cluster_scope_and_a_namespace_that_is_not_there() -> None:
    api = FakeApi()
    one = ledger(api)
    binding = EvidenceKey(
        "cluster-admin-binding", "rbac.authorization.k8s.io", "ClusterRoleBinding", None, "ops", "mallory"
    )
    one.accept(post(1, binding, attempt()))
    one.turn()
    assert api.stored("iocfindings") == []
    assert {body["finding"]["target"] for body in evidence(api)} == {"ClusterRoleBinding/ops", "Pod/shop/miner"}


def test_evidence_outlives_its_namespace_and_goes_on_being_counted() -> None:
    api = FakeApi("shop")
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
    api = FakeApi("shop")
    one = ledger(api)
    for uid, number in (("a", 1), ("b", 2)):
        one.namespace("shop", uid, dying=False)
        api.put(NAMESPACE, "shop", metadata={"uid": uid})
        one.accept(post(number, attempt()))
        one.turn()
        assert counts(api)[attempt()] == number
        assert len(api.stored("iocfindings")) == 1
        api.end_namespace("shop")
        one.namespace("shop", uid, dying=True)
        one.turn()
        api.remove(NAMESPACE, "shop")
    assert [body["finding"]["count"] for body in api.stored("clusteriocfindings")] == [1, 1]
    assert api.stored("iocfindings") == []


def test_a_deletion_that_was_missed_is_made_up_for_and_a_new_namespace_is_not_taken_for_one() -> None:
    api = FakeApi("shop", "late")
    one = ledger(api)
    one.accept(post(1, attempt(), attempt(namespace="late")))
    one.turn()
    api.end_namespace("shop")
    api.remove(NAMESPACE, "shop")
    one.namespaces({"default": "d"})
    one.turn()
    assert {attempt_of(body).namespace for body in api.stored("clusteriocfindings")} == {"shop"}
    assert {attempt_of(body).namespace for body in api.stored("iocfindings")} == {"late"}


def test_kept_evidence_is_that_of_other_sources_too() -> None:
    api = FakeApi("shop")
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
    assert [b["finding"]["type"] for b in evidence(api)] == ["run-time"]


def test_evidence_is_removed_after_its_retention() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    one.accept(post(1, attempt()))
    one.turn()
    ledger(api, now=NOW + WEEK - timedelta(seconds=1))._tidy()
    assert len(evidence(api)) == 1
    ledger(api, now=NOW + WEEK)._tidy()
    assert evidence(api) == []


def test_an_object_that_was_made_anew_is_not_removed_for_the_age_of_the_one_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = FakeApi("shop")
    one = ledger(api)
    one.accept(post(1, attempt(), count=2))
    one.turn()
    later = ledger(api, now=NOW + WEEK)
    name = only(api)["metadata"]["name"]
    gone = api.remove(IOC_FINDING, name, "shop")
    api.put(IOC_FINDING, name, "shop", finding=gone["finding"])
    with caplog.at_level(logging.INFO):
        later._tidy()
    assert "not removed, it was made anew" in caplog.text
    assert only(api)["metadata"]["uid"] != gone["metadata"]["uid"]
    # What comes next is counted there.
    later.accept(post(2, attempt()))
    later.turn()
    assert counts(api) == {attempt(): 3}


def test_a_replica_whose_clock_runs_ahead_does_not_make_evidence_eternal() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    one.accept(Post("fast", 1, {attempt(): tally(at=START + 1e8)}))
    one.turn()
    assert only(api)["finding"]["lastSeen"] == "2026-01-02T03:04:05Z"


def test_one_deleted_by_hand_begins_anew() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    one.accept(post(1, attempt(), count=9))
    one.turn()
    api.clear(IOC_FINDING)
    one.accept(post(2, attempt()))
    one.turn()
    assert counts(api) == {attempt(): 1}


def test_what_the_api_server_refuses_for_good_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi("shop")
    one = ledger(api)
    refused = iter([ApiError("POST", 422, "Invalid", "no"), None])

    def fail(method: str, _path: str) -> None:
        if method == "POST" and (error := next(refused, None)) is not None:
            raise error

    api.before = fail
    one.accept(post(1, attempt("a"), attempt("b")))
    one.turn()
    assert one.accept(post(1, attempt("a"), attempt("b"))) is Answer.STORED
    assert counts(api).total() == 1
    assert "could not be stored" in caplog.text


def test_too_many_kinds_of_attempts_are_counted_as_other_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "MOST_IN_NAMESPACE", 3)
    api = FakeApi("shop", "calm")
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


def test_a_post_that_had_no_room_is_known_again_once_its_attempt_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi("shop")
    monkeypatch.setattr(posts, "MOST_IN_NAMESPACE", 0)
    one = ledger(api)
    one.accept(post(1, attempt(), count=2))
    one.turn()
    monkeypatch.setattr(posts, "MOST_IN_NAMESPACE", 1)
    one.accept(post(1, attempt(), replica="two"))
    one.turn()
    assert counts(api) == {other(attempt()): 2, attempt(): 1}
    # It comes late, to a leader that knows nothing of the replica.
    assert ledger(api).accept(post(1, attempt(), count=2)) is Answer.STORED
    assert counts(api) == {other(attempt()): 2, attempt(): 1}


def test_a_post_that_comes_while_others_are_written_is_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "MOST_IN_NAMESPACE", 1)
    api = FakeApi("shop", "calm")
    one = ledger(api)
    late = [post(1, attempt("c"), attempt(namespace="calm"), replica="two", count=5)]

    def after(_method: str, _path: str) -> None:
        if late:
            one.accept(late.pop())

    api.after = after
    one.accept(post(1, attempt("a"), attempt("b")))
    one.turn()
    one.turn()
    assert counts(api) == {attempt("a"): 1, attempt(namespace="calm"): 5, other(attempt()): 6}


def test_one_post_at_a_time_of_a_bounded_number_of_replicas() -> None:
    one = ledger(FakeApi("shop"))
    assert one.accept(post(1, attempt())) is Answer.WAITING
    assert one.accept(post(2, attempt("b"))) is Answer.BUSY
    for n in range(posts.MOST_REPLICAS - 1):
        assert one.accept(post(1, attempt(), replica=f"r{n}")) is Answer.WAITING
    assert one.accept(post(1, attempt(), replica="late")) is Answer.BUSY


def test_a_replica_that_falls_silent_is_counted_one_that_says_farewell_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "SILENT", -1.0)
    registry = new_registry("test")
    one = Ledger(FakeApi("shop"), str, EvidenceMetrics(registry), clock=lambda: NOW)
    one.load()
    one.accept(post(1, replica="killed"))
    one.accept(Post("drained", 1, {}, last=True))
    one.accept(Post("busy", 1, {attempt(): tally()}, last=True))
    one.turn()
    one._tidy()
    assert registry.get_sample_value("iocaudit_operator_attempt_replicas_lost_total") == 1


def test_runs_until_stopped_and_goes_on_after_the_api_server_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iocaudit.evidence.ledger._FIRST_RETRY", 0.01)
    api = FakeApi("shop")
    failing = [unavailable(), unavailable()]

    def fail(method: str, _path: str) -> None:
        if method == "POST" and failing:
            raise failing.pop()

    api.before = fail
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


def calm(_method: str, _path: str) -> None:
    """Nothing happens."""


def _as_of(source: str, key: EvidenceKey) -> EvidenceKey:
    """The key, as this source would post it."""
    return key if source == "attempts" else key._replace(type=RUNTIME)


class _Killed(BaseException):
    """The process ends here."""


def test_a_configmap_whose_rules_were_weakened_has_its_event_beside_it() -> None:
    api = FakeApi("iocaudit")
    uid = api.put(CONFIG_MAP, "ours", "iocaudit")["metadata"]["uid"]
    change = EvidenceKey("policy-weakens-guard", "", "ConfigMap", "iocaudit", "ours", "mallory", POLICY_CHANGE)
    one = ledger(api)
    one.accept(post(1, change))
    one.turn()
    (finding,) = evidence(api)
    assert finding["metadata"]["namespace"] == "iocaudit"
    assert finding["finding"]["message"].startswith("mallory weakened the guard once: ")
    (event,) = api.stored("events")
    assert event["metadata"]["namespace"] == "iocaudit"
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ours", "namespace": "iocaudit", "uid": uid}
    assert event["involvedObject"] == about


def test_a_weakened_policy_is_recorded_with_its_user_and_an_event_says_so() -> None:
    api = FakeApi("shop", "default")
    change = EvidenceKey("policy-weakens-guard", GROUP, "AuditPolicy", None, "quiet", "mallory", POLICY_CHANGE)
    one = ledger(api)
    for _ in range(2):
        one.accept(post(1, change))
        one.turn()
    one.accept(post(1, change, replica="two", count=3))
    one.turn()
    (finding,) = evidence(api)
    content = finding["finding"]
    assert finding["metadata"]["name"].startswith("policy-weakens-guard-changed-")
    assert (content["state"], content["type"], content["user"], content["count"]) == (
        "Recorded",
        "policy-change",
        "mallory",
        4,
    )
    assert content["message"].startswith("mallory weakened the guard 4 times: ")
    events = api.stored("events")
    assert [event["count"] for event in events] == [1, 3]
    for event in events:
        assert event["metadata"]["namespace"] == "default"
        assert event["involvedObject"]["name"] == "quiet"
        assert event["message"].startswith("mallory: ")
    # A week after the last one it goes; the Event the API server forgets by itself.
    later = ledger(api, now=NOW + WEEK)
    later._tidy()
    assert evidence(api) == []
    assert len(api.stored("events")) == 2


def test_an_event_that_is_refused_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi("shop")  # without a namespace default
    change = EvidenceKey("policy-weakens-guard", GROUP, "AuditPolicy", None, "quiet", "mallory", POLICY_CHANGE)
    one = ledger(api)
    one.accept(post(1, change))
    one.turn()
    assert one.accept(post(1, change)) is Answer.STORED
    assert [body["kind"] for body in evidence(api)] == ["ClusterIocFinding"]
    assert api.stored("events") == []
    assert "could not make an Event" in caplog.text


def sighting(
    name: str = "web", check: str = "shell-in-container", namespace: str | None = "shop", user: str = ""
) -> EvidenceKey:
    return EvidenceKey(check, "apps", "Deployment", namespace, name, user, RUNTIME)


def seen(
    number: int, *keys: EvidenceKey, source: str = "falco", count: int = 1, severity: Severity = Severity.HIGH
) -> Post:
    said = replace(tally(count), severity=severity)
    return Post("receivers-0.x1", number, dict.fromkeys(keys, said), source=source)


def test_a_sighting_is_a_finding_that_counts_what_had_no_write_of_its_own() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    for number, count in ((1, 1), (2, 40), (3, 2)):
        assert one.accept(seen(number, sighting(), count=count)) is Answer.WAITING
        one.turn()
        assert one.accept(seen(number, sighting(), count=count)) is Answer.STORED
    body = only(api)
    finding = body["finding"]
    assert body["metadata"]["name"].startswith("shell-in-container-seen-")
    assert (finding["type"], finding["state"], finding["target"], finding["user"]) == (
        "runtime",
        "Seen",
        "Deployment/web",
        "",
    )
    assert (finding["count"], finding["suppressed"]) == (43, 40)
    assert finding["count"] - finding["suppressed"] == api.writes.total() == 3
    assert finding["message"] == "43 sightings; the last: Pod shop/miner: runs privileged"


def test_the_sources_of_one_sender_are_numbered_by_themselves() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    for source in ("falco", "audit", "falco"):
        one.accept(seen(1, sighting(), source=source))
        one.turn()
    assert counts(api) == {sighting(): 2}
    assert [mark["name"] for mark in only(api)["finding"]["replicas"]] == [
        "receivers-0.x1/falco",
        "receivers-0.x1/audit",
    ]


def test_sightings_outlive_their_namespace() -> None:
    api = FakeApi("shop")
    one = ledger(api)
    one.accept(seen(1, sighting(), count=3))
    one.turn()
    api.end_namespace("shop")
    one.namespace("shop", "uid-shop", dying=True)
    one.turn()
    copy = only(api)
    assert copy["kind"] == "ClusterIocFinding"
    assert copy["metadata"]["name"].startswith("shell-in-container-seen-")
    assert (copy["finding"]["count"], copy["finding"]["suppressed"], copy["finding"]["target"]) == (
        3,
        2,
        "Deployment/shop/web",
    )
    assert one.accept(seen(1, sighting(), count=3)) is Answer.STORED
    # A week after it was last seen it goes.
    later = ledger(api, now=NOW + WEEK)
    later._tidy()
    assert evidence(api) == []


def test_a_flood_of_sightings_costs_its_budget_and_no_more_the_worst_come_first_and_nothing_is_lost() -> None:
    at = 0.0
    api = FakeApi("shop")
    one = ledger(api, budget=WriteBudget(10, clock=lambda: at))
    flood = seen(1, *(sighting(f"web-{n}") for n in range(50)), severity=Severity.LOW, count=7)
    bad = seen(1, sighting("worst"), source="audit")
    assert one.accept(flood) is one.accept(bad) is Answer.WAITING
    one.accept(post(1, attempt()))
    one.turn()
    # What was denied is not held up by what was seen.
    assert counts(api)[attempt()] == 1
    assert counts(api)[sighting("worst")] == 1
    assert len(evidence(api)) == 11
    assert one.accept(flood) is Answer.WAITING
    one.turn()
    assert len(evidence(api)) == 11
    for _ in range(5):
        at += 60.0
        one.turn()
    assert one.accept(flood) is Answer.STORED
    assert sum(counts(api).values()) == 50 * 7 + 1 + 1
    assert sum(body["finding"].get("suppressed", 0) for body in evidence(api)) == 50 * 6


def test_sightings_use_up_no_room_of_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "MOST_IN_NAMESPACE", 2)
    api = FakeApi("shop")
    one = ledger(api)
    one.accept(seen(1, *(sighting(f"web-{n}") for n in range(5))))
    one.accept(post(1, attempt("a"), attempt("b")))
    one.turn()
    one.turn()
    found = counts(api)
    assert found[attempt("a")] == found[attempt("b")] == 1
    assert found[other(sighting())] == 3
    (rest,) = [body for body in evidence(api) if attempt_of(body) == other(sighting())]
    assert rest["finding"]["message"].startswith("3 more sightings, counted together for lack of room; the last: ")
    again = ledger(api)
    assert again.accept(seen(1, *(sighting(f"web-{n}") for n in range(5)))) is Answer.STORED


def test_a_receiver_that_falls_silent_has_lost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "SILENT", -1.0)
    registry = new_registry("test")
    one = Ledger(FakeApi("shop"), str, EvidenceMetrics(registry), clock=lambda: NOW)
    one.load()
    one.accept(seen(1))
    one._tidy()
    assert registry.get_sample_value("iocaudit_operator_attempt_replicas_lost_total") == 0
    assert registry.get_sample_value("iocaudit_operator_sighting_posts_total", {"answer": "stored"}) == 1


ATTEMPTS = [attempt(f"pod-{n}", user) for n in range(4) for user in ("mallory", "eve")] + [attempt(namespace=None)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([0.0, 0.15, 0.4]), st.integers(1, 9))
def test_exactly_once_under_repetition_reordering_and_kills(seed: int, replicas: int, harm: float, room: int) -> None:
    """Replicas that send each post until it is stored; old posts that come late; leaders that are killed before or
    after any write, overlap, and read back what is stored; an API server that fails; a namespace that goes.
    """
    chance = random.Random(seed)
    api = FakeApi("shop")
    told = 0
    sent: list[Post] = []
    under_way: dict[str, Post] = {}
    numbers: Counter[str] = Counter()
    before, posts.MOST_IN_NAMESPACE = posts.MOST_IN_NAMESPACE, room

    def fail(method: str, _path: str) -> None:
        if method == "GET":
            return
        if under_way and chance.random() < 0.2:
            leader.accept(chance.choice(list(under_way.values())))  # while others are written
        if chance.random() < harm:
            raise _Killed if chance.random() < 0.5 else unavailable()

    try:
        leader = ledger(api)
        for step in range(60):
            api.before = api.after = fail if step < 50 else calm
            replica, source = f"replica-{chance.randrange(replicas)}", chance.choice(["attempts", "falco"])
            name = f"{replica} {source}"
            if name not in under_way and step < 50:
                numbers[name] += 1
                some = chance.sample(ATTEMPTS, chance.randrange(4))
                under_way[name] = Post(
                    replica,
                    numbers[name],
                    {_as_of(source, one): tally(chance.randint(1, 5)) for one in some},
                    source=source,
                )
                sent.append(under_way[name])
                told += sum(one.count for one in under_way[name].attempts.values())
            if sent and chance.random() < 0.3:
                leader.accept(chance.choice(sent))  # late, or once more
            if step == 30:
                # What it holds is known to the leader alone by then: a kill just here is the documented loss.
                api.before = api.after = calm
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
            for name, one in list(under_way.items()):
                if leader.accept(one) is Answer.STORED:
                    del under_way[name]
        for _ in range(10):
            leader.turn()
            under_way = {r: p for r, p in under_way.items() if leader.accept(p) is not Answer.STORED}
    finally:
        posts.MOST_IN_NAMESPACE = before
    assert under_way == {}
    assert counts(api).total() == told
