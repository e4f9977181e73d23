"""A patch without its outcome: applied where every way to read it says the same, else not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.impact.applied_patch import applied
from tests.support.logged import Log, changed, denied, history, pod_spec, template

BEFORE: dict[str, Any] = {"metadata": {"name": "a", "generation": 1, "labels": {"a": "b"}}, "spec": {"x": {"y": 1}}}


@pytest.mark.parametrize(
    ("patch", "spec", "generation"),
    [
        ({"spec": {"x": {"y": 2}}}, {"x": {"y": 2}}, 2),
        ({"spec": {"x": {"y": None}}}, {"x": {}}, 2),
        ({"metadata": {"labels": {"a": None}}}, {"x": {"y": 1}}, 1),
        ([{"op": "replace", "path": "/spec/x/y", "value": [3]}], {"x": {"y": [3]}}, 2),
        ([{"op": "remove", "path": "/metadata/labels/a"}], {"x": {"y": 1}}, 1),
    ],
)
def test_it_is_applied(patch: Any, spec: Any, generation: int) -> None:
    found = applied(BEFORE, patch)
    assert found is not None
    assert (found["spec"], found["metadata"]["generation"]) == (spec, generation)
    assert BEFORE["spec"] == {"x": {"y": 1}}


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"containers": [{"name": "a"}]}},
        {"spec": {"$retainKeys": 1}},
        {"apiVersion": "v1", "kind": "Pod", "spec": {}},
        [{"op": "move", "from": "/spec", "path": "/status"}],
        [{"op": "remove", "path": "/spec/absent/b"}],
        [{"op": "test", "path": "/spec/x/y", "value": 7}],
        ["wrong"],
        [{"op": "replace", "path": "", "value": 1}],
    ],
)
def test_what_can_be_read_in_several_ways_is_not(patch: Any) -> None:
    assert applied(BEFORE, patch) is None


_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "spec", "metadata", "$x"]), inner, max_size=3),
)


@given(patch=st.dictionaries(st.sampled_from(["a", "spec", "metadata"]), _values, max_size=3))
def test_a_map_is_merged_as_the_rfc_says(patch: dict[str, Any]) -> None:
    found = applied({"spec": {"a": 1}}, patch)
    if "$x" in str(patch):
        return
    assert found is not None
    for name, value in patch.items():
        if value is None and name != "metadata":
            assert name not in found
        elif not isinstance(value, dict) and name != "metadata":
            assert found[name] == value


def test_a_patch_of_a_known_object_is_judged_without_its_answer() -> None:
    log, judged = Log(), history()
    first = template("Deployment", "web", pod_spec())
    worse = {"spec": {"template": {"spec": {"hostPID": True}}}}
    request: dict[str, Any] = {"level": "Request", "responseObject": None}
    listed: dict[str, Any] = {"spec": {"template": {"spec": {"containers": []}}}}
    events = [
        log.event("create", first, **request),
        log.event("patch", first, **request, requestObject=worse),
        log.event("patch", first, **request, requestObject={"spec": {"replicas": 3}}),
        log.event("patch", changed(first), **request, requestObject=listed),
        log.event("patch", changed(first), **request, requestObject={"spec": {"replicas": 4}}),
    ]
    assert denied(judged, events) == [False, True, False, None, None]
    assert judged.tally.as_sent == 3
