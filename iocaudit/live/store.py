"""Objects of a kind that people write to us, as they stand in a cluster: each read, or refused with the reason."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json, mapping, text

_Item = TypeVar("_Item")


class Store(ABC, Generic[_Item]):
    """What could be read, by name, and why each of the others could not; a ``log`` is told of each that cannot.

    One thread at a time may change it. What others read meanwhile are whole values, each put in place at once.
    """

    _kind: str
    """What the log calls one of them."""
    _keeps_last_good: bool
    """Whether one that became unreadable counts as it last was."""

    def __init__(self, log: logging.Logger | None) -> None:
        self._log = log
        self._good: Mapping[str, _Item] = {}
        self._refused: Mapping[str, str] = {}

    @abstractmethod
    def _read(self, raw: Json) -> _Item:
        """Read one; raises an error of ours naming what is wrong with it."""

    @abstractmethod
    def _use(self, read: Iterable[_Item]) -> None:
        """Put these in force, in place of all before."""

    @property
    def refused(self) -> Mapping[str, str]:
        """By name, why one cannot be used as it is now. It is never changed in place."""
        return self._refused

    @property
    def usable(self) -> int:
        """How many can be used as they are now."""
        return len(self._good.keys() - self._refused.keys())

    def get(self, name: str) -> _Item | None:
        """The one of that name as it is in force; None where it is not."""
        return self._good.get(name)

    def replace(self, raws: Iterable[Json]) -> bool:
        """Take these as all there are; whether what is in force changed."""
        named = {_name(raw): raw for raw in raws}
        return self._take({name: one for name, one in self._good.items() if name in named}, {}, named)

    def put(self, raw: Json) -> bool:
        """Take one as it is now; whether what is in force changed."""
        return self._take(self._good, self._refused, {_name(raw): raw})

    def remove(self, name: str) -> bool:
        """One is gone; whether what is in force changed."""
        good = {other: one for other, one in self._good.items() if other != name}
        return self._take(good, {other: why for other, why in self._refused.items() if other != name}, {})

    def _take(self, good: Mapping[str, _Item], refused: Mapping[str, str], raws: Mapping[str, Json]) -> bool:
        good, refused = dict(good), dict(refused)
        for name, raw in sorted(raws.items()):
            refused.pop(name, None)
            try:
                good[name] = self._read(raw)
            except IocauditError as error:
                refused[name] = str(error)
                if not self._keeps_last_good:
                    good.pop(name, None)
                if self._log is not None and self._refused.get(name) != str(error):
                    state = "its last good version stays in force" if name in good else "it is not in force"
                    self._log.error("%s refused, %s: %s", self._kind, state, error, extra={self._kind: name})
        changed = good != self._good
        self._good, self._refused = good, refused
        if changed:
            self._use(good.values())
        return changed


def _name(raw: Json) -> str:
    return text(mapping(raw.get("metadata")).get("name"))
