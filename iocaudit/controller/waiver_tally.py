"""What each waiver speaks of now, counted place by place, so its status says what the findings say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from iocaudit.core.images_behind import Images
from iocaudit.core.report import ReportedHit, WaivedHit
from iocaudit.engine.in_force import WaiversInForce
from iocaudit.engine.kept import AuditedObject
from iocaudit.engine.waivers import Context, Waivers, recorded_repositories
from iocaudit.live.inventory import Scope


@dataclass(slots=True)
class Numbers:
    """Hits that a waiver matches, and those of them that it covers."""

    matching: int = 0
    covered: int = 0


@dataclass(slots=True)
class WaiverTally:
    """What a waiver speaks of now, by place (None: cluster scope).

    If it is to record what it was made for: the fingerprints, each with its place, and the repositories of the images
    behind them.
    """

    places: dict[Scope, Numbers] = field(default_factory=dict)
    fingerprints: dict[str, Scope] | None = None
    repositories: set[str] = field(default_factory=set)

    @property
    def matching(self) -> int:
        return sum(numbers.matching for numbers in self.places.values())

    @property
    def covered(self) -> int:
        return sum(numbers.covered for numbers in self.places.values())

    def recorded(self, most: int) -> list[str]:
        """The fingerprints to record, ``most`` at most: from now on these hits are covered, and no others."""
        found = self.fingerprints or {}
        kept = sorted(found)[:most]
        for numbers in self.places.values():
            numbers.covered = numbers.matching
        for fingerprint in found.keys() - kept:
            self.places[found[fingerprint]].covered -= 1
        self.fingerprints = None
        return kept


class Count:
    """Counts what each waiver speaks of, whether it holds or not; set ``scope`` to the place that is counted.

    Hits are put on owners as they are published, by what is ``in_force``: a hit that is published as covered is
    counted as covered.
    """

    def __init__(self, waivers: Waivers, to_record: Iterable[str], in_force: WaiversInForce) -> None:
        self._waivers, self._in_force = waivers, in_force
        self._to_record = frozenset(to_record)
        self.scope: Scope = None
        self.tallies = {
            waiver.name: WaiverTally(fingerprints={} if waiver.name in self._to_record else None)
            for waiver in waivers.all
        }

    def speaks_of(self, check: str) -> bool:
        return self._waivers.speaks_of(check)

    def accept(self, found: ReportedHit, kept: AuditedObject, images: Images) -> WaivedHit | None:
        context = Context(dict(kept.labels), images)
        for waiver in self._waivers.naming(found.check):
            if not waiver.matches(found.check, found.subject, kept.home, context):
                continue
            tally = self.tallies[waiver.name]
            numbers = tally.places.setdefault(self.scope, Numbers())
            fingerprint = found.fingerprint
            numbers.matching += 1
            numbers.covered += waiver.covers(fingerprint, images)
            if tally.fingerprints is not None:
                tally.fingerprints[fingerprint] = self.scope
                tally.repositories |= recorded_repositories(images)
        return self._in_force.accept(found, kept, images)

    def reaches(self, found: ReportedHit, kept: AuditedObject, images: Images, other: Images) -> bool | None:
        """As published; and what is to be recorded was counted on the owner already."""
        context = Context(dict(kept.labels), images)
        recording = (waiver for waiver in self._waivers.naming(found.check) if waiver.name in self._to_record)
        if any(waiver.matches(found.check, found.subject, kept.home, context) for waiver in recording):
            return True
        return self._in_force.reaches(found, kept, images, other)
