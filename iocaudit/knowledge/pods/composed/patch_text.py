"""A patch of a pod written as text inside an object, such as podSpecPatch of Argo Workflows: JSON, or plain YAML.

Read is the YAML that people write there: maps and lists by indentation or in brackets, scalars, literal blocks. What
goes beyond it (anchors, tags, folded blocks, text over several lines) is refused, never guessed, as core knows no
YAML library; a test holds what is read against one.
"""

from __future__ import annotations

import json
import re
from typing import Any

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json


class UnreadableTextError(IocauditError):
    """The text is not what this module reads; says why."""


_LONGEST = 100_000
_DEEPEST = 50
_MOST_DIGITS = 300
"""Python reads no longer ones without being told to; nor does any field of a pod."""
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?")
_ODD_NUMBER = re.compile(r"[-+]?\.?[0-9][0-9a-fA-FoxX_.:+\-]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|=|<<")
_WORDS: dict[str, Any] = {
    "~": None,
    **{form: value for word, value in (("null", None),) for form in (word, word.title(), word.upper())},
    **{
        form: value
        for words, value in ((("true", "yes", "on"), True), (("false", "no", "off"), False))
        for word in words
        for form in (word, word.title(), word.upper())
    },
}
_KEY = re.compile(r"""([A-Za-z_$][A-Za-z0-9_./$-]*|"[^"\\]*"|'[^']*')[ ]*:(?:[ ]+|$)""")
_FLOW_TEXT = re.compile(r"[^,\[\]{}:#?&*!|>%@`\"']+")
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*"')
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")


def read_patch(text: str) -> Json:
    """The map that a text is; raises UnreadableTextError. What is not YAML at all may be read as what it looks like."""
    if len(text) > _LONGEST:
        raise UnreadableTextError(f"it is longer than {_LONGEST} characters")
    if text.lstrip()[:1] == "{":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = _Reader(text).read()
    else:
        found = _Reader(text).read()
    if not isinstance(found, dict):
        raise UnreadableTextError("it is not a map")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        if re.search(r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]", text):
            raise UnreadableTextError("it holds a tab or another control character")
        self._lines = text.split("\n")
        self._at = 0
        self._depth = 0

    def read(self) -> Any:
        if (line := self._peek()) is not None and line.rstrip() == "---":
            self._at += 1
        first = self._peek()
        if first is None:
            return None
        value = self._block(_indent(first))
        if self._peek() is not None:
            raise self._bad("it is not indented like the line before it")
        return value

    def _bad(self, reason: str) -> UnreadableTextError:
        return UnreadableTextError(f"line {min(self._at + 1, len(self._lines))}: {reason}")

    def _peek(self) -> str | None:
        """The next line that says something, left standing."""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.strip() and not line.lstrip().startswith("#"):
                return line
            self._at += 1
        return None

    def _block(self, indent: int) -> Any:
        """The map, list or scalar whose first line stands at ``indent``."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._bad("it is nested too deeply")
        line = self._lines[self._at]
        content = line[indent:]
        if content.startswith("- ") or content.rstrip() == "-":
            value: Any = self._list(indent)
        elif _KEY.match(content):
            value = self._map(indent)
        else:
            self._lines[self._at] = ""
            value = self._value(content, indent - 1)
        self._depth -= 1
        return value

    def _map(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self._peek()) is not None and _indent(line) == indent:
            match = _KEY.match(line[indent:])
            if match is None:
                raise self._bad("expected a key")
            key = match[1].strip("\"'") if match[1][0] in "\"'" else match[1]
            if key in found or (match[1][0] not in "\"'" and key in _WORDS):
                raise self._bad("a key is given twice, or is not a string")
            rest = line[indent + match.end() :]
            self._lines[self._at] = ""
            found[key] = self._after(rest, indent, in_map=True)
        return found

    def _list(self, indent: int) -> list[Any]:
        found: list[Any] = []
        while (line := self._peek()) is not None and _indent(line) == indent:
            content = line[indent:]
            if not (content.startswith("- ") or content.rstrip() == "-"):
                break
            rest = content[1:]
            inner = rest.lstrip(" ")
            if inner and (_KEY.match(inner) or inner.startswith("- ") or inner.rstrip() == "-"):
                start = indent + 1 + len(rest) - len(inner)
                self._lines[self._at] = " " * start + inner
                found.append(self._block(start))
            else:
                self._lines[self._at] = ""
                found.append(self._after(inner, indent, in_map=False))
        return found

    def _after(self, rest: str, indent: int, *, in_map: bool) -> Any:
        """What follows a key or a dash: on the same line, or deeper on the next ones."""
        if rest.strip() and not rest.lstrip().startswith("#"):
            return self._value(rest, indent)
        line = self._peek()
        if line is None:
            return None
        deeper = _indent(line)
        same = in_map and deeper == indent and (line[indent:].startswith("- ") or line[indent:].rstrip() == "-")
        return self._block(deeper) if deeper > indent or same else None

    def _value(self, content: str, indent: int) -> Any:
        """A scalar, a bracket or a block; the line it starts on was taken."""
        content = content.strip(" ")
        head = content[0]
        if head == "|":
            return self._literal(content, indent)
        if _TEMPLATE.fullmatch(content):
            return content
        if head in "{[":
            return self._flow(content, indent)
        if head in "\"'":
            value, end = self._quoted(content, 0)
            rest = content[end:]
        else:
            value, rest = self._plain(content.partition(" #")[0], ": "), ""
        if rest.strip() and not re.match(" +#", rest):
            raise self._bad("something follows the quoted string")
        following = self._peek()
        if following is not None and _indent(following) > indent:
            raise self._bad("a string continues over several lines")
        return value

    def _quoted(self, text: str, at: int) -> tuple[str, int]:
        """The text in quotes that begins at a position, and the position behind it."""
        if text[at] == "'":
            if (match := _SINGLE.match(text, at)) is not None:
                return match[1].replace("''", "'"), match.end()
        elif (match := _DOUBLE.match(text, at)) is not None:
            try:
                value = json.loads(match[0])
            except ValueError:
                raise self._bad("an escape in a string is not known") from None
            if not re.search("[\ud800-\udfff]", value) and "\\/" not in match[0]:
                return value, match.end()
        raise self._bad("a quoted string does not end on its line")

    def _plain(self, text: str, ends: str) -> Any:
        text = text.rstrip(" ")
        if not text or (text[0] in "&*!|>@`%?,[]{}#\"'-:" and not re.match(r"-[^ ]", text)):
            raise self._bad("it uses more of YAML than is read here")
        if any(mark in text for mark in (ends, " #")) or text.endswith(":") or text in ("---", "..."):
            raise self._bad("a string needs quotes")
        if text in _WORDS:
            return _WORDS[text]
        if len(text) > _MOST_DIGITS and not text.strip("+-_.0123456789"):
            raise self._bad("a number is longer than any that means something")
        if _INT.fullmatch(text):
            return int(text.replace("_", ""))
        if _FLOAT.fullmatch(text):
            return float(text.replace("_", ""))
        if _ODD_NUMBER.fullmatch(text) and not re.fullmatch(r"[0-9]+(?:[a-f]|\.[0-9]+\.[0-9.]+)", text):
            raise self._bad("a number is written in an unusual way")
        return text

    def _literal(self, header: str, indent: int) -> str:
        if header not in ("|", "|-", "|+"):
            raise self._bad("it uses more of YAML than is read here")
        first = self._at = self._at + 1
        while first < len(self._lines) and not self._lines[first].strip():
            if self._lines[first]:
                raise self._bad("an empty line holds blanks")
            first += 1
        if first == len(self._lines) or (inner := _indent(self._lines[first])) <= indent:
            raise self._bad("a literal block is empty")
        inner = max(inner, 0)
        taken: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.strip() and _indent(line) < inner:
                break
            taken.append(line[inner:])
            self._at += 1
        if self._at == len(self._lines) and taken and not taken[-1]:
            taken.pop()
            ended = True
        else:
            ended = self._at < len(self._lines)
        body = "\n".join(taken) + ("\n" if ended else "")
        if header == "|+":
            return body
        stripped = body.rstrip("\n")
        return stripped + ("\n" if header == "|" and ended and stripped else "")

    def _flow(self, content: str, indent: int) -> Any:
        """Brackets, over as many lines as they take."""
        flow = _Flow(content, self, indent)
        value = flow.value()
        if flow.rest.strip() and not re.match(" +#", flow.rest):
            raise self._bad("something follows the brackets")
        return value

    def _more(self, text: str, indent: int) -> str:
        """The line with which brackets go on that began on the line ``text``."""
        line = self._peek()
        if line is None or _indent(line) <= indent or re.search("(^| )#", text):
            raise self._bad("brackets are not closed")
        self._lines[self._at] = ""
        return line.strip(" ")


class _Flow:
    """Brackets, line by line; nothing in them but the brackets themselves goes on with the next line."""

    def __init__(self, text: str, reader: _Reader, indent: int) -> None:
        self._text = text
        self._reader = reader
        self._indent = indent
        self._at = 0
        self._depth = 0

    @property
    def rest(self) -> str:
        """What stands behind them on their last line."""
        return self._text[self._at :]

    def _next(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] == " ":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            self._text, self._at = self._reader._more(self._text, self._indent), 0

    def value(self) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._reader._bad("it is nested too deeply")
        head = self._next()
        value = self._list() if head == "[" else self._map() if head == "{" else self._scalar()
        self._depth -= 1
        return value

    def _list(self) -> list[Any]:
        self._at += 1
        found: list[Any] = []
        while self._next() != "]":
            found.append(self.value())
            if self._next() == ",":
                self._at += 1
            elif self._next() != "]":
                raise self._reader._bad("expected a comma")
        self._at += 1
        return found

    def _map(self) -> dict[str, Any]:
        self._at += 1
        found: dict[str, Any] = {}
        while self._next() != "}":
            key = self._scalar()
            if self._next() != ":" or not isinstance(key, str) or key in found:
                raise self._reader._bad("expected a key that was not given before")
            self._at += 1
            if self._text[self._at : self._at + 1] not in (" ", ""):
                raise self._reader._bad("expected a blank after the colon")
            found[key] = None if self._next() in ",}" else self.value()
            if self._next() == ",":
                self._at += 1
            elif self._next() != "}":
                raise self._reader._bad("expected a comma")
        self._at += 1
        return found

    def _scalar(self) -> Any:
        head = self._next()
        if head in "\"'":
            value, self._at = self._reader._quoted(self._text, self._at)
            return value
        match = _FLOW_TEXT.match(self._text, self._at)
        if match is None:
            raise self._reader._bad("it uses more of YAML than is read here")
        self._at = match.end()
        if self._at < len(self._text) and self._text[self._at] not in ",]}:":
            raise self._reader._bad("a string needs quotes")
        return self._reader._plain(match[0], ": ")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
