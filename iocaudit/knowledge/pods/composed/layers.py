"""One value laid over another, as controllers put a pod together, and where each part of the result really stands.

What comes out has one place of its own, ``at``. What was taken from elsewhere is told by ``MovedPaths``, so a hit
names the field that someone wrote. Source: Kubernetes, strategic merge patch: maps merge by key, the lists below
by the name of their items, anything else is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import Json

MovedPaths = dict[str, str]
"""By a path in the composed value, where it really stands; the longest that a path begins with decides."""

MOST_SHARED = 200_000
_KEYS = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "initContainers": "name",
    "sidecars": "name",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists that merge item by item, and what their items are distinguished by."""


def real(path: str, moved: Mapping[str, str]) -> str:
    """Where the value at a composed path really stands."""
    for end in range(len(path), 0, -1):
        if (end == len(path) or path[end] in ".[") and (found := moved.get(path[:end])) is not None:
            return found + path[end:]
    return path


def item_path(at: str, item: Any, index: int) -> str:
    """The path of a list's item: by name, else by position."""
    name = item.get("name") if isinstance(item, dict) else None
    return at + (paths.key(name) if isinstance(name, str) and name else f"[{index}]")


def took(moved: MovedPaths, at: str, index: int, there: str, its_index: int, item: Any) -> None:
    """Note that the list at ``at`` has an item from another one: hits go by its name, repairs by its position."""
    moved[item_path(at, item, index)] = item_path(there, item, its_index)
    moved[f"{at}[{index}]"] = f"{there}[{its_index}]"


class TooMuchError(IocauditError):
    """An object's pods have more in common than is worth telling apart."""


class Allowance:
    """How many parts of one object's pods may come from what they share.

    What is written once for all pods counts in each, so a few megabytes can mean terabytes.
    """

    def __init__(self) -> None:
        self._left = MOST_SHARED

    def take(self, parts: int) -> None:
        self._left -= parts
        if self._left < 0:
            raise TooMuchError(f"its pods share more than {MOST_SHARED} parts")

    def take_whole(self, value: object) -> None:
        """All parts of a value, however deep: checks walk them in each of the pods."""
        waiting = [value]
        while waiting:
            inner = waiting.pop()
            if isinstance(inner, dict | list):
                self.take(len(inner))
                waiting += inner.values() if isinstance(inner, dict) else inner


class Layers:
    """Composes a value at ``at``. ``moved`` grows with each layer."""

    def __init__(self, moved: MovedPaths, allowance: Allowance) -> None:
        self.moved = moved
        self._allowance = allowance

    def beneath(self, over: Mapping[str, Any], at: str, under: Mapping[str, Any], under_at: str) -> Json:
        """``over``, which stands at ``at``, with ``under`` for what it does not set; null sets nothing."""
        self._allowance.take(len(under))
        found = dict(over)
        for name, value in under.items():
            if value is None:
                continue
            own, here, there = found.get(name), paths.field(at, name), paths.field(under_at, name)
            if own is None:
                self._allowance.take_whole(value)
                found[name] = value
                self.moved[here] = there
            elif isinstance(own, dict) and isinstance(value, dict):
                found[name] = self.beneath(own, here, value, there)
            elif name in _KEYS and isinstance(own, list) and isinstance(value, list):
                found[name] = self._merged(own, here, value, there, _KEYS[name], self.beneath)
        return found

    def patched(self, value: Mapping[str, Any], at: str, patch: Mapping[str, Any], patch_at: str) -> Json:
        """``value``, which stands at ``at``, changed by a patch that stands at ``patch_at``; null takes away."""
        self._allowance.take(len(patch))
        found = dict(value)
        for name, new in patch.items():
            own, here, there = found.get(name), paths.field(at, name), paths.field(patch_at, name)
            if new is None:
                found.pop(name, None)
            elif isinstance(own, dict) and isinstance(new, dict):
                found[name] = self.patched(own, here, new, there)
            elif name in _KEYS and isinstance(own, list) and isinstance(new, list):
                found[name] = self._merged(own, here, new, there, _KEYS[name], self.patched)
            else:
                self._allowance.take_whole(new)
                found[name] = new
                self.moved[here] = there
        return found

    def _merged(
        self, value: list[Any], at: str, items: list[Any], items_at: str, key: str, merge: Callable[..., Json]
    ) -> list[Any]:
        """A list with others' items: each is merged into the one of its name, or stands behind them."""
        self._allowance.take(len(items))
        found, places = list(value), _places(value, key)
        for index, item in enumerate(items):
            place = places.get(_name(item, key))
            there = item_path(items_at, item, index)
            if place is None:
                self._allowance.take_whole(item)
                took(self.moved, at, len(found), items_at, index, item)
                found.append(item)
            else:
                found[place] = merge(found[place], item_path(at, found[place], place), item, there)
        return found


def _name(item: Any, key: str) -> str:
    """What a list's item is distinguished by; empty where nothing does."""
    name = item.get(key) if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""


def _places(items: list[Any], key: str) -> dict[str, int]:
    """The position of the first item of each name."""
    found: dict[str, int] = {}
    for index, item in enumerate(items):
        if name := _name(item, key):
            found.setdefault(name, index)
    return found
