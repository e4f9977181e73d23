"""The grammar of a hit's path, such as ``spec.template.spec.containers["app"].image``.

``.field`` is a field, ``["text"]`` is the list item of that name or the map key of that spelling
(backslash and double quote are escaped by a backslash), ``[3]`` is a list item by position.
Items are named where they have a name, so a path survives reordering.
"""

import re
from dataclasses import dataclass

from iocaudit.core.errors import PathSyntaxError


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a map, written bare."""

    name: str


@dataclass(frozen=True, slots=True)
class KeySegment:
    """The item of a list whose ``name`` this is, or the key of a map."""

    text: str


Segment = Field | KeySegment | int

_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_\-$]*")
_KEY = re.compile(r'\["((?:[^"\\]|\\.)*)"\]', re.DOTALL)
_INDEX = re.compile(r"\[(\d{1,9})\]")


def key(text: str) -> str:
    """``["text"]`` with backslash and double quote escaped."""
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{text}"]'


def field(prefix: str, name: str) -> str:
    """``prefix.name``, or ``prefix["name"]`` where the name is not a bare word."""
    if _BARE.fullmatch(name):
        return f"{prefix}.{name}" if prefix else name
    return prefix + key(name)


def parse(path: str) -> tuple[Segment, ...]:
    """The segments of a path; raises PathSyntaxError naming the position of the mistake."""
    segments: list[Segment] = []
    position = 0
    while position < len(path):
        if path[position] == "[":
            if match := _KEY.match(path, position):
                segments.append(KeySegment(re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL)))
            elif match := _INDEX.match(path, position):
                segments.append(int(match[1]))
            else:
                raise PathSyntaxError(f'at {position} of {path!r}: expected ["name"] or [number]')
        else:
            if segments:
                if path[position] != ".":
                    raise PathSyntaxError(f"at {position} of {path!r}: expected '.' or '['")
                position += 1
            match = _BARE.match(path, position)
            if not match:
                raise PathSyntaxError(f"at {position} of {path!r}: expected a field name")
            segments.append(Field(match[0]))
        position = match.end()
    return tuple(segments)
