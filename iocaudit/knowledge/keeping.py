"""How much of a live cluster's objects is kept for look-ups: bounded by bytes, so no object fills a process.

An object of up to ``SMALL`` bytes is kept as it is. Larger ones share ``SHARE`` bytes for a kind in a namespace, none
more than ``LARGEST``; of what is beyond, the beginning is kept, and the object lacks the rest (``Resource.lacks``):
anyone who may write in one namespace takes look-ups from that namespace alone. What is of cluster scope (Namespaces
apart) and what grants rights is written by those who are trusted with more, and a grant must not become unknown by
being long: it is kept whole.
"""

from __future__ import annotations

import marshal
from typing import Any, Final

from iocaudit.core.kinds import NAMESPACE, ROLE, ROLE_BINDING, Kind
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, mapping
from iocaudit.knowledge.outline import slim

SMALL: Final = 2 * 1024
LARGEST: Final = 64 * 1024
SHARE: Final = 2 * 1024 * 1024
_IDENTITY: Final = ("name", "generateName", "namespace", "uid", "resourceVersion", "deletionTimestamp")
_STEPS: Final = ((256, 1024), (64, 512), (16, 128), (4, 64))
"""How many items of each list and map, and characters of each text, are kept of an object that is too large."""


class Keeper:
    """Keeps the objects of one kind, and counts what the large ones take. For one thread."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._bounded = (kind.namespaced or kind is NAMESPACE) and kind not in (ROLE, ROLE_BINDING)
        self._large: dict[tuple[str | None, str], int] = {}
        self._taken: dict[str | None, int] = {}

    def keep(self, raw: Json) -> Resource:
        """What is kept of an object, in place of what was kept of it before."""
        found = slim(raw, self.kind)
        if not self._bounded:
            return found
        self._release(found)
        size = _size(found.raw)
        if size <= SMALL:
            return found
        room = SHARE - self._taken.get(found.home, 0)
        most = LARGEST if room >= LARGEST else SMALL
        if size > most:
            found, size = _cut(found, most, size)
        if size > SMALL:
            self._large[(found.home, found.name)] = size
            self._taken[found.home] = self._taken.get(found.home, 0) + size
        return found

    def forget(self, raw: Json) -> Resource:
        """Take an object that is gone off the count."""
        found = slim(raw, self.kind)
        self._release(found)
        return found

    def _release(self, found: Resource) -> None:
        size = self._large.pop((found.home, found.name), 0)
        if size:
            self._taken[found.home] -= size
            if not self._taken[found.home]:
                del self._taken[found.home]


def size_of(kept: Resource) -> int:
    """The bytes that an object takes, as they are counted here."""
    return _size(kept.raw)


def _size(value: Any) -> int:
    return len(marshal.dumps(value, 1))


def _cut(whole: Resource, most: int, size: int) -> tuple[Resource, int]:
    """The beginnings of an object's parts, at most so many bytes of them, and what they take."""
    identity = {key: whole.metadata[key] for key in _IDENTITY if key in whole.metadata}
    named = {key: whole.raw.get(key) for key in ("apiVersion", "kind")}
    kept: Json = {}
    for items, characters in _STEPS:
        kept = _beginnings(whole.raw, items, characters)
        kept["metadata"] = {**mapping(kept.get("metadata")), **identity}
        if _size(kept) <= most:
            break
    else:
        kept = {"metadata": identity}
    found = Resource({**kept, **named}, whole.origin, kind=whole.kind)
    cut = f"it takes {size} bytes, of which at most {most} are kept"
    found.lacks = f"{whole.lacks}; {cut}" if whole.lacks else cut
    return found, _size(found.raw)


def _beginnings(value: Any, items: int, characters: int) -> Any:
    if isinstance(value, dict):
        first = list(value.items())[:items]
        return {key[:characters]: _beginnings(inner, items, characters) for key, inner in first}
    if isinstance(value, list):
        return [_beginnings(inner, items, characters) for inner in value[:items]]
    return value[:characters] if isinstance(value, str) else value
