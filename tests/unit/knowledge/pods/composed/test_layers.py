"""Values laid over each other, and the place each part of the result really stands at."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core import paths
from iocaudit.core.shape import lookup
from iocaudit.knowledge.pods.composed.layers import Allowance, Layers, MovedPaths, real


def _at(value: Any, path: str) -> Any:
    """What stands at a path."""
    for segment in paths.parse(path):
        if isinstance(segment, paths.Field):
            value = value[segment.name]
        elif isinstance(segment, paths.KeySegment):
            value = (
                next(item for item in value if item.get("name") == segment.text)
                if isinstance(value, list)
                else value[segment.text]
            )
        else:
            value = value[segment]
    return value


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [leaf for name, inner in value.items() for leaf in _leaves(inner, paths.field(path, name))]
    if isinstance(value, list) and value and all(isinstance(item, dict) and item.get("name") for item in value):
        return [leaf for item in value for leaf in _leaves(item, path + paths.key(item["name"]))]
    return [(path, value)]


_ITEMS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abc")}, optional={"x": st.integers(0, 3), "y": st.integers(0, 3)}),
    unique_by=lambda item: item["name"],
    max_size=3,
)
_VALUES = st.dictionaries(
    st.sampled_from(["p", "q", "env", "volumes", "odd key"]),
    st.integers(0, 3) | st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=3) | _ITEMS,
)


@given(under=_VALUES, over=_VALUES)
def test_every_part_of_what_comes_out_stands_where_it_is_said_to(under: Any, over: Any) -> None:
    moved: MovedPaths = {}
    found = Layers(moved, Allowance()).beneath(over, "over", under, "under")
    whole = {"under": under, "over": over}
    for path, value in _leaves(found, "over"):
        if found:
            assert _at(whole, real(path, moved)) == value


@given(value=_VALUES, patch=_VALUES)
def test_every_part_of_what_is_patched_stands_where_it_is_said_to(value: Any, patch: Any) -> None:
    moved: MovedPaths = {}
    found = Layers(moved, Allowance()).patched(value, "value", patch, "patch")
    whole = {"value": value, "patch": patch}
    for path, leaf in _leaves(found, "value"):
        if found and leaf not in ({}, []):
            assert _at(whole, real(path, moved)) == leaf


def test_what_is_over_wins_and_null_sets_nothing_but_in_a_patch() -> None:
    under = {"a": {"x": 1, "y": 2}, "args": ["1"], "b": 1}
    over = {"a": {"x": 3}, "args": ["2"], "b": None}
    assert Layers({}, Allowance()).beneath(over, "o", under, "u") == {"a": {"x": 3, "y": 2}, "args": ["2"], "b": 1}
    assert Layers({}, Allowance()).patched(under, "u", over, "o") == {"a": {"x": 3, "y": 2}, "args": ["2"]}


def test_a_patch_of_what_was_taken_from_elsewhere_is_told_apart() -> None:
    moved: MovedPaths = {}
    layers = Layers(moved, Allowance())
    found = layers.beneath({}, "t", {"securityContext": {"runAsUser": 0}}, "defaults")
    found = layers.patched(found, "t", {"securityContext": {"privileged": True}}, "patch")
    assert lookup(found, "securityContext") == {"runAsUser": 0, "privileged": True}
    assert real("t.securityContext.runAsUser", moved) == "defaults.securityContext.runAsUser"
    assert real("t.securityContext.privileged", moved) == "patch.securityContext.privileged"
    assert real("t.securityContextual", moved) == "t.securityContextual"
