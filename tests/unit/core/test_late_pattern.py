"""Patterns that are compiled when they are first asked: none that nobody asks may be broken."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import iocaudit.knowledge
from iocaudit.core.late_pattern import LatePattern, late


def _patterns() -> Iterator[tuple[str, LatePattern]]:
    for module in pkgutil.walk_packages(iocaudit.knowledge.__path__, "iocaudit.knowledge."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, LatePattern):
                yield f"{module.name}.{name}", value


def test_every_pattern_compiles() -> None:
    found = dict(_patterns())
    assert len(found) > 70
    for name, pattern in found.items():
        assert isinstance(pattern.pattern, str), name


def test_it_answers_as_the_compiled_one_does() -> None:
    text, pattern, flags = "a1 B2\nb3", r"^([ab])(\d)", re.IGNORECASE | re.MULTILINE
    ours, theirs = late(pattern, flags), re.compile(pattern, flags)
    for _ in range(2):
        assert ours.findall(text) == theirs.findall(text)
        assert ours.sub(r"\2\1", text) == theirs.sub(r"\2\1", text)
        assert ours.split(text) == theirs.split(text)
        first = ours.match(text)
        assert first is not None
        assert first.groups() == ("a", "1")
        assert (ours.pattern, ours.flags, ours.groups) == (theirs.pattern, theirs.flags, theirs.groups)
    assert late("b").fullmatch("ab") is None


def test_it_has_nothing_else() -> None:
    with pytest.raises(AttributeError):
        late("a").unknown  # type: ignore[attr-defined]  # noqa: B018


def test_a_broken_one_says_so_when_it_is_asked() -> None:
    broken = late("(")
    with pytest.raises(re.error):
        broken.search("")
