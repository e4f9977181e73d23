"""Changes that wait to be worked off, bounded by number and by bytes."""

from __future__ import annotations

import marshal
from typing import Final

from iocaudit.controller.sweep import ObjectChange
from iocaudit.core.kinds import Kind
from iocaudit.core.shape import mapping, text

MOST_PENDING: Final = 2000
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of what is written to one namespace alone, 2,000 changes could be 2 GB."""


class PendingChanges:
    """The last change of each object. Not safe for several threads."""

    def __init__(self, *, most: int = MOST_PENDING, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._changes: dict[tuple[Kind, str], tuple[ObjectChange, int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._changes)

    def put(self, change: ObjectChange) -> bool:
        """Hold a change, in place of an earlier one of its object; False, and neither is held, without room for it."""
        key = (change.kind, text(mapping(change.raw.get("metadata")).get("uid")))
        _, before = self._changes.pop(key, (None, 0))
        self._bytes -= before
        size = len(marshal.dumps(dict(change.raw), 1))
        if len(self._changes) >= self._most or (self._bytes + size > self._most_bytes and self._changes):
            return False
        self._changes[key] = (change, size)
        self._bytes += size
        return True

    def take(self) -> list[ObjectChange]:
        """All of them; none is held any more."""
        changes = [change for change, _ in self._changes.values()]
        self._changes, self._bytes = {}, 0
        return changes
