"""Text of the Common Expression Language, and of the regular expressions (RE2) in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_SET_META = re.compile(r"[\\^\[\]&~|]")
_TOKEN = re.compile(r"\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + "".join(_ESCAPES.get(c, c if c.isprintable() else _numbered(c)) for c in text) + "'"


def _numbered(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def pattern(regex: str) -> str:
    """A literal of a regular expression, which reads as it is written."""
    plain = "'" not in regex and regex.isprintable()
    return f"r'{regex}'" if plain else quoted(regex)


def literals(texts: Iterable[str]) -> str:
    """A list of string literals."""
    return "[" + ", ".join(map(quoted, texts)) + "]"


def keys(texts: Iterable[str]) -> str:
    """A map literal with these keys: to look one up costs next to nothing, however many there are."""
    return "{" + ", ".join(f"{quoted(text)}: true" for text in sorted(set(texts))) + "}"


def let(name: str, value: str, condition: str) -> str:
    """A condition that uses a value by name, so it is evaluated once."""
    return f"[{value}].exists({name}, {condition})"


def either_of(conditions: Iterable[str]) -> str:
    """Whether one of several conditions holds; in parentheses where there are several."""
    found = list(conditions)
    return found[0] if len(found) == 1 else "(" + " || ".join(found) + ")"


def exactly(text: str) -> str:
    """The regular expression of a text and nothing else."""
    return _META.sub(lambda match: "\\" + match[0], text)


def any_of(regexes: Iterable[str]) -> str:
    """One regular expression for all of them."""
    found = list(dict.fromkeys(regexes))
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"


def glob(text: str, any_run: str = ".*") -> str:
    """A pattern in which ``*`` stands for any run, and nothing else is special."""
    return any_run.join(map(exactly, text.split("*")))


def name_glob(text: str) -> str:
    """A glob as fnmatch reads it: ``*``, ``?``, ``[abc]``, ``[!abc]``."""
    return "".join(map(_glob_token, _TOKEN.findall(text)))


def _glob_token(token: str) -> str:
    if token == "*":
        return ".*"
    if token == "?":
        return "."
    if len(token) == 1:
        return exactly(token)
    inside = token[1:-1]
    negated, inside = ("^", inside[1:]) if inside.startswith("!") else ("", inside)
    escaped = _SET_META.sub(lambda match: "\\" + match[0], inside)
    return f"[{negated}{escaped}]"


def names_matching(names: Iterable[str]) -> str:
    """The anchored regular expression of names and globs."""
    return f"^{any_of([name_glob(name) for name in sorted(set(names))])}$"
