"""Literal credentials, by their format or by the name they stand under. What was found is never repeated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from iocaudit.core.identity import fingerprint
from iocaudit.core.late_pattern import compiled
from iocaudit.core.wording import counted
from iocaudit.knowledge.credentials.formats import FORMAT_SIGNS, FORMATS
from iocaudit.knowledge.credentials.signs import OF_OPTIONS, holds_one, may_be_name

if TYPE_CHECKING:
    from iocaudit.knowledge.credentials.text import Literal

LONGEST = 256 * 1024
"""How many characters of a value are read; beyond, the caller has to say so."""


class Credential(NamedTuple):
    """What was found: the ``kind`` in words, how many characters it has, and the name it stood under."""

    kind: str
    length: int
    name: str = ""

    @property
    def words(self) -> str:
        under = f" under {self.name}" if self.name else ""
        return f"{self.kind} of {counted(self.length, 'character')}{under}"


def may_hold_format(text: str) -> bool:
    """False where ``by_format`` finds nothing in any part of a text: for asking about many values at once."""
    return holds_one(text, FORMAT_SIGNS)


_seen_without: set[int] = set()
"""The hashes of texts that hold no credential: the same pods and files come again and again."""
_MOST_SEEN = 1 << 16


def is_without(text: str, *, read_as: str) -> bool:
    """True where a text is known to hold no credential, neither of a format nor by a name or an option.

    ``read_as``: what it is taken for, as what is not a credential in one text may be one in another.
    """
    if hash((read_as, text)) in _seen_without:
        return True
    if holds_one(text, FORMAT_SIGNS) or may_be_name(text) or holds_one(text, OF_OPTIONS):
        return False
    remember_without(text, read_as=read_as)
    return True


def remember_without(text: str, *, read_as: str) -> None:
    """Let ``is_without`` answer for a text in which nothing was found."""
    if len(_seen_without) >= _MOST_SEEN:
        _seen_without.clear()
    _seen_without.add(hash((read_as, text)))


def by_format(value: str) -> Credential | None:
    """The credential whose format a text holds; None where there is none."""
    text = value[:LONGEST]
    found = _first(text)
    if found is None:
        return None
    kind, start, end = found
    return Credential(kind, len(text) if kind == "a private key" else end - start)


def _first(text: str) -> tuple[str, int, int] | None:
    """The kind of the first format that a text holds, and where."""
    if not may_hold_format(text):
        return None
    for form in FORMATS:
        found = form.search(text)
        while found is not None:
            if found.lastindex is None or _is_password(found[found.lastindex]):
                return form.kind, found.start(), found.end()
            found = compiled(form.pattern).search(text, found.end())
    return None


def _is_password(value: str) -> bool:
    from iocaudit.knowledge.credentials.names import NameStrength  # late: few scans meet a text that asks for it
    from iocaudit.knowledge.credentials.values import is_literal

    return is_literal(value, NameStrength.PASSWORD)


_harmless: set[str] = set()
"""Short texts that hold no credential: what is told of objects is told of thousands of them in the same words."""
_MOST_HARMLESS, _LONGEST_HARMLESS = 4096, 200


def _is_harmless(text: str) -> bool:
    if text in _harmless:
        return True
    if may_hold_format(text):
        return False
    if len(text) <= _LONGEST_HARMLESS:
        if len(_harmless) >= _MOST_HARMLESS:
            _harmless.clear()
        _harmless.add(text)
    return True


def redacted(text: str) -> str:
    """The text with every credential of a known format in it named in place of shown."""
    if _is_harmless(text):
        return text
    for form in FORMATS:
        match = form.search(text)
        if match is None:
            continue
        if form.kind == "a private key":  # what matches is its first line only
            text = f"{text[: match.start()]}({form.kind}, not shown)"
        else:
            text = compiled(form.pattern).sub(f"({form.kind}, not shown)", text)
    return text


def told_apart(value: str) -> str:
    """Evidence for a value that may hold a credential: what tells it from another, and nothing of itself."""
    return fingerprint("value", value)


def evidence_of(value: str) -> str:
    """The value as evidence: itself, unless it holds a credential of a known format."""
    return value if _is_harmless(value) or by_format(value) is None else told_apart(value)


def by_name(name: str, value: str) -> Credential | None:
    """A literal that stands under the name of a credential."""
    if not may_be_name(name):
        return None
    from iocaudit.knowledge.credentials.names import (  # late: few scans meet a name that asks for it
        NameStrength,
        standing,
    )

    of = standing(name)
    if of is NameStrength.NONE:
        return None
    from iocaudit.knowledge.credentials.values import is_literal

    bare = unquoted(value)
    return Credential("a literal", len(bare), name) if is_literal(bare, of) else None


def unquoted(value: str) -> str:
    """A value without the quotes around it, single or triple."""
    return value.strip().strip("\"'")


def in_text(value: str, *, argv: bool = False) -> Iterator[Credential]:
    """The credentials in a text of any kind: by format, by the names they stand under, in commands.

    ``argv``: it is one command with its arguments.
    """
    text = value[:LONGEST]
    read_as = "argv" if argv else "text"
    if is_without(text, read_as=read_as):
        return
    seen: set[Credential] = set()
    start, end = -1, -1
    if (found := _first(text)) is not None:
        kind, start, end = found
        yield Credential(kind, len(text) if kind == "a private key" else end - start)
    for literal in _literals(text, argv):
        if start <= literal.start < end:
            continue
        credential = Credential("a literal", literal.length, literal.name)
        if credential not in seen:
            seen.add(credential)
            yield credential
    if found is None and not seen:
        remember_without(text, read_as=read_as)


def _literals(text: str, argv: bool) -> Iterator[Literal]:
    if may_be_name(text):
        from iocaudit.knowledge.credentials.text import literals  # late: few scans meet a text that asks for it

        yield from literals(text, argv=argv)
    if holds_one(text, OF_OPTIONS):
        from iocaudit.knowledge.credentials.commands import in_commands

        yield from in_commands(text)
