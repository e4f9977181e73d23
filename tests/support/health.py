"""Troubles with what they counted, a clock that is set by hand, and senders that may change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from iocaudit.evidence.key import EvidenceKey, EvidenceTally
from iocaudit.receivers.senders import Sender, Senders
from iocaudit.receivers.troubles import Troubles

BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC).timestamp()


class Told(NamedTuple):
    """What was counted: the rule's id, the name of what it is about, the message, the indicators."""

    check: str
    name: str
    message: str
    iocs: tuple[int, ...]


class HealthSetting:
    """``senders`` are those in force; `said` is what was counted since it was asked last."""

    def __init__(self, *senders: Sender) -> None:
        self.now = BEGIN
        self.senders = list(senders)
        self._said: list[Told] = []
        self.troubles = Troubles(self.count)

    def clock(self) -> float:
        return self.now

    def in_force(self) -> Senders:
        return Senders(self.senders)

    def count(self, key: EvidenceKey, tally: EvidenceTally) -> None:
        assert (key.namespace, key.user, tally.count, key.type) == (None, "", 1, "runtime")
        self._said.append(Told(key.check, key.name, tally.message, tuple(map(int, tally.iocs))))

    def said(self) -> list[Told]:
        said, self._said = self._said, []
        return said

    def __iter__(self) -> Iterator[Told]:
        return iter(self.said())
