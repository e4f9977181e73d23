"""Objects as a log had them last: what an update changes, and what controllers make others of. Bounded by bytes."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import orjson

from iocaudit.core.kinds import Kind
from iocaudit.core.partial import lacking, lacks_of
from iocaudit.core.shape import Json, integer, mapping, text

MOST_BYTES = 64 * 1024 * 1024
_ENTRY_BYTES = 400
"""What an object takes beside its compressed text."""

_Key = tuple[str, str, str, str]


class _Entry(NamedTuple):
    uid: str
    packed: bytes
    lacks: str


class KnownObjects:
    """The last state of each object. Where there are too many, those that were not asked about for longest go."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._entries: dict[_Key, _Entry] = {}
        self._bytes = 0
        self.forgotten = 0
        """How many were let go for want of room."""

    def put(self, kind: Kind, namespace: str | None, name: str, raw: Json) -> None:
        """Take this as the object's last state."""
        if not name:
            return
        metadata = {key: value for key, value in mapping(raw.get("metadata")).items() if key != "managedFields"}
        try:
            packed = zlib.compress(orjson.dumps({**raw, "metadata": metadata}), 1)
        except orjson.JSONEncodeError:  # too deep to be written: what is not known whole is not kept
            self.forget(kind, namespace, name)
            return
        self.forget(kind, namespace, name)
        self._entries[_key(kind, namespace, name)] = _Entry(text(metadata.get("uid")), packed, lacks_of(raw))
        self._bytes += len(packed) + _ENTRY_BYTES
        while self._bytes > self._most and self._entries:
            self._pop(next(iter(self._entries)))
            self.forgotten += 1

    def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        """The object as it was last; None where that is not known."""
        key = _key(kind, namespace, name)
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self._entries[key] = entry
        raw: Json = orjson.loads(zlib.decompress(entry.packed))
        return lacking(raw, entry.lacks)

    def before(self, kind: Kind, namespace: str | None, name: str, now: Json) -> Json | None:
        """The object as it was before it became this one; None where that is not known, or another change was missed.

        Source: metadata.generation counts the changes of a spec.
        """
        raw = self.get(kind, namespace, name)
        if raw is None:
            return None
        was, metadata = mapping(raw.get("metadata")), mapping(now.get("metadata"))
        uid, old_uid = text(metadata.get("uid")), text(was.get("uid"))
        if uid and old_uid and uid != old_uid:
            return None
        generation, last = integer(metadata.get("generation")), integer(was.get("generation"))
        if generation and last and not last <= generation <= last + 1:
            return None
        return raw

    def forget(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Know no more how the object is."""
        key = _key(kind, namespace, name)
        if key in self._entries:
            self._pop(key)

    def _pop(self, key: _Key) -> None:
        entry = self._entries.pop(key)
        self._bytes -= len(entry.packed) + _ENTRY_BYTES


def _key(kind: Kind, namespace: str | None, name: str) -> _Key:
    return (kind.group, kind.name, namespace or "" if kind.namespaced else "", name)
