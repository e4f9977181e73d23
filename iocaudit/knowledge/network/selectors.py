"""Selectors of labels, compiled once and asked often, and an index over many of them.

Source: LabelSelector of meta/v1 (matchLabels and matchExpressions, all of which must hold).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from iocaudit.core.shape import Labels, text

Anchor = tuple[str, frozenset[str] | None]
"""A label, with the values one of which it must have (None: any)."""
Anchors = tuple[Anchor, ...] | None
"""Conditions at least one of which must hold for a selector to match; None where there are none to go by."""

T = TypeVar("T")


class Selector(Protocol):
    """Which labels match."""

    @property
    def anchors(self) -> Anchors:
        """What an index can find it by."""

    @property
    def keys(self) -> frozenset[str]:
        """The labels it speaks of."""

    def matches(self, labels: Labels) -> bool: ...

    def matches_all(self, known: Labels) -> bool:
        """Whether everything matches that has these labels, whatever others it has."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; without an operator it stands for an invalid one, which never holds."""

    key: str
    operator: str
    values: frozenset[str]

    def holds(self, labels: Labels) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return False


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @property
    def anchors(self) -> Anchors:
        present = None
        for requirement in self.requirements:
            if requirement.operator == "In":
                return ((requirement.key, requirement.values),)
            if requirement.operator == "Exists":
                present = requirement.key
        return ((present, None),) if present is not None else None

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(requirement.key for requirement in self.requirements)

    def matches(self, labels: Labels) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)

    def matches_all(self, known: Labels) -> bool:
        return all(requirement.key in known and requirement.holds(known) for requirement in self.requirements)


EVERYTHING = LabelSelector()


@dataclass(frozen=True, slots=True)
class EmptySelector:
    """Selects nothing: what an unusable selector amounts to, with the reason."""

    reason: str

    @property
    def anchors(self) -> Anchors:
        return ()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset()

    def matches(self, labels: Labels) -> bool:  # noqa: ARG002  the protocol's signature
        return False

    def matches_all(self, known: Labels) -> bool:  # noqa: ARG002  the protocol's signature
        return False


def read_label_selector(raw: object) -> LabelSelector:
    """Compile a LabelSelector; an empty or absent one matches everything, what the API server refuses nothing."""
    if raw is None:
        return EVERYTHING
    if not isinstance(raw, dict):
        return LabelSelector((_INVALID,))
    return LabelSelector(tuple(_requirements(raw)))


def read_labels(raw: Mapping[str, object]) -> Labels:
    """An object's labels. A null decodes to an empty value; what is not a string is not a label."""
    return {key: text(value) for key, value in raw.items() if isinstance(value, str) or value is None}


_INVALID = Requirement("", "", frozenset())
_TAKES_VALUES = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}


def _requirements(raw: Mapping[str, object]) -> Iterator[Requirement]:
    wanted, expressions = raw.get("matchLabels"), raw.get("matchExpressions")
    if not isinstance(wanted, dict | None) or not isinstance(expressions, list | None):
        yield _INVALID
        return
    for key, value in (wanted or {}).items():
        if isinstance(value, str) or value is None:
            yield Requirement(str(key), "In", frozenset({text(value)}))
        else:
            yield _INVALID
    for expression in expressions or ():
        yield _requirement(expression) if isinstance(expression, dict) else _INVALID


def _requirement(raw: Mapping[str, object]) -> Requirement:
    key, operator, values = text(raw.get("key")), text(raw.get("operator")), raw.get("values")
    if not key or not isinstance(values, list | None) or _TAKES_VALUES.get(operator) is not bool(values):
        return _INVALID
    if any(not isinstance(value, str) and value is not None for value in values or ()):
        return _INVALID
    return Requirement(key, operator, frozenset(map(text, values or ())))


class SelectorIndex(Generic[T]):
    """Items by the anchors of their selectors, so labels are compared with few of many selectors."""

    def __init__(self, items: Iterable[tuple[Selector, T]] = ()) -> None:
        self._by_value: dict[tuple[str, str], list[tuple[Selector, T]]] = {}
        self._by_key: dict[str, list[tuple[Selector, T]]] = {}
        self._rest: list[tuple[Selector, T]] = []
        self._keys: set[str] = set()
        for selector, item in items:
            self.add(selector, item)

    def add(self, selector: Selector, item: T) -> None:
        anchors = selector.anchors
        if anchors is None:
            self._rest.append((selector, item))
            return
        for key, values in anchors:
            self._keys.add(key)
            if values is None:
                self._by_key.setdefault(key, []).append((selector, item))
            else:
                for value in values:
                    self._by_value.setdefault((key, value), []).append((selector, item))

    def matching(self, labels: Labels) -> list[T]:
        """The items whose selectors match, each once, in no particular order."""
        found = {id(item): item for selector, item in self._rest if selector.matches(labels)}
        for key in self._keys if len(self._keys) < len(labels) else labels:
            value = labels.get(key)
            if value is not None and key in self._keys:
                for selector, item in self._by_value.get((key, value), ()):
                    if id(item) not in found and selector.matches(labels):
                        found[id(item)] = item
                for selector, item in self._by_key.get(key, ()):
                    if id(item) not in found and selector.matches(labels):
                        found[id(item)] = item
        return list(found.values())
