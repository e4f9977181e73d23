"""A type is named by a noun for what it is, and no two types share a name."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("iocaudit", "admission", "checks", "devcluster")

SKIPPED = "Skipped"
"""The one participle: what was not evaluated is called so in every output."""

NOUNS = frozenset({"Binding", "Finding", "Heading", "Seed", "Setting", "Sighting", "String", "Warning", "Weakening"})
"""Words that end as participles do."""

_PARTICIPLES = """
    Begun Bent Bought Bound Brought Built Caught Chosen Cut Done Drawn Fed Found Given Gone Grown Held Hidden Kept Known
    Laid Left Lost Made Meant Met Paid Put Read Said Seen Sent Shown Spent Stood Taken Taught Thought Told Understood
    Unknown Unmet Unread Unseen Written
"""
_OTHERS = """
    Above After Again Alike Alone Aside Because Before Behind Below Beside Early Fresh Here Inside Late Later Lazy Near
    Only Open Outside Private Privileged Public Same Sure There Under Unfixable Unreadable Within Without
"""
NOT_NOUNS = frozenset(f"{_PARTICIPLES} {_OTHERS}".split())
"""Participles that do not end in -ed or -ing, and adverbs, prepositions and adjectives that stood for types once."""


@cache
def parsed() -> list[tuple[str, ast.Module]]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def types(tree: ast.Module) -> Iterator[str]:
    """Classes wherever they stand, and the aliases and type variables of the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        yield from (t.id for t in targets if isinstance(t, ast.Name) and re.fullmatch(r"_*[A-Z]\w*[a-z]\w*", t.id))


def is_noun(name: str) -> bool:
    """Whether a name may be one: names of several words are left to the reader."""
    word = name.strip("_")
    if re.search(r"[a-z][A-Z]", word) or word in NOUNS or word == SKIPPED:
        return True
    return word[:1].islower() or not (word in NOT_NOUNS or word.endswith(("ed", "ing")))


def test_no_two_public_types_share_a_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in parsed():
        for name in types(tree):
            if not name.startswith("_"):
                places[name].append(path)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_types_are_named_by_nouns() -> None:
    assert [f"{path}: {name}" for path, tree in parsed() for name in types(tree) if not is_noun(name)] == []


@pytest.mark.parametrize("name", ["Found", "Kept", "_Made", "Wanted", "_Lazy", "Waiting", "Because", "Serving"])
def test_a_participle_is_no_name(name: str) -> None:
    assert not is_noun(name)


@pytest.mark.parametrize("name", ["ReportedHit", "_MadeObject", "Binding", "Skipped", "Report", "IoC"])
def test_a_noun_is_a_name(name: str) -> None:
    assert is_noun(name)
