"""A document of ours read field by field: every mistake in it is collected, and named by its path.

What a reader does not know, it refuses. A misspelled field of an AuditPolicy or an IocWaiver would otherwise narrow
nothing, so what was written for one namespace would hold in all. In a cluster the schemas of the CRDs refuse the
same; a test compares them with what the readers know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, TypeVar

from iocaudit.core import paths
from iocaudit.core.errors import IocauditError
from iocaudit.core.partial import lacks_of
from iocaudit.core.shape import integer, mapping, text
from iocaudit.knowledge.clipping import clip

KnownFields = Mapping[str, frozenset[str]]
"""The fields of each map of a document, by the map's path: ``""`` is the document, ``spec.checks[]`` each item."""
PathWriter = Callable[[str], str]
"""Where the value at a path stands, as ``file:line``."""
_Word = TypeVar("_Word", bound=StrEnum)
LIST = "; `iocaudit checks` lists them"
_MOST = 20
"""How many mistakes an error lists."""
_LONGEST = 400
_LONGEST_NEAR = 100
"""Nothing is near to a longer word than this; comparing it would only take time."""


class FieldProblem(NamedTuple):
    """One mistake in a document."""

    path: str
    reason: str


class FieldProblems:
    """The mistakes in one document. ``subject`` is what messages call it, ``place`` where its parts stand."""

    def __init__(self, subject: str, place: PathWriter | None = None) -> None:
        self._subject, self._place = subject, place
        self._found: list[FieldProblem] = []
        self._more = 0

    def add(self, path: str, reason: str, hint: Callable[[], str] = str) -> None:
        """Note a mistake. ``hint`` ends the reason; it is asked only for mistakes that are listed."""
        if len(self._found) < _MOST:
            self._found.append(FieldProblem(path, reason + hint()))
        else:
            self._more += 1

    @property
    def count(self) -> int:
        """How many there are so far."""
        return len(self._found) + self._more

    def conclude(self, error: type[IocauditError]) -> None:
        """Raise the error with all of them, one a line; nothing where there is none."""
        if not self._found:
            return
        lines = [self._line(problem) for problem in self._found]
        if self._more:
            lines.append(f"{self._subject}: and {self._more} more")
        raise error("\n".join(lines))

    def _line(self, problem: FieldProblem) -> str:
        place = f"{self._place(problem.path)}: " if self._place is not None else ""
        path = f"{clip(problem.path)}: " if problem.path else ""
        line = f"{place}{self._subject}: {path}{problem.reason}"
        return clip("".join(character if character.isprintable() else " " for character in line), _LONGEST)


def begin(kind: str, raw: Mapping[str, Any], place: PathWriter | None) -> tuple[str, FieldProblems]:
    """The name of a document and the mistakes in it so far. In a file, where it has a ``place``, a name is required.

    A document of which a part could not be read is not read at all: the part may be what narrows it.
    """
    name = text(mapping(raw.get("metadata")).get("name"))
    problems = FieldProblems(f"{kind} {name or '(unnamed)'}", place)
    if not name and place is not None:
        problems.add("metadata.name", "is required")
    if lacks := lacks_of(raw):
        problems.add("", f"cannot be read whole: {lacks}")
    return name or "(unnamed)", problems


def nearest(given: object, known: Iterable[str], *, most: int = 1, otherwise: str = "") -> str:
    """``" (did you mean x?)"`` for a word that is near to a known one; ``otherwise`` for any other."""
    if not isinstance(given, str) or len(given) > _LONGEST_NEAR:
        return otherwise
    import difflib  # late: only mistakes need it

    spelled = {word.lower(): word for word in known}
    near = difflib.get_close_matches(given.lower(), spelled, n=most)
    return f" (did you mean {', '.join(spelled[word] for word in near)}?)" if near else otherwise


def label_selector(at: str) -> dict[str, frozenset[str]]:
    """The fields of a label selector at a path."""
    return {
        at: frozenset({"matchExpressions", "matchLabels"}),
        f"{at}.matchExpressions[]": frozenset({"key", "operator", "values"}),
    }


class LabelOperator(StrEnum):
    """How a label selector compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"

    @property
    def takes_values(self) -> bool:
        return self in (LabelOperator.IN, LabelOperator.NOT_IN)


class Fields:
    """One map of a document. Whatever is absent, or of a wrong type and noted, reads as None or empty.

    A field that is there without a value (null) is a mistake too: it reads like a narrowing and would not narrow.
    """

    __slots__ = ("_at", "_known", "_problems", "path", "raw")

    def __init__(self, raw: object, known: KnownFields, problems: FieldProblems, path: str = "", at: str = "") -> None:
        self.raw, self.path = mapping(raw), path
        self._known, self._at, self._problems = known, at, problems
        fields = known[at]
        if not isinstance(raw, dict):
            problems.add(path, "must be a map")
        for name in (name for name in self.raw if name not in fields):
            listed = f" (known: {', '.join(sorted(fields))})" if fields else ""
            self.wrong("there is no such field", name, hint=partial(nearest, name, fields, otherwise=listed))

    def path_of(self, *below: str | int) -> str:
        """The path of the map itself, or of what is below it: a field, an item of a field, …"""
        found = self.path
        for part in below:
            found = f"{found}[{part}]" if isinstance(part, int) else paths.field(found, str(part))
        return found

    def wrong(self, reason: str, *below: str | int, hint: Callable[[], str] = str) -> None:
        """Note a mistake in the map itself, or in what is below it."""
        self._problems.add(self.path_of(*below), reason, hint)

    def _unknown(self, given: object, known: Collection[str], *below: str | int) -> None:
        reason = f"{clip(repr(given))} is not one of {', '.join(known)}"
        self.wrong(reason, *below, hint=partial(nearest, given, known))

    def map(self, name: str, *, required: bool = False) -> Fields:
        """The map in a field; an empty one where it is absent."""
        value = self._value(name)
        if value is None and not (required and name not in self.raw):
            value = {}
        return Fields(value, self._known, self._problems, self.path_of(name), f"{self._at}.{name}".lstrip("."))

    def map_of(self, name: str, fields: Iterable[str]) -> Fields:
        """The map in a field, where what it may hold depends on others."""
        value = self._value(name)
        return Fields({} if value is None else value, {"": frozenset(fields)}, self._problems, self.path_of(name))

    def maps(self, name: str) -> list[Fields]:
        """The maps in a list."""
        at = f"{self._at}.{name}[]".lstrip(".")
        return [
            Fields(item, self._known, self._problems, self.path_of(name, index), at)
            for index, item in enumerate(self._list(name) or ())
        ]

    def values(self, name: str) -> list[Any]:
        """The items of a list, whatever they are."""
        return self._list(name) or []

    def value(self, name: str) -> Any:
        """What is in a field, whatever it is."""
        return self._value(name)

    def strings(self, name: str) -> tuple[str, ...] | None:
        """The strings in a list. None where it is absent: an empty list is something else."""
        found = self._list(name)
        if found is None:
            return None
        for index, item in enumerate(found):
            if not isinstance(item, str):
                self.wrong(f"must be a string, not {clip(repr(item))}", name, index)
        return tuple(item for item in found if isinstance(item, str))

    def words(self, name: str, known: Iterable[str]) -> frozenset[str]:
        """The strings in a list, each of which has to be known."""
        found, words = self.strings(name) or (), sorted(known)
        for index, item in enumerate(found):
            if item not in words:
                self._unknown(item, words, name, index)
        return frozenset(found)

    def patterns(
        self, name: str, grammar: re.Pattern[str], wanted: str, *, hint: Callable[[str], str] = lambda _: ""
    ) -> tuple[str, ...] | None:
        """The strings in a list, each of which has to follow a grammar. ``wanted`` says which, in words."""
        found = self.strings(name)
        for index, item in enumerate(found or ()):
            if not grammar.fullmatch(item):
                self.wrong(f"{clip(repr(item))} is not {wanted}", name, index, hint=partial(hint, item))
        return found

    def word(self, name: str, known: Collection[str], *, required: bool = False) -> str | None:
        """One of the known words."""
        value = self._value(name)
        if required and name not in self.raw:
            self.wrong(f"is required: one of {', '.join(known)}", name)
        if value is None or (isinstance(value, str) and value in known):
            return value
        self._unknown(value, known, name)
        return None

    def choice(
        self, name: str, words: type[_Word], *, required: bool = False, false: _Word | None = None
    ) -> _Word | None:
        """One word of an enumeration. ``false``: the word that YAML reads as false where it is not quoted."""
        if false is not None and self.raw.get(name) is False:
            return false
        found = self.word(name, [word.value for word in words], required=required)
        return None if found is None else words(found)

    def integer(self, name: str, lowest: int, highest: int) -> int | None:
        """An integer within bounds."""
        value = self._value(name)
        found = integer(value)
        if value is not None and found is None:
            self.wrong(f"{clip(repr(value))} is not an integer", name)
        elif found is not None and not lowest <= found <= highest:
            self.wrong(f"must be between {lowest} and {highest}", name)
        return found

    def flag(self, name: str) -> bool:
        """True or false; false where it is absent."""
        value = self._value(name)
        if value is not None and not isinstance(value, bool):
            self.wrong(f"{clip(repr(value))} is not true or false", name)
        return value is True

    def text(self, name: str, *, required: bool = False) -> str:
        """A string, which may not be blank if it is required."""
        value = self._value(name)
        if isinstance(value, str):
            if required and not value.strip():
                self.wrong("must not be empty", name)
            return value.strip() if required else value
        if value is not None:
            self.wrong(f"must be a string, not {clip(repr(value))}", name)
        elif required and name not in self.raw:
            self.wrong("is required", name)
        return ""

    def selector(self, name: str) -> tuple[Mapping[str, Any] | None, frozenset[str]]:
        """The label selector in a field, and the keys of the labels that it asks for."""
        if self._value(name) is None:
            return None, frozenset()
        selector = self.map(name)
        keys: set[str] = set()
        labels = selector._value("matchLabels")
        if labels is not None and not isinstance(labels, dict):
            selector.wrong("must be a map", "matchLabels")
        for key, value in mapping(labels).items():
            keys.add(str(key))
            if not isinstance(value, str):
                selector.wrong("must be a string", "matchLabels", key)
        for expression in selector.maps("matchExpressions"):
            keys.add(expression.text("key", required=True))
            operator = expression.choice("operator", LabelOperator, required=True)
            values = expression.strings("values")
            if operator is not None and operator.takes_values != bool(values):
                expression.wrong("values are given with In and NotIn, and only with them", "values")
        return selector.raw, frozenset(keys)

    def _value(self, name: str) -> Any:
        value = self.raw.get(name)
        if value is None and name in self.raw:
            self.wrong("has no value: give it one, or leave it out", name)
        return value

    def _list(self, name: str) -> list[Any] | None:
        value = self._value(name)
        if value is None or isinstance(value, list):
            return value
        self.wrong(f"must be a list, not {clip(repr(value))}", name)
        return None
