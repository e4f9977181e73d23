"""JSON texts: one, or several one after another."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from iocaudit.sources.yaml_builder import MOST_DEPTH

MOST_BROKEN = 1000
"""After so many broken documents the rest of a file is given up, which is said."""


class JsonText(NamedTuple):
    """One value and the text it was read from, which starts on ``line``."""

    value: Any
    text: str
    line: int


class BrokenJson(NamedTuple):
    """A text that is not JSON, and why."""

    line: int
    reason: str


def read_json(text: str) -> Iterator[JsonText | BrokenJson]:
    """Every JSON text in order; after a broken one it goes on with the next line that starts with a brace."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        yield from _stream(text)  # several texts, or a broken one
    else:
        body = text.lstrip()
        yield _bounded(value, body, 1 + text.count("\n", 0, len(text) - len(body)))


def _stream(text: str) -> Iterator[JsonText | BrokenJson]:
    import json  # late: few files hold several texts or a broken one

    decode = json.JSONDecoder().raw_decode
    position, line, broken = 0, 1, 0
    while broken <= MOST_BROKEN:
        start = position
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
        line += text.count("\n", start, position)
        if position == len(text):
            return
        try:
            _, end = decode(text, position)
            piece = text[position:end]
            yield _bounded(orjson.loads(piece), piece, line)
        except (ValueError, RecursionError) as error:
            # orjson is stricter (no NaN, no lone surrogates), and names a position within the piece
            inside = text.count("\n", position, error.pos) if type(error) is json.JSONDecodeError else 0
            broken += 1
            yield BrokenJson(line + inside, _reason(error))
            end = text.find("\n{", position)
            if end < 0:
                return
        line += text.count("\n", position, end)
        position = end


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"nested more than {MOST_DEPTH} levels deep"
    message = getattr(error, "msg", None)  # that of a json.JSONDecodeError
    if message is None:
        return "a number that is too long"
    return "not UTF-8 text: save it as UTF-8" if "not valid UTF-8" in message else str(message)


def _bounded(value: Any, text: str, line: int) -> JsonText | BrokenJson:
    if text.count("{") + text.count("[") > MOST_DEPTH and _deeper_than(MOST_DEPTH, value):
        return BrokenJson(line, f"nested more than {MOST_DEPTH} levels deep")
    return JsonText(value, text, line)


def _deeper_than(limit: int, value: Any) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
