"""What is suggested for a mistyped word."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from iocaudit.cli.near import near_words
from tests.support.running import run

WORDS = ("scan", "checks", "explain", "policy", "rbac", "top", "webhook", "operator", "manifests")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@given(st.sampled_from(WORDS), st.data())
def test_one_slip_in_a_word_of_four_letters_or_more_is_near(word: str, data: st.DataObject) -> None:
    assume(len(word) > 3)
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from(LETTERS))
    swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    slips = (word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :], swapped)
    for slip in slips:
        assert near_words(slip, WORDS)[:1] == [word]


@given(st.text(LETTERS, max_size=60), st.lists(st.text(LETTERS, min_size=1, max_size=30), max_size=10))
def test_what_shares_no_letter_is_never_near(given: str, known: list[str]) -> None:
    apart = [word for word in known if not set(word) & set(given)]
    assert near_words(given, apart) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("scna",), "there is no command 'scna' (did you mean scan?)"),
        (("exlpain", "x"), "there is no command 'exlpain' (did you mean explain?)"),
        (("kubernetes",), "there is no command 'kubernetes' (iocaudit --help lists them)"),
        (("policy", "explian"), "there is no command 'explian' (did you mean explain?)"),
        (("rbac", "whocan"), "there is no command 'whocan' (did you mean who-can?)"),
        (("scan", "--severty", "high", "-"), "there is no option --severty (did you mean --severity?)"),
        (("scan", "--failon", "high", "-"), "there is no option --failon (did you mean --fail-on?)"),
        (("scan", "--out", "a", "-"), "there is no option --out (did you mean --output, --output-file?)"),
        (("checks", "--uset"), "there is no option --uset (did you mean --unset?)"),
    ],
)
def test_a_mistyped_word_is_answered_with_what_is_near(arguments: tuple[str, ...], said: str) -> None:
    code, _, errors = run(*arguments)
    assert (code, said in errors) == (2, True), errors


@pytest.mark.parametrize("option", ["--quiet", "--ignore-everything", "--timeout", "--x"])
def test_an_option_unlike_any_gets_no_suggestion(option: str) -> None:
    code, _, errors = run("scan", option, "-")
    assert (code, f"there is no option {option}\n" in errors) == (2, True), errors


def test_no_line_of_a_help_is_cut() -> None:
    for command in ((), ("policy",), ("rbac",), ("scan",), ("completion",)):
        code, said, _ = run(*command, "--help")
        assert code == 0
        assert not re.search(r"(?<!PATH)(?<!\[ARGS\])\.\.\.", said)
