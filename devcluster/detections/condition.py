"""Falco's conditions: the grammar of Falco 0.42 read into a tree, and the tree judged on the fields of one event.

The reader takes and refuses what Falco's own does, which reads without tokens: ``or(`` and ``not(`` need no blank, and
what ends a bare string depends on where it stands. What came later (``oneof``, ``join()``) is refused.
Source: falcosecurity/libs 0.22.1, userspace/libsinsp/filter/parser.cpp and escaping.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_BLANKS = " \t\b\r\n"
_NOT = re.compile(r"not[ \t\n\v\f\r]+")
_IDENTIFIER = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*")
_FIELD = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*(?:\.[a-zA-Z]+[a-zA-Z0-9_]*)+")
_ARGUMENT = re.compile(r"[^\]\[\"' \t\n\v\f\r]+")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]+")
_NUMBER = re.compile(r"[+\-]?[0-9]+\.?[0-9]*(?:[eE][+\-][0-9]+)?")
_BARE = re.compile(r"[^()\"' \t\n\v\f\r=,]+")
_NUMERIC = ("<=", "<", ">=", ">")
_TEXTUAL: tuple[str, ...] = (
    "==",
    "=",
    "!=",
    "glob",
    "iglob",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
)
_TEXTUAL += ("endswith", "regex")
_LISTED = ("intersects", "in", "pmatch")
_TRANSFORMERS = ("tolower", "toupper", "b64", "basename", "len")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", " ": "\\", "\\": "\\", "/": "/"}
_DEEPEST = 19
"""Groups within groups: later versions of Falco refuse more than 100 steps of their reader, and a group is five."""


class ConditionError(ValueError):
    """A condition that Falco refuses; says at which character, counted from 1, and what it expects there."""


@dataclass(frozen=True, slots=True)
class EventField:
    """A field, as ``proc.aname[2]``, with what is done to its value, the outermost first."""

    name: str
    argument: str | None = None
    transformers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with values. ``named`` is where a bare word stands for a list; a field may stand for values."""

    field: EventField
    operator: str
    values: tuple[str, ...] = ()
    other: EventField | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class MacroName:
    """A condition that is called by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by ``and``, ``or``, or one that is turned round by ``not``."""

    operator: str
    parts: tuple[RuleCondition, ...]


RuleCondition = Comparison | MacroName | Junction


def read_condition(text: str) -> RuleCondition:
    """The tree of a condition. Raises ConditionError where Falco refuses it."""
    return _Reader(text).whole()


def walk(condition: RuleCondition) -> Iterator[Comparison | MacroName]:
    """What a condition consists of, from left to right."""
    if isinstance(condition, Junction):
        for part in condition.parts:
            yield from walk(part)
    else:
        yield condition


class _Reader:
    def __init__(self, text: str) -> None:
        # Falco's reader takes a NUL for the end.
        self._text = text.partition("\0")[0] if "\0" in text else text
        self._whole = len(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> RuleCondition:
        if not self._whole:
            raise self._refused("a condition")
        found = self._any()
        if self._at != self._whole:
            raise self._refused("'or', 'and', or the end")
        return found

    def _refused(self, expected: str) -> ConditionError:
        near = self._text[self._at : self._at + 20]
        return ConditionError(f"character {self._at + 1}: expected {expected}, found {near!r}")

    def _blank(self) -> bool:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] in _BLANKS:
            self._at += 1
        return self._at > start

    def _take(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _any(self) -> RuleCondition:
        return self._joined("or")

    def _joined(self, word: str) -> RuleCondition:
        part = self._all if word == "or" else self._negated
        self._blank()
        parts = [part()]
        self._blank()
        while self._take(word):
            if self._blank():
                parts.append(part())
            elif self._take("("):
                parts.append(self._group())
            else:
                raise self._refused(f"a blank or '(' after {word!r}")
            self._blank()
        return Junction(word, tuple(parts)) if len(parts) > 1 else parts[0]

    def _all(self) -> RuleCondition:
        return self._joined("and")

    def _negated(self) -> RuleCondition:
        turned = False
        self._blank()
        while self._match(_NOT) is not None:
            turned = not turned
        if self._take("not("):
            turned, found = not turned, self._group()
        else:
            found = self._check()
        return Junction("not", (found,)) if turned else found

    def _group(self) -> RuleCondition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refused(f"at most {_DEEPEST} groups within each other")
        self._blank()
        found = self._any()
        self._blank()
        if not self._take(")"):
            raise self._refused("')'")
        self._depth -= 1
        return found

    def _check(self) -> RuleCondition:
        self._blank()
        if self._take("("):
            return self._group()
        name = self._match(_FIELD)
        if name is not None:
            return self._comparison(self._with_argument(name))
        if (transformed := self._transformed()) is not None:
            return self._comparison(transformed)
        word = self._match(_IDENTIFIER)
        if word is None:
            raise self._refused("'(', a field, or the name of a macro")
        return MacroName(word)

    def _with_argument(self, name: str, transformers: tuple[str, ...] = ()) -> EventField:
        if not self._take("["):
            return EventField(name, None, transformers)
        argument = self._quoted()
        if argument is None:
            argument = self._match(_ARGUMENT)
        if argument is None:
            raise self._refused("an argument of the field")
        if not self._take("]"):
            raise self._refused("']'")
        return EventField(name, argument, transformers)

    def _transformed(self) -> EventField | None:
        """A field in transformers: ``basename(tolower(proc.exe))``."""
        transformers: list[str] = []
        while name := next((one for one in _TRANSFORMERS if self._take(f"{one}(")), ""):
            transformers.append(name)
            self._blank()
            if len(transformers) > _DEEPEST:
                raise self._refused("fewer transformers")
        if not transformers:
            return None
        return self._closed(tuple(transformers))

    def _closed(self, transformers: tuple[str, ...]) -> EventField:
        name = self._match(_FIELD)
        if name is None:
            raise self._refused("a field")
        found = self._with_argument(name, transformers)
        for _ in transformers:
            self._blank()
            if not self._take(")"):
                raise self._refused("')' behind a transformer")
        return found

    def _other(self) -> EventField | None:
        """A field on the right-hand side."""
        self._blank()
        if self._take("val("):
            self._blank()
            return self._closed(("val",))
        return self._transformed()

    def _comparison(self, field: EventField) -> RuleCondition:
        self._blank()
        if self._take("exists"):
            return Comparison(field, "exists")
        if (operator := next((one for one in _NUMERIC if self._take(one)), None)) is not None:
            return self._against(field, operator, self._number)
        if (operator := next((one for one in _TEXTUAL if self._word(one)), None)) is not None:
            return self._against(field, operator, self._string)
        if (operator := next((one for one in _LISTED if self._take(one)), None)) is not None:
            return self._listed(field, operator)
        raise self._refused("an operator")

    def _word(self, operator: str) -> bool:
        """An operator that is a word needs a blank behind it."""
        start = self._at
        if self._take(operator) and (not operator.isalpha() or self._blank()):
            return True
        self._at = start
        return False

    def _against(self, field: EventField, operator: str, value: Callable[[], str]) -> Comparison:
        other = self._other()
        if other is not None:
            return Comparison(field, operator, other=other)
        return Comparison(field, operator, (value(),))

    def _number(self) -> str:
        found = self._match(_HEXADECIMAL)
        found = self._match(_NUMBER) if found is None else found
        if found is None:
            raise self._refused("a number, or a field in a transformer")
        return found

    def _string(self) -> str:
        self._blank()
        found = self._quoted()
        found = self._match(_BARE) if found is None else found
        if found is None:
            raise self._refused("a value")
        return found

    def _listed(self, field: EventField, operator: str) -> Comparison:
        self._blank()
        if self._take("("):
            values: list[str] = []
            self._blank()
            if not self._text.startswith(")", self._at):
                values.append(self._string())
                self._blank()
                while self._take(","):
                    values.append(self._string())
                    self._blank()
            if not self._take(")"):
                raise self._refused("',' or ')' in a list")
            return Comparison(field, operator, tuple(values))
        other = self._other()
        if other is not None:
            return Comparison(field, operator, other=other)
        name = self._match(_IDENTIFIER)
        if name is None:
            raise self._refused("a list, the name of one, or a field in a transformer")
        return Comparison(field, operator, (name,), named=True)

    def _quoted(self) -> str | None:
        quote = self._text[self._at : self._at + 1]
        if quote not in ("'", '"') or not quote:
            return None
        end = self._at + 1
        while end < len(self._text) and (self._text[end] != quote or self._text[end - 1] == "\\"):
            end += 1
        if end >= len(self._text):
            return None
        inner, self._at = self._text[self._at + 1 : end], end + 1
        return self._unescaped(inner, quote)

    def _unescaped(self, inner: str, quote: str) -> str:
        def plain(found: re.Match[str]) -> str:
            escaped = found[1]
            if escaped == quote:
                return quote
            if escaped not in _ESCAPES:
                raise self._refused(f"an escape that Falco knows, not \\{escaped}, in the string that ends here")
            return _ESCAPES[escaped]

        return re.sub(r"\\(.)", plain, inner, flags=re.DOTALL)
