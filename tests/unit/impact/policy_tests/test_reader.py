"""What a file of policy tests may hold: every mistake is named, none passes for a test that succeeded."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.impact.policy_tests.reader import FIELDS, read_suites
from tests.support.policy_tests import Json, document, pod, write

CATALOGUE = builtin_catalogue()
CASE: Json = {
    "name": "one",
    "object": pod(),
    "set": {"spec.hostPID": True, "spec.hostIPC": True},
    "remove": ["spec.hostIPC"],
    "request": {"operation": "CREATE", "user": "alice", "groups": ["dev"], "dryRun": True},
    "world": [pod("other")],
    "expect": {
        "verdict": ["allow", "warn"],
        **{part: {"include": ["host-pid"]} for part in ("denied", "warned", "recorded", "waived", "spared")},
        **{part: {"exactly": []} for part in ("skipped", "faults")},
        "message": {"contains": "x", "matches": ["yy"], "lacks": "z"},
        "warnings": {"contains": ["x"]},
    },
}
WHOLE = document(
    {**CASE, "cases": [{**CASE, "name": "deep"}]},
    metadata={"name": "all"},
    request={"namespace": "shop"},
    now="2026-12-01T00:00:00Z",
    profile="strict",
)


def mistakes(folder: Path, *documents: Json, **more: Any) -> list[str]:
    return read_suites([write(folder, *documents, **more)], CATALOGUE).unusable


def maps(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The places of all maps whose fields we know: not those inside objects, and not what set sets."""
    if isinstance(value, list):
        return [one for index, item in enumerate(value) for one in maps(item, (*path, index))]
    if not isinstance(value, dict):
        return []
    found = [path]
    for name, inner in value.items():
        if name not in ("object", "world", "policies", "set", "metadata"):
            found += maps(inner, (*path, name))
    return found


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def test_a_whole_document_is_read(tmp_path: Path) -> None:
    assert mistakes(tmp_path, WHOLE) == []


def test_every_field_is_in_the_whole_document() -> None:
    used = {field for path in maps(WHOLE) for field in at(WHOLE, path)}
    missing = {field for fields in FIELDS.values() for field in fields} - used
    assert missing == {
        *("exclude", "annotations", "labels", "waivers", "objects", "oldObject", "serviceAccount", "subResource")
    }


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.sampled_from(maps(WHOLE)), word=st.from_regex(r"[a-z][A-Za-z]{0,11}", fullmatch=True))
def test_an_unknown_word_is_refused_wherever_it_stands(tmp_path: Path, place: tuple[str | int, ...], word: str) -> None:
    known = {field for fields in FIELDS.values() for field in fields}
    changed = copy.deepcopy(WHOLE)
    at(changed, place)[word if word not in known else f"{word}X"] = "x"
    found = mistakes(tmp_path, changed)
    assert any("there is no such field" in line for line in found)
    assert all(line.startswith(f"{tmp_path}/a.policytest.yaml:") for line in found)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.sampled_from([path for path in maps(WHOLE) if path]), data=st.data())
def test_a_value_of_a_wrong_type_is_refused(tmp_path: Path, place: tuple[str | int, ...], data: st.DataObject) -> None:
    changed = copy.deepcopy(WHOLE)
    field = data.draw(st.sampled_from(sorted(at(changed, place))))
    at(changed, place)[field] = data.draw(st.sampled_from([None, 7, [7], [[]], {"x": 7}, ""]))
    if field == "set" and isinstance(at(changed, place)[field], dict):
        return  # any field may be set
    assert mistakes(tmp_path, changed)


EMPTY: list[Any] = [{}, {"denied": []}, {"denied": {}}, {"denied": {"include": []}}, {"verdict": []}]
EMPTY += [
    [],
    {"message": {"matches": ""}},
    {"message": ""},
    {"message": []},
    {"warnings": {}},
    {"message": {"contains": [""]}},
]


@pytest.mark.parametrize("expect", EMPTY, ids=str)
def test_an_expectation_of_nothing_is_refused(tmp_path: Path, expect: Any) -> None:
    (found,) = mistakes(tmp_path, document({"name": "a", "object": pod(), "expect": expect}))
    assert "expects nothing" in found


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        (["deny", "allow", "warn"], "expect: takes every answer"),
        ({"verdict": ["deny", "allow", "warn"]}, "expect.verdict: takes every answer"),
        ({"message": {"matches": ".*"}}, "expect.message.matches[0]: '.*' is found in every text"),
        ({"warnings": {"matches": ["a", "x?"]}}, "expect.warnings.matches[1]: 'x?' is found in every text"),
        ({"denied": {"exclude": ["node-port-service"]}}, "expect.denied.exclude: node-port-service does not look at"),
        ({"warned": {"exclude": ["exec-session"]}}, "expect.warned.exclude: exec-session does not look at"),
    ],
)
def test_an_expectation_that_cannot_fail_is_refused(tmp_path: Path, expect: Any, said: str) -> None:
    (found,) = mistakes(tmp_path, document({"name": "a", "object": pod(), "expect": expect}))
    assert said in found
    assert "cannot fail" in found


def test_several_verdicts_may_be_expected(tmp_path: Path) -> None:
    found = read_suites(
        [write(tmp_path, document({"name": "a", "object": pod(), "expect": ["deny", "warn"]}))], CATALOGUE
    )
    assert found.unusable == []
    assert found.suites[0].cases[0].expected.verdicts == {"deny", "warn"}


def test_a_test_without_an_expectation_is_refused(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, document({"name": "a", "object": pod()}))
    assert found.endswith("tests[0].expect: is required: a test without an expectation cannot fail")
    cases = [{"name": "b", "expect": "allow"}, {"name": "c"}]
    (found,) = mistakes(tmp_path, document({"name": "a", "object": pod(), "cases": cases}))
    assert "tests[0].cases[1].expect: is required" in found


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"object": "no.yaml"}, "object: there is no file or folder"),
        ({"object": "pods.yam"}, "(did you mean pods.yaml?)"),
        ({"object": "pods.yaml"}, "names 2 objects: choose one by FILE#NAME"),
        ({"object": "pods.yaml#wbe"}, "no object of"),
        ({"object": "pods.yaml#web"}, "names 2 objects of"),
        ({"object": 5}, "is not the path of a file, nor an object"),
        ({"object": {"kind": "Pod"}}, "is not the path of a file, nor an object"),
        ({"objects": []}, "names no object"),
        ({"object": {"apiVersion": "v1", "kind": "List", "items": []}}, "is a List without items"),
        ({"objects": [pod(), {"apiVersion": "v1", "kind": "List", "items": []}]}, "objects[1]: is a List without"),
        ({"object": pod(), "remove": ["spec.hostNetwrok"]}, "remove spec.hostNetwrok: there is nothing to remove"),
        ({"object": pod(), "objects": [pod()]}, "give object or objects"),
        ({"object": pod(), "request": {"operation": "UPDATE"}}, "an UPDATE needs oldObject, or set"),
        ({"object": pod(), "oldObject": pod(), "request": {"operation": "CREATE"}}, "oldObject goes with UPDATE"),
        ({"object": pod(), "request": {"operation": "CONNECT"}}, "CONNECT goes with an object that is"),
        ({"object": pod(), "request": {"namespace": "bank"}}, "the object is in namespace shop, and not in bank"),
        ({"object": pod(), "request": {"serviceAccount": "x"}}, "is not NAMESPACE/NAME"),
        ({"object": pod(), "request": {"user": "a", "serviceAccount": "x/y"}}, "give user or serviceAccount"),
        ({"object": pod(), "set": {"spec..x": 1}}, "expected a field name"),
        ({"object": pod(), "set": {'spec.containers["b"].x': 1}}, "no items are named b"),
        ({"object": pod(), "remove": [""]}, "a path such as"),
        ({"object": pod(), "expect": {"denied": ["host-pdi"]}}, "(did you mean host-pid?)"),
        ({"object": pod(), "expect": {"message": {"matches": "("}}}, "is not a regular expression"),
        ({"object": pod(), "expect": {"denied": {"include": ["host-pid"], "exclude": ["host-pid"]}}}, "not expected"),
        ({"object": pod(), "expect": {"denied": {"exactly": [], "exclude": ["host-pid"]}}}, "exactly says it all"),
        ({"object": pod(), "cases": []}, "names no case"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, test: Json, said: str) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}
    write(tmp_path, pod(), service, name="pods.yaml")
    found = mistakes(tmp_path, document({"name": "a", "expect": "allow", **test}))
    assert any(said in line for line in found), found
    assert all(line.startswith(f"{tmp_path}/a.policytest.yaml:") for line in found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tests": []}, "names no test"),
        ({"now": "tomorrow"}, "is not a time such as"),
        ({"now": "2026-12-01T00:00:00"}, "is not a time such as"),
        ({"profile": "strcit"}, "(did you mean strict?)"),
        ({"policies": ["no.yaml"]}, "there is no file or folder"),
        ({"policies": [{"apiVersion": "v1", "kind": "Pod"}]}, "Pod of v1 is not an AuditPolicy"),
        ({"policies": [7]}, "is not the path of a file"),
        ({"apiVersion": "iocaudit.io/v1alpha1"}, "a PolicyTest has apiVersion cli.iocaudit.io/v1alpha1"),
        ({"kind": "PolicyTests"}, "(did you mean PolicyTest?)"),
        ({"kind": "AuditPolicy"}, "name it under policies, waivers, world or object"),
    ],
)
def test_a_mistake_of_the_whole_is_told(tmp_path: Path, changes: Json, said: str) -> None:
    whole = document({"name": "a", "object": pod(), "expect": "allow"})
    found = mistakes(tmp_path, {**whole, **changes})
    assert any(said in line for line in found), found


def test_a_mistake_in_a_policy_is_told_where_the_policy_is(tmp_path: Path) -> None:
    bad = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": {"prest": 1}}
    write(tmp_path, bad, name="p.yaml")
    test = {"name": "a", "object": pod(), "expect": "allow"}
    assert any(
        line.startswith(f"{tmp_path}/p.yaml:") for line in mistakes(tmp_path, document(test, policies=["p.yaml"]))
    )
    (found,) = [line for line in mistakes(tmp_path, document(test, policies=[bad])) if "prest" in line]
    assert found.startswith(f"{tmp_path}/a.policytest.yaml:")
    again = mistakes(tmp_path, document(test, policies=[document()["policies"][0]] * 2))
    assert any("AuditPolicy shop is there twice" in line for line in again)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    test = {"name": "a", "object": pod(), "expect": "allow"}
    assert "the name of another one here" in mistakes(tmp_path, document(test, test))[0]


def test_a_folder_is_searched_by_name_and_nothing_is_forgotten(tmp_path: Path) -> None:
    whole = document({"name": "a", "object": pod(), "expect": "allow"})
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", whole, name="policytest.yaml")
    write(tmp_path, whole, name="x.policytest.yaml")
    write(tmp_path, pod(), name="pod.yaml")
    found = read_suites([str(tmp_path)], CATALOGUE)
    assert (len(found.suites), found.unusable) == (2, [])
    write(tmp_path, whole, name="forgotten.yaml")
    (line,) = read_suites([str(tmp_path)], CATALOGUE).unusable
    assert line.endswith("name it forgotten.policytest.yaml, or name it on the command line")
    (tmp_path / "empty").mkdir()
    (line,) = read_suites([str(tmp_path / "empty")], CATALOGUE).unusable
    assert "holds no file of tests" in line


def test_objects_are_found_by_name_kind_and_namespace(tmp_path: Path) -> None:
    other = pod()
    other["metadata"] = {"name": "web", "namespace": "bank"}
    listed = {"apiVersion": "v1", "kind": "List", "items": [pod(), other, pod("x")]}
    write(tmp_path, listed, name="all.json")
    (tmp_path / "all.json").write_text(json.dumps(listed))
    for name, place in (("x", "shop/x"), ("Pod/bank/web", "bank/web"), ("Pod/shop/web", "shop/web")):
        test = {"name": "a", "object": f"all.json#{name}", "expect": "allow"}
        found = read_suites([write(tmp_path, document(test))], CATALOGUE)
        assert found.unusable == []
        (review,) = found.suites[0].cases[0].reviews
        assert review.resource is not None
        assert str(review.resource.ref) == f"Pod {place}"
    test = {"name": "a", "object": "all.json#web", "expect": "allow"}
    assert "write Pod/bank/web, Pod/shop/web" in mistakes(tmp_path, document(test))[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "object", "expect", "tests", "verdict", "spec", "set", "kind", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_document_brings_a_traceback(tmp_path: Path, value: Any) -> None:
    header = {"apiVersion": "cli.iocaudit.io/v1alpha1", "kind": "PolicyTest"}
    assert mistakes(tmp_path, {**header, "tests": value})
    assert mistakes(tmp_path, {**header, "policies": value, "world": value, "waivers": value, "request": value})
