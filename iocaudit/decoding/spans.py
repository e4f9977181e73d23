"""Where the parts of a JSON text stand: by byte positions, without recursion, in time linear in its length.

The text may be one that a decoder refuses (too deep, lone surrogates, numbers without bounds) as long as its
brackets and strings are in order. Bytes inside strings may be any: those of UTF-8 never look like JSON's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Text = bytes | bytearray
"""What is read; a bytearray where it grew while it came in."""
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STRINGS = re.compile(_STRING, re.DOTALL)
_SCALAR = re.compile(rb'[^\s",:{}\[\]]++')
_SPACE = re.compile(rb"[ \t\r\n]*+")
_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL)


class BrokenTextError(ValueError):
    """The text ends too early, or its brackets, strings and separators are not in order."""


def start_of_value(data: Text, position: int = 0) -> int:
    """The position of the first byte that is not white space."""
    found = _SPACE.match(data, position)
    assert found is not None
    return found.end()


def end_of_value(data: Text, start: int) -> int:
    """The position after the value that begins at ``start``. Raises BrokenTextError."""
    first = data[start : start + 1]
    if first in (b"{", b"["):
        depth, position = 1, start + 1
        while depth:
            found = _TO_BRACKET.match(data, position)
            if found is None:
                raise BrokenTextError("it ends within a value")
            depth += 1 if found[1] in (b"{", b"[") else -1
            position = found.end()
        return position
    found = (_STRINGS if first == b'"' else _SCALAR).match(data, start)
    if found is None:
        raise BrokenTextError("a value is missing, or ends too early")
    return found.end()


def members(data: Text, start: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """The members of the object that begins at ``start``: each name as it is written, without its quotes, and where
    its value begins and ends. Raises BrokenTextError once it comes to something that is not in order."""
    for name, begin in _beginnings(data, start):
        yield name, begin, end_of_value(data, begin)


def _beginnings(data: Text, start: int) -> Iterator[tuple[bytes, int]]:
    position = start_of_value(data, _after(data, start, b"{"))
    if data[position : position + 1] == b"}":
        return
    while True:
        name = _STRINGS.match(data, position)
        if name is None:
            raise BrokenTextError("a member's name is missing")
        begin = start_of_value(data, _after(data, start_of_value(data, name.end()), b":"))
        yield name[0][1:-1], begin
        position = start_of_value(data, end_of_value(data, begin))
        if data[position : position + 1] == b"}":
            return
        position = start_of_value(data, _after(data, position, b","))


def opened_members(data: Text, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """Like ``members``, of a text that may be cut off: where each value begins, up to where the text ends."""
    try:
        yield from _beginnings(data, start)
    except BrokenTextError:
        return


def elements(data: Text, start: int) -> Iterator[tuple[int, int]]:
    """Where each element of the list that begins at ``start`` begins and ends. Raises BrokenTextError."""
    position = start_of_value(data, _after(data, start, b"["))
    if data[position : position + 1] == b"]":
        return
    while True:
        end = end_of_value(data, position)
        yield position, end
        position = start_of_value(data, end)
        if data[position : position + 1] == b"]":
            return
        position = start_of_value(data, _after(data, position, b","))


def _after(data: Text, position: int, expected: bytes) -> int:
    if data[position : position + 1] != expected:
        raise BrokenTextError(f"{expected.decode()} is missing")
    return position + 1
