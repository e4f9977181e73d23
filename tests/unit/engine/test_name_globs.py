"""Globs of names: which match, and whether two of them have a name in common."""

import fnmatch
import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iocaudit.engine.name_globs import globs_meet, name_globs

NAMES = ["".join(letters) for length in range(5) for letters in itertools.product("ab-", repeat=length)]
PARTS = st.sampled_from(["a", "b", "-", "*", "?", "[ab]", "[!a]", "[!ab]", "[a-b]"])
GLOBS = st.lists(PARTS, min_size=1, max_size=4).map("".join)


@given(GLOBS, GLOBS)
@example("a*", "*b")
@example("a*a", "aa")
@example("*-a", "b-*")
def test_globs_meet_where_some_name_matches_both(one: str, other: str) -> None:
    """A name of at most four characters is enough for these, but for what only a third character would match."""
    found = any(fnmatch.fnmatchcase(name, one) and fnmatch.fnmatchcase(name, other) for name in NAMES)
    assert globs_meet(one, other) == globs_meet(other, one)
    assert globs_meet(one, other) or not found
    if globs_meet(one, other) and not re.search(r"\[!ab\]", one + other):
        longer = ("".join(letters) for length in (5, 6, 7, 8) for letters in itertools.product("ab-", repeat=length))
        assert found or any(fnmatch.fnmatchcase(n, one) and fnmatch.fnmatchcase(n, other) for n in longer)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("team-*", "*-prod", True),
        ("team-*", "shop-*", False),
        ("[a-f]*", "[d-z]?", True),
        ("[a-c]", "[x-z]", False),
        ("[!a-c]", "[a-d]", True),
        ("?", "??", False),
        ("shop", "shop", True),
        ("shop", "sh?p", True),
        ("*", "", True),
        ("*a*" * 60, "*b*" * 60, True),
    ],
)
def test_globs_that_meet(one: str, other: str, meet: bool) -> None:
    assert globs_meet(one, other) is meet


@given(st.lists(GLOBS, max_size=4), st.sampled_from(NAMES))
def test_a_list_matches_what_one_of_it_matches(patterns: list[str], name: str) -> None:
    assert name_globs(tuple(patterns)).match(name) is any(fnmatch.fnmatchcase(name, one) for one in patterns)
