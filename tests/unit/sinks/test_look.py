"""Colour and width: when, and that wrapping loses nothing."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sinks.columns import columns
from iocaudit.sinks.look import NARROWEST, cells, wants_colour, width_of, wrapped

WORDS = st.lists(st.text("ab-/:.界é", min_size=1, max_size=30), max_size=20).map(" ".join)

ENDS = [("", ""), ("  high  12 a-check: ", " " * 12), ("x: ", "  ")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "environment", "terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, True, False),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_when_there_is_colour(color: str, environment: dict[str, str], terminal: bool, wanted: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    assert wants_colour(stream, color, environment) is wanted


def test_how_wide_lines_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width_of(None) is None
    assert width_of(io.StringIO()) is None
    assert width_of(Terminal()) == 80, "a terminal that does not tell"
    for named, wide in (("120", 120), ("3", NARROWEST), ("0", None), ("a", None), ("-5", None)):
        monkeypatch.setenv("COLUMNS", named)
        assert width_of(io.StringIO()) == wide


@given(WORDS, st.integers(NARROWEST, 100), st.sampled_from(ENDS))
def test_wrapping_loses_nothing_and_keeps_to_the_width(text: str, width: int, ends: tuple[str, str]) -> None:
    first, indent = ends
    lines = wrapped(text, width, first=first, indent=indent)
    assert lines[0].startswith(first.rstrip())
    assert "".join("".join(lines).split()) == "".join((first + text).split())
    for line in lines:
        own = line[len(first if line is lines[0] else indent) :]
        assert cells(line) <= width or " " not in own.strip()
    assert wrapped(text, None, first=first, indent=indent) == [first + text]


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5), st.integers(NARROWEST, 120))
def test_a_table_is_as_wide_as_its_words_allow(rows: list[tuple[str, str, str]], width: int) -> None:
    text = columns(("A", "B", "C"), rows, width)
    longest = sum(max((cells(word) for row in rows for word in row[n].split(" ")), default=0) for n in range(3))
    assert all(cells(line) <= max(width, longest + 4) for line in text.splitlines())
    shown, wanted = "".join(text.split()), "".join("".join(row) for row in rows)
    assert sorted(shown.replace("A", "").replace("B", "").replace("C", "")) == sorted("".join(wanted.split()))
