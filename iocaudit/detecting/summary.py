"""Sightings counted, not repeated: one group a rule, an account and a target, bounded however long the log is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import SignalSource

MOST_GROUPS = 10_000
_LONGEST_NAME = 253
_LONGEST_MESSAGE = 600


class SightingKey(NamedTuple):
    """What a group has in common. ``target`` is a workload, a pod or another object, as the signals name it."""

    rule: str
    account: str
    namespace: str
    target: str


@dataclass(slots=True)
class SightingGroup:
    """Sightings of one key; ``severity``, ``message`` and ``place`` are those of the first of the worst.

    It holds no signal: objects in audit logs are large. Times are None where no signal had one.
    """

    key: SightingKey
    title: str
    iocs: tuple[IoC, ...]
    technique: str
    related: tuple[str, ...]
    is_check: bool
    is_sequence: bool
    source: SignalSource
    severity: Severity
    message: str
    place: str
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def count_in(self, when: datetime | None) -> None:
        self.count += 1
        if when is not None:
            self.first = when if self.first is None else min(self.first, when)
            self.last = when if self.last is None else max(self.last, when)


class SightingSummary:
    """Takes sightings as they come. What has no group any more is counted in ``beyond``, by severity."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most = most
        self._groups: dict[SightingKey, SightingGroup] = {}
        self._by_severity: dict[Severity, dict[SightingKey, None]] = {severity: {} for severity in Severity}
        self.sightings = 0
        self.beyond: Counter[Severity] = Counter()

    def add(self, sighting: Sighting) -> None:
        self.sightings += 1
        signal = sighting.signal
        key = SightingKey(
            sighting.rule,
            clip(signal.account.username, _LONGEST_NAME),
            clip(signal.locus.namespace, _LONGEST_NAME),
            clip(signal.locus.target, _LONGEST_NAME),
        )
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= self._most and not self._make_room(sighting.severity):
                self.beyond[sighting.severity] += 1
                return
            group = self._groups[key] = SightingGroup(
                key,
                sighting.title,
                sighting.iocs,
                sighting.technique,
                sighting.related,
                sighting.is_check,
                sighting.is_sequence,
                signal.source,
                sighting.severity,
                clip(sighting.message, _LONGEST_MESSAGE),
                str(signal.place),
            )
            self._by_severity[group.severity][key] = None
        elif sighting.severity > group.severity:
            del self._by_severity[group.severity][key]
            self._by_severity[sighting.severity][key] = None
            group.severity, group.message = sighting.severity, clip(sighting.message, _LONGEST_MESSAGE)
            group.place = str(signal.place)
        group.count_in(signal.when)

    def _make_room(self, severity: Severity) -> bool:
        """Whether the first group of the lowest severity could be given up for one that is worse."""
        lowest = next(one for one in Severity if self._by_severity[one])
        if lowest >= severity:
            return False
        key = next(iter(self._by_severity[lowest]))
        del self._by_severity[lowest][key]
        self.beyond[lowest] += self._groups.pop(key).count
        return True

    def groups(self, lowest: Severity = Severity.LOW) -> list[SightingGroup]:
        """Those of a severity or a worse one, the worst first, then by indicator, rule, account and target."""
        shown = [group for group in self._groups.values() if group.severity >= lowest]
        return sorted(shown, key=lambda group: (-group.severity, group.iocs, group.key))

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst sighting; None without any."""
        found = [severity for severity, keys in self._by_severity.items() if keys]
        return max([*found, *self.beyond], default=None)

    def count_below(self, lowest: Severity) -> int:
        """How many sightings are in groups that ``groups(lowest)`` leaves out."""
        return sum(group.count for group in self._groups.values() if group.severity < lowest)
