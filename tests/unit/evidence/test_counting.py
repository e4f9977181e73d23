"""Denied requests are counted in a bounded map and posted under numbers."""

import random
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.hit import Hit
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.report import ReportedHit
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.posture import Verdict
from iocaudit.evidence.counting import Attempts, attempt_of
from iocaudit.evidence.key import POLICY_CHANGE, EvidenceKey
from iocaudit.evidence.post import read_post, to_bytes
from iocaudit.sources.admission_review import Review

CONTROLLER = "system:serviceaccount:kube-system:replicaset-controller"


def pod(**metadata: Any) -> Resource:
    return Resource({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", **metadata}}, ADMISSION)


def review(resource: Resource | None, user: str = "mallory") -> Review:
    return Review("1", Request(Operation.CREATE, user, namespace="shop"), resource, None, "Pod")


def verdict(resource: Resource, *checks: str) -> Verdict:
    found = (
        ReportedHit(c, Severity.HIGH, (IoC.CLUSTER_ADMIN,), resource.ref, ADMISSION, Hit("spec", "is bad"))
        for c in checks
    )
    return Verdict(allowed=False, denials=tuple(found))


def name_of(resource: Resource, user: str = "mallory") -> tuple[str, str, str]:
    found = attempt_of("x", resource, review(resource, user).request)
    return (found.group, found.kind, found.name)


def owned(**metadata: Any) -> Resource:
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7f", "uid": "u", "controller": True}
    return pod(ownerReferences=[reference], **metadata)


def test_an_attempt_is_named_by_owner_then_generated_name_then_name() -> None:
    assert name_of(pod(name="web")) == ("", "Pod", "web")
    # The API server has made a name already, another one at each try.
    assert name_of(pod(name="web-x7k2p", generateName="web-")) == ("", "Pod", "web-")
    assert name_of(pod(generateName="web-")) == ("", "Pod", "web-")
    assert name_of(pod(name="db", generateName="web-")) == ("", "Pod", "db")
    assert name_of(owned(name="web-7f-abcde", generateName="web-7f-"), CONTROLLER) == ("apps", "ReplicaSet", "web-7f")


@given(st.text(max_size=600), st.text(max_size=600), st.text(max_size=600), st.text(max_size=600))
def test_attempts_on_two_long_names_are_two(name: str, other: str, user: str, another: str) -> None:
    found = [
        attempt_of("x", pod(name="n" * 250 + which), review(pod(), "u" * 250 + who).request)
        for which, who in ((name, user), (other, another))
    ]
    assert (found[0] == found[1]) is ((name, user) == (other, another))
    assert all(len(one.name) <= 253 and len(one.user) <= 253 for one in found)


def test_an_owner_that_anybody_claims_is_not_believed() -> None:
    assert name_of(owned(name="web")) == ("", "Pod", "web")


def test_a_request_counts_once_for_each_check_that_denied_it() -> None:
    attempts = Attempts("r", clock=lambda: 5.0)
    resource = pod(name="web")
    assert attempts.count(review(resource), verdict(resource, "a", "b", "a")) == 2
    assert attempts.count(review(resource, "eve"), verdict(resource, "a")) == 1
    post = attempts.next_post()
    assert {(one.check, one.user): found.count for one, found in post.attempts.items()} == {
        ("a", "mallory"): 1,
        ("b", "mallory"): 1,
        ("a", "eve"): 1,
    }
    (first, *_) = post.attempts.values()
    assert (first.first, first.last, first.severity) == (5.0, 5.0, Severity.HIGH)
    assert "Pod shop/web: is bad" in first.message


def test_a_fault_is_no_attempt() -> None:
    attempts = Attempts("r")
    assert attempts.count(review(pod(name="web")), Verdict(allowed=False)) == 0
    assert attempts.count(review(None), Verdict(allowed=False)) == 0
    assert attempts.is_new


def test_a_post_stays_the_same_until_it_is_stored() -> None:
    attempts = Attempts("r")
    resource = pod(name="web")
    attempts.count(review(resource), verdict(resource, "a"))
    first = attempts.next_post()
    attempts.count(review(resource), verdict(resource, "a"))
    assert attempts.next_post() is first
    assert attempts.stored(first.number + 1) == 0
    assert attempts.waiting == 2
    assert attempts.stored(first.number) == 1
    assert attempts.stored(first.number) == 0
    second = attempts.next_post(last=True)
    assert (second.number, second.last, len(second.attempts)) == (2, True, 1)
    assert attempts.stored(2) == 1
    assert attempts.waiting == 0


def test_odd_values_fit_into_a_post() -> None:
    attempts = Attempts("r")
    resource = pod(name="n" * 300, namespace="s" * 63)
    attempts.count(review(resource, "u\n\u202e" * 200), verdict(resource, "a"))
    post = attempts.next_post()
    assert read_post(to_bytes(post)) == post


@given(st.integers(0, 2**32), st.integers(0, 120), st.integers(1, 20))
def test_the_map_is_bounded_and_nothing_is_lost(seed: int, many: int, most: int) -> None:
    chance = random.Random(seed)
    denials = [(chance.choice("abc"), chance.randrange(30)) for _ in range(many)]
    overflowed = 0

    def overflow() -> None:
        nonlocal overflowed
        overflowed += 1

    attempts = Attempts("r", most=most, overflowed=overflow)
    total: Counter[str] = Counter()
    numbers: list[int] = []
    seen: set[EvidenceKey] = set()

    def post() -> None:
        made = attempts.next_post()
        assert len(made.attempts) <= most + 3
        if chance.random() < 0.5:
            numbers.append(made.number)
            for one, tally in made.attempts.items():
                total[one.check] += tally.count
                seen.add(one)
            attempts.stored(made.number)

    for check, n in denials:
        resource = pod(name=f"pod-{n}")
        attempts.count(review(resource), verdict(resource, check))
        if chance.random() < 0.1:
            post()
    while attempts.waiting:
        post()
    assert total == Counter(check for check, _ in denials)
    assert numbers == list(range(1, len(numbers) + 1))
    assert (overflowed > 0) == any(one.is_other for one in seen)


def test_what_is_recorded_counts_as_a_change_of_the_object_also_where_it_goes() -> None:
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "quiet"}, "spec": {}}
    policy = Resource(raw, ADMISSION)
    hit = Hit("spec", "AuditPolicy quiet is removed", "x")
    found = ReportedHit("policy-weakens-guard", Severity.HIGH, (IoC.CLUSTER_ADMIN,), policy.ref, ADMISSION, hit)
    gone = review(None)._replace(old=policy)
    attempts = Attempts("r")
    assert attempts.count(gone, Verdict(allowed=True, recorded=(found,))) == 1
    (one,) = attempts.next_post().attempts
    assert one == EvidenceKey("policy-weakens-guard", GROUP, "AuditPolicy", None, "quiet", "mallory", POLICY_CHANGE)
