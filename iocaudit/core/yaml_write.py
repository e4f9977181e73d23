"""Values as YAML text, in the style of what stands around them."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

_BARE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = frozenset(("y", "yes", "true", "on", "n", "no", "false", "off", "null"))
"""What some spelling reads as other than a string, YAML 1.1 and 1.2 taken together."""
_ASTRAL = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")


class Style(NamedTuple):
    """How a document is written: the line break, columns a level, whether lists in maps are indented, JSON or YAML."""

    newline: str = "\n"
    step: int = 2
    indented_lists: bool = False
    json: bool = False


def scalar(text: str, style: Style = Style()) -> str:  # noqa: B008  immutable
    """A string: bare where it reads as itself, else in double quotes."""
    if not style.json and _BARE.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # JSON spells what lies beyond 16 bits as two surrogates, which YAML does not know; both take the character.
    return _ASTRAL.sub(lambda pair: json.loads(f'"{pair[0]}"'), json.dumps(text))


def inline(value: Any, style: Style = Style()) -> str:  # noqa: B008
    """A value on one line."""
    if isinstance(value, str):
        return scalar(value, style)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, style)}: {inline(item, style)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(item, style) for item in value) + "]"
    return json.dumps(value)


def entry_lines(key: str | None, value: Any, style: Style, column: int = 0) -> list[str]:
    """The lines of ``key: value``, or of ``- value`` where ``key`` is None, from ``column`` on."""
    pad = " " * column
    head = f"{pad}-" if key is None else f"{pad}{scalar(key)}:"
    if not isinstance(value, dict | list) or not value:
        return [f"{head} {inline(value)}"]
    if key is None:
        inner = value_lines(value, style, column + 2)
        return [f"{head} {inner[0][column + 2 :]}", *inner[1:]]
    deeper = style.step if isinstance(value, dict) or style.indented_lists else 0
    return [head, *value_lines(value, style, column + deeper)]


def value_lines(value: dict[str, Any] | list[Any], style: Style, column: int = 0) -> list[str]:
    """The lines of a map or list that is not empty, in block style."""
    entries = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    return [line for key, item in entries for line in entry_lines(key, item, style, column)]


def block(value: dict[str, Any] | list[Any]) -> str:
    """A whole text in block style."""
    return "\n".join(value_lines(value, Style())) + "\n"
