"""One JSON value out of bytes that the API server may well have stored and sent as they are.

What Kubernetes keeps as raw bytes (``fieldsV1`` of ``managedFields``, RawExtension) and custom resources may nest
10,000 levels deep, hold lone surrogates, bytes that are not UTF-8, and numbers beyond any float: its own decoder
reads all of them (k8s.io/apimachinery, sigs.k8s.io/json, Go's encoding/json), so each reaches us.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.core.partial import PartialObject
from iocaudit.core.shape import Json
from iocaudit.decoding.spans import BrokenTextError, Text, end_of_value, members, opened_members, start_of_value

MOST_LEVELS: Final = 200
"""Levels of an object that are read: real ones have some 50 at most, and what walks them recurses."""
_ORJSON_LEVELS = 254  # what orjson writes at most; it reads 1024
_MOST_NAMED = 3
_TOKEN = re.compile(rb'([^"{}\[\],:]*+)("[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:])', re.DOTALL)
_ESCAPES = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
"""Any escape in a string; in the group one that is half of a pair alone."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LONGEST_NAME = 63
_IDENTITY = frozenset((b"apiVersion", b"kind"))
_METADATA = frozenset((b"name", b"generateName", b"namespace", b"uid", b"resourceVersion", b"labels"))


class NotJsonError(IocauditError):
    """The bytes are not JSON, or not the JSON value that was expected."""


def decode_object(data: Text) -> Json:
    """An object, as a PartialObject where something in it could not be read. Raises NotJsonError."""
    found = decode(data)
    if not isinstance(found, dict):
        raise NotJsonError("not a JSON object")
    return found


def decode(data: Text) -> Any:
    """A value of any shape, at most ``MOST_LEVELS`` deep; an object that is not whole is a PartialObject.

    ``managedFields`` may be missing where the text had to be cut: nothing here looks at them.
    """
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    else:
        if is_shallow(data, found):
            return found
    pruned, lacks = _pruned(data)
    found = _lenient(pruned)
    return PartialObject(found, "; ".join(lacks)) if lacks and isinstance(found, dict) else found


def is_shallow(data: Text, found: Any, *, wrappers: int = 0) -> bool:
    """Whether a decoded value has at most ``MOST_LEVELS`` levels, and ``wrappers`` around them.

    orjson writes 254 levels and no more, and writing is the cheapest walk there is.
    """
    # What opens fewer times than it may nest is shallow; counting is cheaper still.
    if data.count(b"{") + data.count(b"[") <= MOST_LEVELS - wrappers:
        return True
    for _ in range(_ORJSON_LEVELS - MOST_LEVELS - wrappers):
        found = [found]
    try:
        orjson.dumps(found)
    except orjson.JSONEncodeError:
        return False
    return True


def identity(data: Text, start: int = 0) -> Json:
    """What of an object's identity can be cut out of a text that need be neither whole nor in order."""
    found: Json = {}
    for name, begin in opened_members(data, start):
        if name in _IDENTITY:
            _take(found, name, data, begin)
        elif name == b"metadata":
            metadata: Json = {}
            for inner, at in opened_members(data, begin):
                if inner in _METADATA:
                    _take(metadata, inner, data, at)
            found["metadata"] = metadata
    return found


def _take(target: Json, name: bytes, data: Text, begin: int) -> None:
    try:
        target[name.decode()] = decode(data[begin : end_of_value(data, begin)])
    except (BrokenTextError, NotJsonError):
        return


def opened_value(data: Text, start: int, wanted: bytes) -> Any:
    """The value of a member of the object that begins at ``start``, whose text may be cut off; None without it."""
    for name, begin in opened_members(data, start):
        if name == wanted:
            try:
                return decode(data[begin : end_of_value(data, begin)])
            except (BrokenTextError, NotJsonError):
                return None
    return None


def object_at(data: Text, start: int, end: int) -> Json:
    """The object whose text stands there; nothing but its identity where it is not JSON."""
    try:
        return decode_object(data[start:end])
    except NotJsonError as error:
        return unreadable(data, start, error)


def unreadable(data: Text, start: int, why: object) -> PartialObject:
    """The object whose text begins at ``start``, with nothing but its identity."""
    return PartialObject(identity(data, start), f"it cannot be read: {why}")


def member_values(data: Text, start: int = 0) -> dict[bytes, tuple[int, int]]:
    """Where the values of an object's members stand; of equal names the last, as Go has it. Raises NotJsonError."""
    try:
        return {name: (begin, end) for name, begin, end in members(data, start_of_value(data, start))}
    except BrokenTextError as error:
        raise NotJsonError(str(error)) from error


def _lenient(data: Text) -> Any:
    """Decode what is shallow enough. What is not text reads as U+FFFD, as in Go."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    text = data.decode("utf-8", "replace")
    if "\\ud" in text or "\\uD" in text:
        text = _ESCAPES.sub(_paired, text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotJsonError(str(error)) from error


def _paired(found: re.Match[str]) -> str:
    return "\ufffd" if found[1] else found[0]


class _Level:
    """A list or object that is open while a text is walked. ``name`` is the member or the index it is at."""

    __slots__ = ("expects_name", "index", "is_list", "name")

    def __init__(self, is_list: bool) -> None:
        self.is_list = is_list
        self.index = 0
        self.name = b""
        self.expects_name = not is_list

    @property
    def place(self) -> str:
        if self.is_list:
            return f"[{self.index}]"
        written = self.name[1:-1].decode("utf-8", "replace")[:_LONGEST_NAME]
        return f".{written}" if _PLAIN_NAME.fullmatch(written) else f'["{written}"]'


def _pruned(data: Text) -> tuple[Text, list[str]]:
    """The text without ``managedFields`` and with null in place of what cannot be read; what that was, and why."""
    pieces: list[Text] = []
    lacks: list[str] = []
    stack: list[_Level] = []
    copied = position = omitted = 0

    def leave_out(begin: int, end: int, reason: str) -> None:
        nonlocal copied, omitted
        pieces.extend((data[copied:begin], b"null"))
        copied = end
        if reason:
            omitted += 1
            if omitted <= _MOST_NAMED:
                lacks.append(f"{''.join(level.place for level in stack).lstrip('.') or 'it'} {reason}")

    try:
        while (token := _TOKEN.match(data, position)) is not None:
            position = token.end()
            scalar, sign = token[1], token[2]
            if len(scalar) > 4 and _is_endless(scalar):
                leave_out(token.start(1), token.end(1), "is a number that is too large")
            top = stack[-1] if stack else None
            if sign in (b"{", b"["):
                cut = "" if _is_managed_fields(stack) else None
                if cut is None and len(stack) >= MOST_LEVELS:
                    cut = f"nests more than {MOST_LEVELS} levels deep"
                if cut is None:
                    stack.append(_Level(sign == b"["))
                else:
                    begin, position = position - 1, end_of_value(data, position - 1)
                    leave_out(begin, position, cut)
            elif sign in (b"}", b"]"):
                if top is None:
                    raise BrokenTextError("it closes more than it opens")
                stack.pop()
            elif top is None:
                break
            elif sign == b",":
                top.index += 1
                top.expects_name = not top.is_list
            elif sign == b":":
                top.expects_name = False
            elif top.expects_name:
                top.name = sign
    except BrokenTextError as error:
        raise NotJsonError(str(error)) from error
    if omitted > _MOST_NAMED:
        lacks.append(f"and {omitted - _MOST_NAMED} more")
    pieces.append(data[copied:])
    return b"".join(pieces), lacks


def _is_managed_fields(stack: list[_Level]) -> bool:
    return len(stack) >= 2 and stack[-1].name == b'"managedFields"' and stack[-2].name == b'"metadata"'


def _is_endless(scalar: bytes) -> bool:
    """Whether this is a number that no float holds: Go refuses those, where it looks at them at all."""
    text = scalar.strip()
    if len(text) <= 300 and b"e" not in text and b"E" not in text:
        return False
    try:
        return float(text) in (float("inf"), float("-inf"))
    except ValueError:
        return False
