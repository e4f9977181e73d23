from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.core.errors import PathSyntaxError
from iocaudit.core.hit import Hit
from iocaudit.core.severity import Severity
from iocaudit.engine.languages.answer import RuleFailure, Violation
from iocaudit.engine.languages.as_checks import MOST_VIOLATIONS, hits_of, named_path
from iocaudit.engine.languages.rego.replies import judged_object, violations
from tests.support.rego import creation, pod_with, reason_of

POD = pod_with("nginx", "redis")


def sets(*items: Any) -> dict[str, Any]:
    return {"deny": {"set": True, "items": list(items)}}


def test_messages_and_objects_become_violations() -> None:
    full = {
        "msg": "bad",
        "severity": "critical",
        "path": "spec.containers[1].image",
        "evidence": {"b": 1, "a": None},
        "fix": "mend it",
        "details": {"secret": "x"},
    }
    assert violations(sets("text", full, {"message": "m", "details": []}), POD) == (
        Violation("text"),
        Violation("bad", 'spec.containers["c1"].image', '{"a": null, "b": 1}', Severity.CRITICAL, "mend it"),
        Violation("m"),
    )


def test_an_empty_set_is_no_violation_and_two_sets_are_one_answer() -> None:
    assert violations(sets(), POD) == ()
    both = {**sets("a", "b"), "violation": {"set": True, "items": [{"msg": "b"}, {"msg": "c"}]}}
    assert violations(both, POD) == (Violation("a"), Violation("b"), Violation("c"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "something else than sets"),
        ({}, "something else than sets"),
        ([], "something else than sets"),
        ({"deny": None}, "deny is not a set"),
        ({"deny": {"set": False, "items": []}}, "deny is not a set"),
        ({"deny": {"set": True, "items": {}}}, "deny is not a set"),
        (sets(""), "is an empty message"),
        (sets(" \n"), "is an empty message"),
        (sets(1), "is a number: it has to be a message or an object with msg"),
        (sets(True), "is a boolean"),
        (sets(None), "is null"),
        (sets(["x"]), "is a list or a set"),
        (sets({}), "is an object without msg"),
        (sets({"msg": 1}), "has a msg that is not text"),
        (sets({"msg": " "}), "has a msg that is not text"),
        (sets({"msg": "m", "severity": "bad"}), 'has severity "bad": it has to be critical'),
        (sets({"msg": "m", "severity": 3}), "has severity 3"),
        (sets({"msg": "m", "path": 3}), "has a path that is a number"),
        (sets({"msg": "m", "fix": ["x"]}), "has a fix that is a list or a set"),
    ],
)
def test_what_is_mistyped_is_a_failure_and_never_no_violation(answer: object, said: str) -> None:
    assert said in reason_of(violations(answer, POD))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["msg", "path", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=100)
@given(_JSON)
def test_an_element_is_a_violation_or_a_failure_whatever_it_is(item: Any) -> None:
    answer = violations(sets(item), POD)
    is_message = isinstance(item, str) and item.strip()
    is_object = isinstance(item, dict) and isinstance(item.get("msg"), str) and item["msg"].strip()
    if isinstance(answer, RuleFailure):
        assert answer.reason
    else:
        assert is_message or is_object
        assert len(answer) == 1


@pytest.mark.parametrize(
    ("given_path", "wanted"),
    [
        ("", ""),
        ("spec.containers[0]", 'spec.containers["c0"]'),
        ("spec.containers[9].image", "spec.containers[9].image"),
        ('spec["containers"]["c1"].image', 'spec["containers"]["c1"].image'),
        ("metadata[0]", "metadata[0]"),
        ('metadata.annotations["a.b/c"]', 'metadata.annotations["a.b/c"]'),
    ],
)
def test_items_of_lists_are_named_path(given_path: str, wanted: str) -> None:
    assert named_path(given_path, POD) == wanted


@given(st.text(alphabet='a.["]0\\', max_size=12))
def test_a_path_that_is_taken_is_one(text: str) -> None:
    try:
        found = named_path(text, POD)
    except PathSyntaxError:
        return
    assert named_path(found, POD) == found
    paths.parse(found)


def taken(*items: Any) -> tuple[Violation, ...]:
    answer = violations(sets(*items), POD)
    assert not isinstance(answer, RuleFailure), answer
    return answer


def same(hit: Hit) -> tuple[str, str]:
    """What makes a hit the same before and after an UPDATE."""
    return hit.path, hit.evidence


@pytest.mark.parametrize("size", [10, 600, 1500, 5000, 100_000])
def test_texts_are_bounded_and_those_that_differ_at_their_end_alone_are_different(size: int) -> None:
    long = "x" * size
    items: list[Any] = [f"said {long}{end}" for end in "ab"]
    items += [{"msg": "m", "evidence": f"{long}{end}"} for end in "ab"]
    items += [{"msg": "m", "evidence": [long, end]} for end in "ab"]
    hits = [hit for item in items for hit in hits_of(taken(item), POD, Severity.HIGH)]
    assert len({same(hit) for hit in hits}) == len(items)
    assert max(len(text) for hit in hits for text in (hit.message, hit.evidence)) <= 1000


@pytest.mark.parametrize("before", [0, 450, 990, 65_000])
def test_no_credential_is_shown_by_the_half_that_is_left_of_it(before: int) -> None:
    token = "ghp_" + "a1B2" * 9
    item = {"msg": f"{'x ' * (before // 2)}{token} {'y' * 2000}", "fix": f"not {token}"}
    for more in ({}, {"evidence": item["msg"]}, {"evidence": {"k": item["msg"]}}):
        (hit,) = hits_of(taken({**item, **more}), POD, Severity.HIGH)
        assert "ghp_a1" not in repr(hit)


@pytest.mark.parametrize("hidden", [7, {"msg": 1}, {"msg": "m", "severity": "x"}, {"msg": "m", "fix": []}, ""])
def test_what_cannot_be_read_hides_no_violation(hidden: Any) -> None:
    first, last = taken("bad", hidden)
    assert first == Violation("bad")
    assert last.message.startswith("cannot be read: an element of deny ")


@pytest.mark.parametrize("path", ["spec..x", "$[?(@.x)]", "metadata.annotations.a.b/c", "a." * 40_000 + "a"])
def test_a_path_that_is_not_one_hides_no_violation(path: str) -> None:
    (found,) = taken({"msg": "bad", "path": path, "severity": "low"})
    assert found.message.startswith("bad (at a path that is not one: ")
    assert (found.path, found.evidence, found.severity) == ("", "bad", Severity.LOW)


@pytest.mark.parametrize("count", [MOST_VIOLATIONS - 1, MOST_VIOLATIONS, 1001, 100_000])
def test_very_many_violations_are_violations(count: int) -> None:
    items = [f"{number:06}" for number in range(count)]
    assert len(taken(*items)) == min(count, MOST_VIOLATIONS)
    *_, last = hits_of(taken(*items), POD, Severity.HIGH)
    *_, other = hits_of(taken(*items[:-1], "x"), POD, Severity.HIGH)
    assert same(last) != same(other)


def test_the_worst_of_very_many_is_not_hidden_behind_milder_ones() -> None:
    items = [{"msg": f"{number:06}", "severity": "low"} for number in range(1000)]
    found = taken(*items, {"msg": "z", "severity": "critical"}, {"msg": "zz"})
    assert [one.severity for one in found[MOST_VIOLATIONS - 1 :]] == [None, Severity.CRITICAL]


def test_what_a_delete_removes_is_what_is_judged() -> None:
    assert judged_object(creation(POD)) is POD
    assert judged_object(creation(POD, operation="DELETE", object=None, oldObject=POD)) is POD
    assert judged_object({}) is None
