"""What is stored as evidence, by resource and by attempt. Evidence is all that is not posture.

Every body is kept, because the namespace controller deletes the findings of a dying namespace faster than they could
be read back. One thread changes it; ``lock`` is held meanwhile, for the others that ask.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from iocaudit.core.moments import is_past
from iocaudit.core.shape import Json, mapping, text
from iocaudit.evidence.finding import Delta, attempt_of, fresh
from iocaudit.evidence.key import EVIDENCE, RUNTIME, EvidenceKey, other
from iocaudit.records.finding import POSTURE
from iocaudit.records.lifecycle import RecordKey


class Room(NamedTuple):
    """What has a bound of its own: what was seen at run time, or asked for, in a namespace (None: cluster scope)."""

    runtime: bool
    namespace: str | None


def room_of(key: EvidenceKey) -> Room:
    """Where a key is told apart from others."""
    return Room(key.type == RUNTIME, key.namespace)


class Evidence:
    """Bodies of findings, and which of them an attempt is counted in: copies from namespaces before are among them."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._bodies: dict[RecordKey, Json] = {}
        self._places: dict[EvidenceKey, set[RecordKey]] = {}
        self._in_room: Counter[Room] = Counter()
        self._apart: Counter[bool] = Counter()

    def __len__(self) -> int:
        return len(self._bodies)

    def __iter__(self) -> Iterator[RecordKey]:
        return iter(list(self._bodies))

    def get(self, key: RecordKey) -> Json | None:
        return self._bodies.get(key)

    def knows(self, attempt: EvidenceKey) -> bool:
        return attempt in self._places

    def told_apart(self, room: Room) -> int:
        """How many keys are told apart at run time, or of what was asked for, in all namespaces."""
        return self._apart[room.runtime]

    def told_apart_in(self, room: Room) -> int:
        """How many findings there are in a room."""
        return self._in_room[room]

    def missing(self, attempt: EvidenceKey, deltas: Iterable[Delta]) -> list[Delta]:
        """The deltas that none of the attempt's findings holds, nor the one for what had no room.

        That one comes last of a post: where its count holds the post, all of it is stored, this attempt perhaps in
        there, as it may have got room of its own only since.
        """
        left = list(deltas)
        for key in self._places.get(attempt, set()) | self._places.get(other(attempt), set()):
            left = fresh(left, self._bodies[key])
        return left

    def cluster_key(self, attempt: EvidenceKey) -> RecordKey:
        """The newest of the attempt's findings in cluster scope, else the one to make."""
        found = [key for key in self._places.get(attempt, ()) if key[0] is None]
        if not found:
            return (None, attempt.finding)
        return max(found, key=lambda key: (text(mapping(self._bodies[key].get("finding")).get("lastSeen")), key[1]))

    def expired(self, now: datetime, retention: timedelta) -> list[tuple[RecordKey, Json]]:
        return [(key, body) for key, body in self._bodies.items() if _is_over(body, now, retention)]

    def remember(self, body: Json) -> None:
        finding = mapping(body.get("finding"))
        if (text(finding.get("type")) or POSTURE) == POSTURE:
            return
        metadata = {key: value for key, value in mapping(body.get("metadata")).items() if key != "managedFields"}
        key: RecordKey = (text(metadata.get("namespace")) or None, text(metadata.get("name")))
        with self._lock:
            if key not in self._bodies and finding.get("type") in EVIDENCE:
                attempt = attempt_of(body)
                if attempt not in self._places:
                    self._apart[room_of(attempt).runtime] += 1
                self._places.setdefault(attempt, set()).add(key)
                self._in_room[room_of(attempt)] += 1
            self._bodies[key] = {**body, "metadata": metadata}

    def forget(self, key: RecordKey) -> None:
        with self._lock:
            body = self._bodies.pop(key, None)
            if body is None or mapping(body.get("finding")).get("type") not in EVIDENCE:
                return
            attempt = attempt_of(body)
            keys = self._places.get(attempt, set())
            keys.discard(key)
            if not keys and self._places.pop(attempt, None) is not None:
                self._apart[room_of(attempt).runtime] -= 1
            self._in_room[room_of(attempt)] -= 1


def _is_over(body: Json, now: datetime, retention: timedelta) -> bool:
    finding = mapping(body.get("finding"))
    seen = text(finding.get("lastSeen")) or text(finding.get("lastChanged"))
    # A time that cannot be read was not written by us: it is kept, and never counted as old.
    return is_past(seen, retention, now) is True
