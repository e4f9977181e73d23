"""Literals of CEL and of its regular expressions."""

from __future__ import annotations

import ast
import fnmatch
import re

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.install.vap.cel import any_of, exactly, glob, literals, name_glob, names_matching, pattern, quoted


@given(st.text())
def test_a_literal_reads_as_its_text(text: str) -> None:
    # The escapes that are written mean the same in Python.
    assert ast.literal_eval(quoted(text)) == text
    assert "\n" not in quoted(text)


def test_lists_and_patterns() -> None:
    assert literals(["a", "it's"]) == r"['a', 'it\'s']"
    assert pattern(r"^a\.b$") == r"r'^a\.b$'"
    assert pattern("it's") == r"'it\'s'"
    assert any_of(["a", "b", "a"]) == "(?:a|b)"
    assert any_of(["a"]) == "a"


@given(st.text(), st.text())
def test_exactly_matches_its_text_alone(text: str, other: str) -> None:
    assert re.fullmatch(exactly(text), text, re.DOTALL)
    assert bool(re.fullmatch(exactly(text), other, re.DOTALL)) == (text == other)


NAMES = st.text("ab-01", max_size=6)


@given(st.text("ab*?[]!-0", max_size=6), NAMES)
def test_globs_of_names_are_those_of_fnmatch(text: str, name: str) -> None:
    # The schema refuses what fnmatch and RE2 would read differently: sets that are never closed, or empty.
    if re.fullmatch(r"(?:[ab*?0-]|\[!?[ab0]+\])*", text):
        assert bool(re.fullmatch(name_glob(text), name)) == fnmatch.fnmatchcase(name, text)


def test_names_and_globs_together() -> None:
    assert names_matching(["shop", "team-*"]) == "^(?:shop|team-.*)$"
    assert glob("a*.b") == r"a.*\.b"
