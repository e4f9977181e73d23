"""Which strands make an incident: those that share an account or a target within the window.

The rules, in this order:

- A **habit** is what a rule says often of many accounts or targets, or of one all day. It opens no incident and joins
  none to another; it is shown with an incident that it happened in. A sequence, and what is critical, is a habit only
  where it is said of many.
- Strands that share an account, or a target, with no more than the window between them, belong together, and so does
  what belongs to those.
- What belongs together is an incident where `grade` says how severe; else it stays the findings that it is.

The result depends on the strands alone, never on the order in which signals arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from iocaudit.core.severity import IoC, Severity
from iocaudit.incidents.grade import FREQUENT, RARE, UNCOMMON, grade, indicators_of
from iocaudit.incidents.strand import WINDOW, Strand

MANY: Final = 8
COMMON: Final = 25
"""A rule that speaks of ``MANY`` accounts or targets, in ``COMMON`` strands, is a habit of the cluster."""
ALL_DAY: Final = timedelta(hours=6)
OFTEN: Final = 50
"""Sightings of one strand that lasts ``ALL_DAY``, from which on it is a habit of that target."""
_FEW: Final = 2
"""Accounts or targets of which a rule that is heard rarely speaks at most."""


@dataclass(frozen=True, slots=True)
class Incident:
    """``strands`` made it, by time; ``habits`` happened meanwhile at the same accounts and targets."""

    name: str
    severity: Severity
    strands: tuple[Strand, ...]
    habits: tuple[Strand, ...]

    @property
    def first(self) -> datetime:
        return min(strand.first for strand in self.strands)

    @property
    def last(self) -> datetime:
        return max(strand.last for strand in self.strands)

    @property
    def indicators(self) -> tuple[IoC, ...]:
        """Those of its signals; what checks found in objects are weaknesses, not signs of use."""
        return indicators_of(self.strands)

    @property
    def accounts(self) -> tuple[str, ...]:
        """Who, the one with most sightings first."""
        return _ranked((strand.key.account, strand.count) for strand in self.strands)

    @property
    def targets(self) -> tuple[str, ...]:
        """``namespace/Kind/name``, the one with most sightings first."""
        return _ranked((target_of(strand), strand.count) for strand in self.strands)

    @property
    def signals(self) -> int:
        """Sightings, those of habits aside."""
        return sum(strand.count for strand in self.strands)

    @property
    def related(self) -> tuple[str, ...]:
        """The checks that find the weaknesses behind it."""
        return tuple(sorted({check for strand in self.strands for check in strand.related}))


def target_of(strand: Strand) -> str:
    """What a strand is about, as a person would call it; empty where signals do not say."""
    return "/".join(part for part in (strand.key.namespace, strand.key.target) if part)


def incidents_of(strands: Iterable[Strand], window: timedelta = WINDOW) -> list[Incident]:
    """The incidents, the worst first, then by time."""
    everything = list(strands)
    weights = _weights(everything)
    habits = [one for one in everything if _is_habit(one, weights)]
    joined = _joined([one for one in everything if not _is_habit(one, weights)], window)
    found = []
    for group in joined:
        severity = grade(group, weights)
        if severity is not None:
            meanwhile = [one for one in habits if any(_touches(one, other, window) for other in group)]
            found.append(Incident(_name(group), severity, tuple(group), tuple(meanwhile)))
    return sorted(found, key=lambda one: (-one.severity, one.first, one.name))


def _weights(strands: Iterable[Strand]) -> dict[str, int]:
    """What each voice counts for: 0 for a habit of the cluster, RARE for one that is heard of a few, else less."""
    by_voice: dict[str, list[Strand]] = {}
    for one in strands:
        by_voice.setdefault(one.key.voice, []).append(one)
    return {voice: _weight(found) for voice, found in by_voice.items()}


def _weight(strands: list[Strand]) -> int:
    who = {one.key.account or target_of(one) for one in strands}
    if len(who) >= MANY and len(strands) >= COMMON:
        return 0
    return RARE if len(who) <= _FEW else UNCOMMON if len(who) < MANY else FREQUENT


def _is_habit(strand: Strand, weights: Mapping[str, int]) -> bool:
    if not weights[strand.key.voice]:
        return True
    if strand.is_sequence or strand.severity >= Severity.CRITICAL:
        return False
    return strand.count >= OFTEN and strand.last - strand.first >= ALL_DAY


def _entities(strand: Strand) -> list[Hashable]:
    """What strands can share."""
    key = strand.key
    found: list[Hashable] = []
    if key.account:
        found.append(("account", key.account))
    if "/" in key.target:  # a kind without a name is nothing that two could have in common
        found.append(("target", key.namespace, key.target))
    return found


def _joined(strands: list[Strand], window: timedelta) -> list[list[Strand]]:
    """The groups of strands that belong together, each by time."""
    parents = list(range(len(strands)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    by_entity: dict[Hashable, list[int]] = {}
    for number, strand in enumerate(strands):
        for entity in _entities(strand):
            by_entity.setdefault(entity, []).append(number)
    for numbers in by_entity.values():
        numbers.sort(key=lambda one: strands[one].first)
        until = None
        for before, number in zip([numbers[0], *numbers], numbers, strict=False):
            if until is not None and strands[number].first - until <= window:
                parents[root(number)] = root(before)
            until = strands[number].last if until is None else max(until, strands[number].last)
    groups: dict[int, list[Strand]] = {}
    for number, strand in enumerate(strands):
        groups.setdefault(root(number), []).append(strand)
    return [sorted(group, key=lambda one: (one.first, one.key)) for group in groups.values()]


def _touches(one: Strand, other: Strand, window: timedelta) -> bool:
    if one.first - other.last > window or other.first - one.last > window:
        return False
    return any(entity in _entities(other) for entity in _entities(one))


def _name(group: list[Strand]) -> str:
    """The same for the same beginning, whatever comes later."""
    first = group[0]
    parts = (*first.key, first.first.isoformat())
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"incident-{digest.hexdigest()[:10]}"


def _ranked(counted: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for name, count in counted:
        if name:
            counts[name] = counts.get(name, 0) + count
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))
