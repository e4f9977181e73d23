"""What is stored as evidence, by resource and by attempt. Evidence is all that is not posture.

Every body is kept, because the namespace controller deletes the findings of a dying namespace faster than they could
be read back. One thread changes it; ``lock`` is held meanwhile, for the others that ask.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from iocaudit.core.attempt import EVIDENCE, Attempt, other
from iocaudit.core.moments import is_past
from iocaudit.core.shape import Json, mapping, text
from iocaudit.records.finding import POSTURE
from iocaudit.records.lifecycle import Key
from iocaudit.sinks.attempt_findings import Delta, attempt_of, fresh


class Evidence:
    """Bodies of findings, and which of them an attempt is counted in: copies from namespaces before are among them."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._bodies: dict[Key, Json] = {}
        self._places: dict[Attempt, set[Key]] = {}
        self._in_namespace: Counter[str | None] = Counter()

    def __len__(self) -> int:
        return len(self._bodies)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._bodies))

    def get(self, key: Key) -> Json | None:
        return self._bodies.get(key)

    def knows(self, attempt: Attempt) -> bool:
        return attempt in self._places

    @property
    def attempts(self) -> int:
        return len(self._places)

    def told_apart_in(self, namespace: str | None) -> int:
        """How many findings of attempts are about a namespace."""
        return self._in_namespace[namespace]

    def missing(self, attempt: Attempt, deltas: Iterable[Delta]) -> list[Delta]:
        """The deltas that none of the attempt's findings holds, nor the one for what had no room."""
        left = list(deltas)
        places = self._places.get(attempt, ())
        if not places and not attempt.is_other:
            places = self._places.get(other(attempt), ())
        for key in places:
            left = fresh(left, self._bodies[key])
        return left

    def cluster_key(self, attempt: Attempt) -> Key:
        """The newest of the attempt's findings in cluster scope, else the one to make."""
        found = [key for key in self._places.get(attempt, ()) if key[0] is None]
        if not found:
            return (None, attempt.finding)
        return max(found, key=lambda key: (text(mapping(self._bodies[key].get("finding")).get("lastSeen")), key[1]))

    def expired(self, now: datetime, retention: timedelta) -> list[tuple[Key, Json]]:
        return [(key, body) for key, body in self._bodies.items() if _is_over(body, now, retention)]

    def remember(self, body: Json) -> None:
        finding = mapping(body.get("finding"))
        if (text(finding.get("type")) or POSTURE) == POSTURE:
            return
        metadata = {key: value for key, value in mapping(body.get("metadata")).items() if key != "managedFields"}
        key: Key = (text(metadata.get("namespace")) or None, text(metadata.get("name")))
        with self._lock:
            if key not in self._bodies and finding.get("type") in EVIDENCE:
                attempt = attempt_of(body)
                self._places.setdefault(attempt, set()).add(key)
                self._in_namespace[attempt.namespace] += 1
            self._bodies[key] = {**body, "metadata": metadata}

    def forget(self, key: Key) -> None:
        with self._lock:
            body = self._bodies.pop(key, None)
            if body is None or mapping(body.get("finding")).get("type") not in EVIDENCE:
                return
            attempt = attempt_of(body)
            keys = self._places.get(attempt, set())
            keys.discard(key)
            if not keys:
                self._places.pop(attempt, None)
            self._in_namespace[attempt.namespace] -= 1


def _is_over(body: Json, now: datetime, retention: timedelta) -> bool:
    finding = mapping(body.get("finding"))
    seen = text(finding.get("lastSeen")) or text(finding.get("lastChanged"))
    # A time that cannot be read was not written by us: it is kept, and never counted as old.
    return is_past(seen, retention, now) is True
