"""What is written as YAML is read as what it was."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.yaml_write import Style, block, inline, scalar
from iocaudit.sources.yaml_builder import build

_TEXT = st.text(max_size=20) | st.sampled_from(
    [
        "y",
        "On",
        "null",
        "~",
        "1",
        "0x1f",
        ".5",
        "1e3",
        "a: b",
        "- a",
        "#",
        "2026-01-01",
        "NO",
        "_1",
        ".inf",
        "<<",
        "é",
        "😀",
    ]
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(_TEXT)
def test_a_string_stays_a_string(text: str) -> None:
    (built,) = build(scalar(text) + "\n")
    assert built.value == text
    assert isinstance(built.value, str)


@given(_VALUES, st.sampled_from([Style(), Style(json=True), Style(indented_lists=True, step=4)]))
def test_a_value_on_one_line_is_read_as_itself(value: Any, style: Style) -> None:
    (built,) = build(f"a: {inline(value, style)}\n")
    assert built.value == {"a": value}


@given(st.dictionaries(_TEXT, _VALUES, min_size=1, max_size=3) | st.lists(_VALUES, min_size=1, max_size=3))
def test_a_document_is_read_as_itself(value: Any) -> None:
    (built,) = build(block(value))
    assert built.value == value


def test_plain_words_are_not_quoted() -> None:
    assert inline({"type": "RuntimeDefault", "drop": ["ALL"], "n": 1, "t": "true"}) == (
        '{type: RuntimeDefault, drop: [ALL], "n": 1, t: "true"}'
    )
