"""The incidents that are to be posted to the operator, and the post that is under way.

Their posts are apart from those of sightings, which wait for a budget of writes. Nothing of it is kept: each process
has a name of its own for its posts, and tells anew what it knows of.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from typing import Final

from iocaudit.evidence.post import MOST_INCIDENTS, Post
from iocaudit.records.incident import IncidentRecord

SOURCE: Final = "incidents"


class IncidentOutbox:
    """`tell` is the reader's, the rest is what a Reporter asks."""

    def __init__(self, host: str) -> None:
        self.replica = f"{host[:100]}-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._told: dict[str, IncidentRecord] = {}
        self._posting: Post | None = None
        self._number = 0

    def tell(self, records: Iterable[IncidentRecord]) -> None:
        """Have these posted; of one incident the last alone."""
        with self._lock:
            for one in records:
                self._told.pop(one.name, None)
                self._told[one.name] = one

    @property
    def is_empty(self) -> bool:
        return not self._told

    @property
    def posting(self) -> bool:
        return self._posting is not None

    @property
    def is_new(self) -> bool:
        return self._number == 0 and not self._told

    @property
    def waiting(self) -> int:
        """Incidents that were told and are not known to be stored."""
        with self._lock:
            under_way = {one.name for one in self._posting.incidents} if self._posting is not None else set()
            return len(under_way | self._told.keys())

    @property
    def heartbeat(self) -> float | None:
        """It need not speak: what its silence hides is told when it begins anew."""
        return None

    def next_post(self, *, last: bool = False) -> Post:
        """The post under way for as long as it is not stored, else a new one."""
        with self._lock:
            if self._posting is None:
                names = list(self._told)[:MOST_INCIDENTS]
                incidents = tuple(self._told.pop(name) for name in names)
                self._number += 1
                # What follows is not the last, however often it is asked for as such.
                is_last = last and not self._told
                self._posting = Post(self.replica, self._number, {}, is_last, source=SOURCE, incidents=incidents)
            return self._posting

    def stored(self, number: int) -> int:
        """The operator has stored a post; how many incidents were in it."""
        with self._lock:
            if self._posting is None or self._posting.number != number:
                return 0
            posted, self._posting = self._posting, None
            return len(posted.incidents)
