"""How text for people looks where it goes: how wide, with or without colour."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple, TextIO

NARROWEST = 40
"""Nothing is wrapped to fewer columns than this, however narrow the terminal is."""


class Look(NamedTuple):
    """``width`` in columns, None where lines may have any length. ``verbose``: all that there is to say."""

    width: int | None = None
    colour: bool = False
    verbose: bool = False

    def paint(self, text: str, style: str) -> str:
        """The text in a style: the numbers of an SGR sequence, with ``;`` between."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and text else text


def look_of(stream: TextIO | None, color: str = "auto", *, verbose: bool = False) -> Look:
    """The look for a stream, None for a file. ``color`` is ``auto``, ``always`` or ``never``."""
    return Look(width_of(stream), wants_colour(stream, color, os.environ), verbose)


def wants_colour(stream: TextIO | None, color: str, environment: Mapping[str, str]) -> bool:
    """``--color`` decides; else NO_COLOR, then FORCE_COLOR (https://no-color.org), then whether it is a terminal."""
    if color != "auto" or stream is None:
        return color == "always"
    if environment.get("NO_COLOR"):
        return False
    if forced := environment.get("FORCE_COLOR"):
        return forced.lower() not in ("0", "false")
    return environment.get("TERM") != "dumb" and stream.isatty()


def width_of(stream: TextIO | None) -> int | None:
    """The columns of a terminal, or those that COLUMNS names; None for a pipe or a file, where nothing is wrapped."""
    if stream is None:
        return None
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdigit() and int(named):
        return max(int(named), NARROWEST)
    if not stream.isatty():
        return None
    try:
        found = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return max(found or 80, NARROWEST)


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrapped(text: str, width: int | None, *, first: str = "", indent: str = "") -> list[str]:
    """The text in lines of at most ``width`` columns, the first after ``first``, the others after ``indent``.

    A word that is longer than a line stays whole: a path is to be copied.
    """
    if width is None or cells(first) + cells(text) <= width:
        return [first + text]
    room = max(width, len(indent) + NARROWEST // 2) if indent else width
    lines, line, taken, begun = [], first, cells(first), False
    for word in text.split(" "):
        size = cells(word)
        if begun and taken + 1 + size > room:
            lines.append(line)
            line, taken = indent + word, cells(indent) + size
        elif begun:
            line, taken = f"{line} {word}", taken + 1 + size
        elif line.strip() and cells(line) > len(indent) and taken + size > room:
            lines.append(line.rstrip())
            line, taken, begun = indent + word, cells(indent) + size, True
        else:
            line, taken, begun = line + word, taken + size, True
    return [*lines, line]
