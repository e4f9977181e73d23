"""What a test expects of an answer: read from its map, and compared with what was answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import Fields, KnownFields, nearest
from iocaudit.engine.languages.rule_fields import near_check, no_check
from iocaudit.impact.policy_tests.model import CheckExpectation, Expectation, TextExpectation, VerdictWord
from iocaudit.judging.wording import OBJECT
from iocaudit.knowledge.clipping import clip

CHECK_PARTS = ("denied", "warned", "recorded", "waived", "spared", "skipped", "faults")
"""The parts of an answer that name checks, in the order in which they are told."""
TEXT_PARTS = ("message", "warnings")
_ALWAYS_EXPECTED = ("skipped", "faults")
"""What has to be expected wherever it occurs: what was not evaluated proves nothing."""
_NOTHING = "expects nothing: such a test cannot fail"
_OF_CHECKS = frozenset({"exactly", "exclude", "include"})
_OF_TEXTS = frozenset({"contains", "lacks", "matches"})


def known_fields(at: str) -> KnownFields:
    """The fields of the map at a path that says what is expected."""
    return {
        at: frozenset({"verdict", *CHECK_PARTS, *TEXT_PARTS}),
        **{f"{at}.{part}": _OF_CHECKS for part in CHECK_PARTS},
        **{f"{at}.{part}": _OF_TEXTS for part in TEXT_PARTS},
    }


def read_expectation(owner: Fields, catalogue: Catalogue) -> Expectation | None:
    """What ``expect`` of a test or a case says: a word, several words or a map. None where it is not there.

    One that says nothing is a mistake: such a test cannot fail.
    """
    value = owner.value("expect")
    if value is None:
        return None
    if isinstance(value, str | list):
        return Expectation(_verdicts(owner, "expect"))
    fields = owner.map("expect")
    found = Expectation(
        _verdicts(fields, "verdict"),
        tuple(filter(None, (_checks(fields, part, catalogue) for part in CHECK_PARTS if part in fields.raw))),
        tuple(filter(None, (_texts(fields, part) for part in TEXT_PARTS if part in fields.raw))),
    )
    if isinstance(value, dict) and not value:
        owner.wrong(_NOTHING, "expect")
    return found


def _verdicts(fields: Fields, name: str) -> frozenset[VerdictWord]:
    """The words in a field, one or a list: any of them will do."""
    value = fields.value(name)
    if not isinstance(value, list):
        word = _verdict(fields, value, name) if value is not None else None
        return frozenset({word} if word else ())
    if not value:
        fields.wrong(_NOTHING, name)
    found = frozenset(filter(None, (_verdict(fields, word, name, index) for index, word in enumerate(value))))
    if len(found) == len(VerdictWord):
        fields.wrong("takes every answer: such a test cannot fail", name)
    return found


def _verdict(fields: Fields, value: Any, *below: str | int) -> VerdictWord | None:
    words = [word.value for word in VerdictWord]
    if value in words and isinstance(value, str):
        return VerdictWord(value)
    reason = f"{clip(repr(value))} is not one of {', '.join(words)}"
    fields.wrong(reason, *below, hint=partial(nearest, value, words))
    return None


def _checks(fields: Fields, part: str, catalogue: Catalogue) -> CheckExpectation | None:
    value = fields.value(part)
    if isinstance(value, list):
        return CheckExpectation(part, include=_ids(fields, part, part, catalogue, may_be_empty=False))
    if value is None:
        return None
    given = fields.map(part)
    if isinstance(value, dict) and not _OF_CHECKS.intersection(given.raw):
        given.wrong("expects nothing: give exactly, include or exclude")
    exactly = _ids(given, "exactly", part, catalogue, may_be_empty=True) if "exactly" in given.raw else None
    include, exclude = (
        _ids(given, name, part, catalogue, may_be_empty=name not in given.raw) for name in ("include", "exclude")
    )
    if exactly is not None and (include or exclude):
        given.wrong("exactly says it all: leave out include and exclude", "exactly")
    for both in sorted(include & exclude):
        given.wrong(f"{both} is expected and not expected", "exclude")
    return CheckExpectation(part, exactly, include, exclude)


def _ids(fields: Fields, name: str, part: str, catalogue: Catalogue, *, may_be_empty: bool) -> frozenset[str]:
    """The ids of the checks in a list; an alias stands for its check."""
    found = set[str]()
    given = fields.strings(name)
    if given is not None and not given and not may_be_empty:
        fields.wrong(_NOTHING, name)
    for index, word in enumerate(given or ()):
        check = catalogue.find(word)
        if check is not None:
            found.add(check.id)
            if check.audit_only:
                fields.wrong(f"{check.id} runs in audits alone: no request is answered by it", name, index)
        elif word == OBJECT and part in _ALWAYS_EXPECTED:
            found.add(word)
        else:
            fields.wrong(no_check(word), name, index, hint=partial(near_check, word, catalogue.names))
    return frozenset(found)


def _texts(fields: Fields, part: str) -> TextExpectation | None:
    value = fields.value(part)
    if value is None:
        return None
    if isinstance(value, str | list):
        return TextExpectation(part, contains=_words(fields, part))
    given = fields.map(part)
    if isinstance(value, dict) and not _OF_TEXTS.intersection(given.raw):
        given.wrong("expects nothing: give contains, matches or lacks")
    patterns = []
    for index, pattern in enumerate(_words(given, "matches")):
        try:
            patterns.append(re.compile(pattern))
        except (re.error, RecursionError, OverflowError) as error:
            given.wrong(f"{clip(repr(pattern))} is not a regular expression: {error}", "matches", index)
            continue
        if pattern and patterns[-1].search(""):
            reason = f"{clip(repr(pattern))} is found in every text, an empty one too: such a test cannot fail"
            given.wrong(reason, "matches", index)
    return TextExpectation(part, _words(given, "contains"), tuple(patterns), _words(given, "lacks"))


def _words(fields: Fields, name: str) -> tuple[str, ...]:
    """One string, or the strings in a list; none of them empty, as that is in every text."""
    value = fields.value(name)
    if value is None:
        return ()
    found = (fields.text(name),) if isinstance(value, str) else fields.strings(name) or ()
    if not found or not all(found):
        fields.wrong(_NOTHING, name)
    return found


class ComparedAnswer(NamedTuple):
    """What was answered. ``checks`` has the ids of each part, ``told`` those that the answer names of it.

    A hit that another implies is not named: anyone who mends the other mends it.
    """

    outcome: VerdictWord
    message: str
    warnings: tuple[str, ...]
    checks: Mapping[str, frozenset[str]]
    told: Mapping[str, frozenset[str]]


class Mismatch(NamedTuple):
    """What was expected and is not so. ``why`` says line by line how it came to that."""

    part: str
    expected: str
    got: str
    why: tuple[str, ...] = ()


Explain = Callable[[str, str], Iterable[str]]
"""Why a check is, or is not, in a part of the answer."""


def mismatches(expected: Expectation, answer: ComparedAnswer, explain: Explain) -> list[Mismatch]:
    """All that is not as expected, the verdict first."""
    found = list(_of_verdict(expected, answer, explain))
    told = {one.part for one in expected.checks}
    for one in expected.checks:
        found += _of_checks(one, answer, explain)
    for part in _ALWAYS_EXPECTED:
        if part not in told:
            found += _of_checks(CheckExpectation(part, exactly=frozenset()), answer, explain)
    for text in expected.texts:
        found += _of_texts(text, answer)
    return found


def _of_verdict(expected: Expectation, answer: ComparedAnswer, explain: Explain) -> Iterator[Mismatch]:
    if expected.verdicts and answer.outcome not in expected.verdicts:
        words = " or ".join(word.value for word in VerdictWord if word in expected.verdicts)
        lines = answer.message.splitlines() if answer.outcome is VerdictWord.DENY else answer.warnings
        wanted = sorted({check for one in expected.checks for check in (*one.include, *(one.exactly or ()))})
        why = tuple(lines) if lines or wanted else tuple(explain("", "denied"))
        yield Mismatch("verdict", words, answer.outcome.value, why)


def _of_checks(expected: CheckExpectation, answer: ComparedAnswer, explain: Explain) -> Iterator[Mismatch]:
    part = expected.part
    got, told = answer.checks[part], answer.told[part]
    if expected.exactly is not None:
        lacking, surplus = expected.exactly - got, told - expected.exactly
        wanted = _listed(expected.exactly)
    else:
        lacking, surplus = expected.include - got, expected.exclude & got
        if part in _ALWAYS_EXPECTED:
            surplus |= got - expected.include
        wanted = " and ".join(
            filter(
                None,
                (
                    f"with {_listed(expected.include)}" if expected.include else "",
                    f"without {_listed(expected.exclude)}" if expected.exclude else "",
                ),
            )
        )
    if lacking or surplus:
        why = [line for check in sorted(lacking | surplus) for line in explain(check, part)]
        yield Mismatch(part, wanted, _listed(got), tuple(why))


def _of_texts(expected: TextExpectation, answer: ComparedAnswer) -> Iterator[Mismatch]:
    texts = (answer.message,) if expected.part == "message" else answer.warnings
    got = "\n".join(texts) or "nothing is said"
    for words in expected.contains:
        if not any(words in text for text in texts):
            yield Mismatch(expected.part, f"contains {words!r}", got)
    for pattern in expected.matches:
        if not any(pattern.search(text) for text in texts):
            yield Mismatch(expected.part, f"matches {pattern.pattern!r}", got)
    for words in expected.lacks:
        if any(words in text for text in texts):
            yield Mismatch(expected.part, f"lacks {words!r}", got)


def _listed(checks: Iterable[str]) -> str:
    return ", ".join(sorted(checks)) or "none"
