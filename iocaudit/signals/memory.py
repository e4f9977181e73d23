"""What detections remember of accounts, so a sequence of steps can be seen: bounded, and kept through restarts.

Times are those of the events, never of a clock of ours: what is remembered depends on the log alone. A pair of an
account and an object takes some 300 bytes; ``MOST_PAIRS`` of them bound the whole. An account has ``SLOTS`` places for
each detection: one that makes more pairs pushes out its own, not those of others.
"""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from iocaudit.core.errors import IocauditError

MOST_PAIRS = 100_000
SLOTS = 2_048
_LONGEST = 48
_VERSION = 1
_LATE = 5.0
"""Seconds by which a log may be out of order: events are written as requests end."""
_HEAD = struct.Struct(">d8s")
_SIGHT = struct.Struct(">d8s")


class MemoryFormatError(IocauditError):
    """A memory that was kept cannot be read; says why."""


class Recollection(NamedTuple):
    """A step that an account took: when (in UTC), and what it was, perhaps cut."""

    when: datetime
    what: str


class Memory:
    """The steps and the crowds of all detections. What was touched longest ago is forgotten first."""

    def __init__(self, most: int = MOST_PAIRS) -> None:
        self._most = most
        self._steps: dict[bytes, bytes] = {}
        self._crowds: dict[bytes, bytes] = {}
        self._in_crowds = 0
        self.forgotten = 0
        """Pairs that were forgotten for want of room."""

    def __len__(self) -> int:
        """How many pairs are remembered."""
        return len(self._steps) + self._in_crowds

    def of(self, detection: str, window: timedelta) -> Steps:
        """The part of one detection, which looks back over ``window``."""
        return Steps(self, detection.encode(), window.total_seconds())

    # -- for Steps ------------------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes) -> None:
        self._steps.pop(key, None)
        self._steps[key] = value
        self._make_room()

    def get(self, key: bytes) -> bytes | None:
        return self._steps.get(key)

    def crowd(self, key: bytes) -> bytes:
        return self._crowds.get(key, b"")

    def put_crowd(self, key: bytes, value: bytes) -> None:
        self._in_crowds -= len(self._crowds.pop(key, b"")) // _SIGHT.size
        if value:
            self._crowds[key] = value
            self._in_crowds += len(value) // _SIGHT.size
            self._make_room()

    def _make_room(self) -> None:
        while len(self) > self._most:
            if len(self._steps) >= self._in_crowds:
                self._steps.pop(next(iter(self._steps)))
                self.forgotten += 1
            else:
                gone = len(self._crowds.pop(next(iter(self._crowds)))) // _SIGHT.size
                self._in_crowds -= gone
                self.forgotten += gone

    # -- kept through restarts ------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """All of it, for ``load``."""
        steps = [[key.hex(), value.hex()] for key, value in self._steps.items()]
        crowds = [[key.hex(), value.hex()] for key, value in self._crowds.items()]
        return orjson.dumps({"version": _VERSION, "steps": steps, "crowds": crowds})

    @classmethod
    def load(cls, data: bytes, most: int = MOST_PAIRS) -> Memory:
        """What ``dump`` wrote. Raises MemoryFormatError where that is not what it wrote."""
        found = cls(most)
        try:
            raw = orjson.loads(data)
            if raw["version"] != _VERSION:
                raise MemoryFormatError(f"the memory of sequences has version {raw['version']!r}, not {_VERSION}")
            for key, value in raw["steps"]:
                found.put(_key_in(key), _step_in(value))
            for key, value in raw["crowds"]:
                found.put_crowd(_key_in(key), _crowd_in(value))
        except (ValueError, KeyError, TypeError) as error:
            raise MemoryFormatError(f"the memory of sequences cannot be read: {error}") from error
        return found


class Steps:
    """What one detection remembers of accounts."""

    def __init__(self, memory: Memory, detection: bytes, window: float) -> None:
        self._memory, self._detection, self._window = memory, detection, window

    def note(self, account: str, item: str, when: datetime | None, what: str = "") -> None:
        """Remember a step of an account at an item; of several at one item, the last."""
        if when is not None:
            name = _digest(item)
            text = what.encode("utf-8", "replace")[:_LONGEST]
            self._memory.put(self._slot(account, name), _HEAD.pack(when.timestamp(), name) + text)

    def recall(self, account: str, item: str, when: datetime | None) -> Recollection | None:
        """The step of an account at an item, where it was in the window before ``when``."""
        if when is None:
            return None
        name = _digest(item)
        kept = self._memory.get(self._slot(account, name))
        if kept is None:
            return None
        then, whose = _HEAD.unpack_from(kept)
        if whose != name or not -_LATE <= when.timestamp() - then <= self._window:
            return None
        return Recollection(datetime.fromtimestamp(then, UTC), kept[_HEAD.size :].decode("utf-8", "replace"))

    def reaches(self, account: str, item: str, when: datetime | None, most: int) -> bool:
        """Whether with this one an account was at ``most`` different items within the window.

        Counting begins again then: one crowd of items is one answer.
        """
        if when is None:
            return False
        key, name, now = self._key(account), _digest(item), when.timestamp()
        kept = self._memory.crowd(key)
        seen = {
            whose: then for then, whose in _SIGHT.iter_unpack(kept) if abs(now - then) <= self._window and whose != name
        }
        seen[name] = now
        if len(seen) >= most:
            self._memory.put_crowd(key, b"")
            return True
        self._memory.put_crowd(key, b"".join(_SIGHT.pack(then, whose) for whose, then in seen.items()))
        return False

    def _slot(self, account: str, name: bytes) -> bytes:
        slot = int.from_bytes(name, "big") % SLOTS
        return self._key(account, slot.to_bytes(2, "big"))

    def _key(self, account: str, more: bytes = b"") -> bytes:
        who = account.encode("utf-8", "surrogatepass")
        parts = (self._detection, who, more)
        return hashlib.blake2b(b"".join(len(one).to_bytes(4, "big") + one for one in parts), digest_size=16).digest()


def _digest(item: str) -> bytes:
    return hashlib.blake2b(item.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _key_in(value: str) -> bytes:
    found = bytes.fromhex(value)
    if len(found) != 16:
        raise ValueError("a key is not of 16 bytes")
    return found


def _step_in(value: str) -> bytes:
    found = bytes.fromhex(value)
    if not _HEAD.size <= len(found) <= _HEAD.size + _LONGEST:
        raise ValueError("a step is not as long as one is")
    _check_time(_HEAD.unpack_from(found)[0])
    return found


def _crowd_in(value: str) -> bytes:
    found = bytes.fromhex(value)
    if not found or len(found) % _SIGHT.size:
        raise ValueError("a crowd is not as long as one is")
    for then, _ in _SIGHT.iter_unpack(found):
        _check_time(then)
    return found


def _check_time(seconds: float) -> None:
    try:
        datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("a time is out of range") from error
