"""Repairs as JSON Patch: shape, guards, and what they make of an object."""

from typing import Any

import pytest

from iocaudit.core.json_patch import apply, patch_of, pointer, tokens_of
from iocaudit.core.repair import Edit, Repair, UnfixableError, discard, include, put, remove

APP = 'spec.containers["app"]'
TEST = {"op": "test", "path": "/spec/containers/1/name", "value": "app"}


def _pod(**context: Any) -> dict[str, Any]:
    app = {"name": "app", "image": "i", **({"securityContext": context} if context else {})}
    return {"spec": {"hostNetwork": True, "containers": [{"name": "log"}, app]}}


def test_an_item_found_by_name_is_guarded_by_a_test() -> None:
    assert patch_of(_pod(privileged=True, runAsUser=1), f"{APP}.securityContext.privileged", remove()) == [
        TEST,
        {"op": "remove", "path": "/spec/containers/1/securityContext/privileged"},
    ]


def test_maps_on_the_way_are_made() -> None:
    patch = patch_of(_pod(), f"{APP}.securityContext.seccompProfile.type", put("RuntimeDefault"))
    value = {"seccompProfile": {"type": "RuntimeDefault"}}
    assert patch == [TEST, {"op": "add", "path": "/spec/containers/1/securityContext", "value": value}]
    assert apply(_pod(), patch) == _pod(**value)


def test_a_null_on_the_way_is_replaced() -> None:
    raw = {"spec": {"securityContext": None}}
    patch = patch_of(raw, "spec.securityContext.runAsNonRoot", put(True))
    assert patch == [{"op": "replace", "path": "/spec/securityContext", "value": {"runAsNonRoot": True}}]


def test_what_a_removal_leaves_empty_goes_with_it() -> None:
    raw = _pod(capabilities={"add": ["SYS_ADMIN", "CAP_SYS_ADMIN"]})
    patch = patch_of(raw, f"{APP}.securityContext.capabilities.add", discard("SYS_ADMIN", "CAP_SYS_ADMIN"))
    assert patch == [TEST, {"op": "remove", "path": "/spec/containers/1/securityContext"}]


def test_items_go_from_the_end_so_that_positions_hold() -> None:
    raw = {"l": ["a", "b", "a", "c"]}
    patch = patch_of(raw, "l", discard("a"))
    assert [one["path"] for one in patch] == ["/l/2", "/l/0"]
    assert apply(raw, patch) == {"l": ["b", "c"]}


def test_a_list_is_made_or_added_to() -> None:
    assert patch_of({"a": 1}, "drop", include("ALL")) == [{"op": "add", "path": "/drop", "value": ["ALL"]}]
    assert patch_of({"drop": ["X"]}, "drop", include("ALL")) == [{"op": "add", "path": "/drop/-", "value": "ALL"}]
    assert patch_of({"drop": ["ALL"]}, "drop", include("ALL")) == []


def test_what_is_done_already_takes_no_operation() -> None:
    assert patch_of({"a": True}, "a", put(True)) == []
    assert patch_of({}, "a.b", remove()) == []


def test_true_is_not_one() -> None:
    assert patch_of({"a": 1}, "a", put(True)) == [{"op": "replace", "path": "/a", "value": True}]


def test_the_object_of_a_list_is_found_by_its_place() -> None:
    raw = {"kind": "List", "items": [{}, {"spec": {"hostPID": True}}]}
    assert patch_of(raw, "spec.hostPID", remove(), "items[1]") == [{"op": "remove", "path": "/items/1/spec/hostPID"}]


def test_several_edits_see_each_other() -> None:
    edits = Repair((Edit("set", "p.type", "RuntimeDefault"), Edit("remove", "p.localhostProfile")))
    raw = {"p": {"type": "Localhost", "localhostProfile": "x"}}
    assert apply(raw, patch_of(raw, "p.type", edits)) == {"p": {"type": "RuntimeDefault"}}
    assert raw == {"p": {"type": "Localhost", "localhostProfile": "x"}}, "the object itself was changed"


@pytest.mark.parametrize(
    ("raw", "path", "why"),
    [
        ({"l": [{"name": "a"}, {"name": "a"}]}, 'l["a"].x', "2 items"),
        ({"l": [{"name": "a"}]}, 'l["b"].x', "no items"),
        ({"l": []}, "l[3].x", "no item 3"),
        ({"a": "text"}, "a.b", "not a map"),
        ({"a": {}}, "a[0].b", "not a list"),
        ({"a": {}}, "a.b[0]", "no items"),
        ({"l": []}, "l.x", "no field x"),
    ],
)
def test_an_object_of_another_shape_is_refused(raw: dict[str, Any], path: str, why: str) -> None:
    with pytest.raises(UnfixableError, match=why):
        patch_of(raw, path, put(1))


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/l/2", "value": 0},
        {"op": "add", "path": "/l/3", "value": 0},
        {"op": "add", "path": "/a/b", "value": 0},
        {"op": "remove", "path": ""},
    ],
)
def test_an_operation_that_does_not_fit_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(UnfixableError):
        apply({"a": 1, "l": [1, 2]}, [operation])


def test_pointers_escape_what_rfc_6901_says() -> None:
    assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"
    assert tokens_of("/a~1b/c~0d/0") == ["a/b", "c~d", "0"]
    assert tokens_of("") == []
