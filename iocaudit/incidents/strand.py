"""Sightings of one rule, account and target that follow each other within a window, folded into one strand.

A strand holds no signal, and is the same in whatever order its sightings arrive. Memory is bounded by their number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.alerts import MetricAlert
from iocaudit.signals.falco import FalcoAlert
from iocaudit.signals.sighting import Sighting

WINDOW: Final = timedelta(hours=1)
"""Silence after which what comes next is another strand, and what shares an account or a target another incident."""
MOST_STRANDS: Final = 50_000
_LONGEST_NAME = 253
_LONGEST_MESSAGE = 600


class StrandKey(NamedTuple):
    """``voice`` is the detection or check and, of an alert, the sender's own rule; ``target`` as signals name it."""

    voice: str
    account: str
    namespace: str
    target: str


class Statement(NamedTuple):
    """What a sighting says and where it stands; the least of several is the first of the worst."""

    rank: int
    when: datetime
    message: str
    place: str


@dataclass(slots=True)
class Strand:
    """``first`` and ``last`` are the times of signals; ``said`` is the first of the worst."""

    key: StrandKey
    rule: str
    title: str
    iocs: tuple[IoC, ...]
    technique: str
    related: tuple[str, ...]
    is_check: bool
    is_sequence: bool
    severity: Severity
    said: Statement
    count: int
    first: datetime
    last: datetime

    def take(self, other: Strand) -> None:
        """Make one of both."""
        self.said = min(self.said, other.said)
        self.iocs = tuple(sorted({*self.iocs, *other.iocs}))
        self.related = tuple(sorted({*self.related, *other.related}))
        self.technique = max(self.technique, other.technique)
        self.is_sequence = self.is_sequence or other.is_sequence
        self.severity = max(self.severity, other.severity)
        self.count += other.count
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)


class StrandLog:
    """Takes sightings in any order. ``timeless`` had no time, ``beyond`` no room: neither is part of an incident."""

    def __init__(self, window: timedelta = WINDOW, most: int = MOST_STRANDS) -> None:
        self._window, self._most = window, most
        self._by_key: dict[StrandKey, list[Strand]] = {}
        self._count = 0
        self.timeless = 0
        self.beyond = 0

    def __iter__(self) -> Iterator[Strand]:
        """By time, then by key."""
        everything = (strand for strands in self._by_key.values() for strand in strands)
        return iter(sorted(everything, key=lambda one: (one.first, one.key)))

    def __len__(self) -> int:
        return self._count

    def add(self, sighting: Sighting) -> None:
        """Take a sighting as its signal tells whom and what it concerns, and when it was."""
        when, locus = sighting.signal.when, sighting.signal.locus
        if when is None:
            self.timeless += 1
            return
        self.put(strand_of(sighting, when, sighting.signal.account.username, locus.namespace, locus.target))

    def put(self, new: Strand) -> None:
        """Take a strand, as one with those of the same key that it touches."""
        strands = self._by_key.get(new.key, [])
        # They are apart, so by their ends they are in the same order as by their beginnings.
        begin = bisect_left(strands, new.first - self._window, key=lambda one: one.last)
        end = bisect_right(strands, new.last + self._window, key=lambda one: one.first)
        near = strands[begin:end]
        if not near and self._count >= self._most:
            self.beyond += 1
            return
        # A sighting may join two strands, and a strand any number of them.
        for other in near:
            new.take(other)
        strands[begin:end] = [new]
        self._by_key[new.key] = strands
        self._count += 1 - len(near)

    def remove(self, strand: Strand) -> None:
        """Forget a strand that is there."""
        strands = self._by_key[strand.key]
        strands.remove(strand)
        self._count -= 1
        if not strands:
            del self._by_key[strand.key]


def strand_of(sighting: Sighting, when: datetime, account: str, namespace: str, target: str) -> Strand:
    """One sighting as a strand; ``target`` is ``Kind/name``, or a kind alone where there is no name."""
    signal = sighting.signal
    key = StrandKey(
        clip(_voice(sighting), _LONGEST_NAME),
        clip(account, _LONGEST_NAME),
        clip(namespace, _LONGEST_NAME),
        clip(target, _LONGEST_NAME),
    )
    message = clip(sighting.message, _LONGEST_MESSAGE)
    return Strand(
        key,
        sighting.rule,
        sighting.title,
        sighting.iocs,
        sighting.technique,
        sighting.related,
        sighting.is_check,
        sighting.is_sequence,
        sighting.severity,
        Statement(-sighting.severity, when, message, str(signal.place)),
        1,
        when,
        when,
    )


def _voice(sighting: Sighting) -> str:
    """An alert's own rule says more than the detection that took it: fifty rules of Falco share one."""
    report = sighting.signal.report
    if isinstance(report, FalcoAlert):
        return f"{sighting.rule}: {report.rule}"
    return f"{sighting.rule}: {report.name}" if isinstance(report, MetricAlert) else sighting.rule
