"""Compiled label selectors say what the plain ones say, and an index over them finds what matches."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.label_selector import selects
from iocaudit.knowledge.network.selectors import (
    EVERYTHING,
    EmptySelector,
    SelectorIndex,
    read_label_selector,
    read_labels,
)

_KEYS = st.sampled_from(["app", "tier", "env"])
_VALUES = st.sampled_from(["", "web", "db"])
_ODD = st.none() | st.integers() | st.booleans()
_SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(_KEYS, _VALUES | _ODD, max_size=2) | _ODD,
        "matchExpressions": st.lists(
            st.fixed_dictionaries(
                {"key": _KEYS, "operator": st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt"])},
                optional={"values": st.lists(_VALUES | _ODD, max_size=2) | st.none()},
            )
            | _ODD,
            max_size=3,
        )
        | _ODD,
    },
)
_LABELS = st.dictionaries(_KEYS, _VALUES | st.none())


@given(_SELECTORS | _ODD, _LABELS)
def test_compiled_and_plain_selectors_agree(selector: Any, labels: dict[str, str | None]) -> None:
    assert read_label_selector(selector).matches(read_labels(labels)) is selects(selector, labels)


@given(st.lists(_SELECTORS, max_size=6), _LABELS)
def test_an_index_finds_each_selector_that_matches_once(
    raws: list[dict[str, Any]], labels: dict[str, str | None]
) -> None:
    selectors = [read_label_selector(raw) for raw in raws]
    index = SelectorIndex((selector, number) for number, selector in enumerate(selectors))
    known = read_labels(labels)
    assert sorted(index.matching(known)) == [n for n, one in enumerate(selectors) if one.matches(known)]


@given(_SELECTORS, _LABELS, _LABELS)
def test_matching_all_is_matching_whatever_else_there_is(
    raw: dict[str, Any], known: dict[str, str | None], others: dict[str, str | None]
) -> None:
    selector = read_label_selector(raw)
    if selector.matches_all(read_labels(known)):
        assert selector.matches({**read_labels(others), **read_labels(known)})


def test_an_empty_selector_matches_everything_and_an_unusable_one_nothing() -> None:
    assert read_label_selector({}) == EVERYTHING
    assert EVERYTHING.matches_all({})
    nothing = EmptySelector("a reason")
    assert not nothing.matches({"a": "b"})
    assert not nothing.matches_all({})
    assert SelectorIndex([(nothing, 1)]).matching({"": ""}) == []


def test_items_that_are_equal_but_not_the_same_are_both_found() -> None:
    first, second = ["x"], ["x"]
    assert len(SelectorIndex([(EVERYTHING, first), (EVERYTHING, second)]).matching({})) == 2
