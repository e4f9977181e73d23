"""What a page is made of, whatever it is printed as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Span(NamedTuple):
    """A piece of a line. ``prose`` is text of ours in which backticks mark code; ``plain`` and ``code`` are literal.

    ``link`` is an address, or a path relative to the page it stands on.
    """

    text: str
    style: Literal["prose", "plain", "code"] = "prose"
    link: str | None = None


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    line: Line


@dataclass(frozen=True, slots=True)
class Paragraph:
    line: Line


@dataclass(frozen=True, slots=True)
class Items:
    """A list without an order."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Without titles in its header it is a list of facts: a name and what is so."""

    header: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A manifest in YAML."""

    text: str


Block = Heading | Paragraph | Items | Grid | Source


def prose(text: str) -> Line:
    return (Span(text),)


def code(text: str, link: str | None = None) -> Line:
    return (Span(text, "code", link),)


def joined(lines: list[Line] | tuple[Line, ...], by: str = ", ") -> Line:
    """One line of several."""
    found: list[Span] = []
    for line in lines:
        if found:
            found.append(Span(by, "plain"))
        found += line
    return tuple(found)
