"""The plain table."""

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sinks.columns import columns

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


def test_pads_and_leaves_out_what_is_empty_throughout() -> None:
    assert columns(("A", "B", "C"), [("1", "", "2"), ("long", "", "3")]) == "A     C\n1     2\nlong  3\n"
    assert columns(("", ""), [("a", "1")]) == "a  1\n"
    assert columns(("A", "B"), []) == ""
    assert columns(("A", "B"), [("", "")]) == ""


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_a_row_is_a_line_whatever_it_holds(rows: list[tuple[str, str]]) -> None:
    text = columns(("A", "B"), rows)
    assert text.count("\n") == (len(rows) + 1 if any(cell for row in rows for cell in row) else 0)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text.replace("\n", ""))
