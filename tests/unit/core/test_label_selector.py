"""Label selectors match as the API server's do, whatever is written in them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.label_selector import is_empty, selects

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["", "x", "y"])
LABELS = st.dictionaries(KEYS, VALUES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(LABELS, KEYS, st.lists(VALUES, min_size=1))
def test_each_operator_and_its_opposite_share_the_world_between_them(
    labels: dict[str, str], key: str, values: list[str]
) -> None:
    def one(operator: str, listed: list[str]) -> bool:
        return selects({"matchExpressions": [{"key": key, "operator": operator, "values": listed}]}, labels)

    assert one("In", values) == (labels.get(key) in values)
    assert one("NotIn", values) != one("In", values)
    assert one("Exists", []) == (key in labels)
    assert one("DoesNotExist", []) != one("Exists", [])


@given(LABELS, LABELS)
def test_match_labels_are_what_in_of_one_value_says(wanted: dict[str, str], labels: dict[str, str]) -> None:
    expressions = [{"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()]
    assert selects({"matchLabels": wanted}, labels) == selects({"matchExpressions": expressions}, labels)


@given(st.dictionaries(st.sampled_from(["matchLabels", "matchExpressions"]), JSON) | JSON, LABELS)
def test_no_shape_raises_and_only_a_mapping_or_nothing_can_match(selector: Any, labels: dict[str, str]) -> None:
    if selects(selector, labels):
        assert selector is None or isinstance(selector, dict)


@pytest.mark.parametrize("selector", [None, {}, {"matchLabels": None}, {"matchLabels": {}, "matchExpressions": []}])
def test_an_empty_one_selects_everything(selector: Any) -> None:
    assert selects(selector, {})
    assert selects(selector, {"a": "x"})
    assert is_empty(selector)


def test_a_null_value_is_an_empty_one_and_never_an_absent_label() -> None:
    assert not selects({"matchLabels": {"a": None}}, {})
    assert selects({"matchLabels": {"a": None}}, {"a": ""})
    assert not selects({"matchLabels": {"a": None}}, {"a": "x"})
    assert selects({"matchLabels": {"a": ""}}, {"a": None})


@pytest.mark.parametrize(
    "selector",
    [
        "a=b",
        ["a"],
        {"matchLabels": ["a"]},
        {"matchLabels": {"a": 1}},
        {"matchExpressions": {"key": "a"}},
        {"matchExpressions": ["a"]},
        {"matchExpressions": [{"key": "a", "operator": "in", "values": ["x"]}]},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]},
        {"matchExpressions": [{"key": "b", "operator": "NotIn", "values": []}]},
        {"matchExpressions": [{"key": "b", "operator": "NotIn"}]},
        {"matchExpressions": [{"key": "b", "operator": "NotIn", "values": [1]}]},
        {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
        {"matchExpressions": [{"key": "b", "operator": "DoesNotExist", "values": ["x"]}]},
        {"matchExpressions": [{"operator": "DoesNotExist"}]},
        {"matchExpressions": [{"key": "", "operator": "DoesNotExist"}]},
    ],
)
def test_what_the_api_server_refuses_selects_nothing(selector: Any) -> None:
    assert not selects(selector, {"a": "x"})


def test_each_operator_by_example() -> None:
    labels = {"app": "web", "tier": "gold"}
    assert selects({}, labels)
    assert selects(None, {})
    assert selects({"matchLabels": {"app": "web"}}, labels)
    assert not selects({"matchLabels": {"app": "web", "x": "y"}}, labels)
    for operator, values, expected in (
        ("In", ["web"], True),
        ("In", ["db"], False),
        ("NotIn", ["db"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Bogus", ["web"], False),
    ):
        assert (
            selects({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}, labels) is expected
        )
    assert selects({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]}, labels)
