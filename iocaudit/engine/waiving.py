"""IocWaivers for hits that stand: as few as name these hits and no others, each for one place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import orjson

from iocaudit.core.kinds.ours import IOC_WAIVER
from iocaudit.core.moments import rfc3339
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json
from iocaudit.engine.standing import FindingKey, FindingSelection, StandingFinding
from iocaudit.engine.waivers import MOST_COVERED

MOST_CHECKS, MOST_NAMES, MOST_KINDS = 64, 64, 32
"""The bounds of the schema."""
_DIGEST = 10
_MOST_OPEN = 8
"""How many waivers of one place are tried for one more finding."""


class Acceptance(NamedTuple):
    """Who accepts it, why, until when, and where that was decided."""

    owner: str
    reason: str
    expires: datetime
    ticket: str = ""


@dataclass(slots=True)
class NewWaiver:
    """A waiver in the making: it speaks of each of its checks on each of its objects in one place.

    ``kinds`` are as waivers name them; ``count`` is how many hits its findings have.
    """

    home: str | None
    checks: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    findings: list[StandingFinding] = field(default_factory=list)
    count: int = 0

    @classmethod
    def of(cls, findings: Sequence[StandingFinding]) -> NewWaiver:
        """One for findings in one place."""
        return cls(findings[0].key.home).joined(findings)

    @property
    def hits(self) -> list[str]:
        return sorted({fingerprint for one in self.findings for fingerprint in one.hits})

    @property
    def is_critical(self) -> bool:
        return any(one.severity is Severity.CRITICAL for one in self.findings)

    def joined(self, others: Sequence[StandingFinding]) -> NewWaiver:
        """The same with these findings too."""
        keys = [one.key for one in others]
        return NewWaiver(
            self.home,
            self.checks | {key.check for key in keys},
            self.kinds | {key.kind_name for key in keys},
            self.names | {key.name for key in keys},
            [*self.findings, *others],
            self.count + sum(len(one.hits) for one in others),
        )

    @property
    def fits(self) -> bool:
        """Whether an API server takes it, and the operator records all of its hits."""
        return (
            len(self.checks) <= MOST_CHECKS
            and len(self.kinds) <= MOST_KINDS
            and len(self.names) <= MOST_NAMES
            and self.count <= MOST_COVERED
        )

    def speaks_of(self, key: FindingKey) -> bool:
        """Whether it would cover a finding; a kind without a group means that kind of every group."""
        return (
            key.home == self.home
            and key.check in self.checks
            and key.name in self.names
            and (key.kind in self.kinds or key.kind_name in self.kinds)
        )

    def body(self, why: Acceptance, now: datetime) -> Json:
        """The IocWaiver. Its record is for files; in a cluster the operator makes its own."""
        spec: Json = {
            "checks": sorted(self.checks),
            **({"namespaces": [self.home]} if self.home is not None else {"clusterScope": True}),
            "kinds": sorted(self.kinds),
            "names": sorted(self.names),
            "owner": why.owner,
            "reason": why.reason,
            **({"ticket": why.ticket} if why.ticket else {}),
            "expires": rfc3339(why.expires),
        }
        hits = self.hits
        return {
            "apiVersion": IOC_WAIVER.api_version,
            "kind": IOC_WAIVER.name,
            "metadata": {"name": self._name(spec)},
            "spec": spec,
            "status": {"covered": {"count": len(hits), "recordedAt": rfc3339(now), "fingerprints": hits}},
        }

    def _name(self, spec: Json) -> str:
        """Another for whatever else it says: what a waiver speaks of cannot be edited."""
        first = self.findings[0].key.check
        what = first if self.is_critical or len(self.checks) == 1 else "findings"
        digest = hashlib.sha256(orjson.dumps([spec, self.hits], option=orjson.OPT_SORT_KEYS)).hexdigest()[:_DIGEST]
        return f"{self.home or 'cluster'}-{what}-{digest}"


class NewWaivers(NamedTuple):
    """``left`` says for what none could be made, and why."""

    waivers: list[NewWaiver]
    left: list[str]


def waivers_for(chosen: FindingSelection, found: Iterable[StandingFinding]) -> NewWaivers:
    """Waivers that speak of what was chosen, and of nothing else that stands: each critical has one of its own."""
    left: list[str] = []
    critical: list[list[StandingFinding]] = []
    milder: list[list[StandingFinding]] = []
    for finding in chosen.findings:
        group = [finding, *chosen.parts.get(finding.key, ())]
        (critical if finding.severity is Severity.CRITICAL else milder).append(group)
    standing = _by_home(one.key for one in found)
    together = {one.key for group in milder for one in group}
    others = {home: [key for key in keys if key not in together] for home, keys in standing.items()}
    made = [NewWaiver.of(group) for group in critical] + _packed(milder, others)
    exact = []
    for waiver in made:
        own = {one.key for one in waiver.findings}
        if waiver.fits and not any(waiver.speaks_of(key) for key in standing[waiver.home] if key not in own | together):
            exact.append(waiver)
        else:
            left += (f"{one.key}: a waiver for it would cover more than is asked for" for one in waiver.findings)
    exact.sort(key=lambda one: (one.home or "", not one.is_critical, _order(one.findings[0].key)))
    return NewWaivers(exact, left)


def _by_home(keys: Iterable[FindingKey]) -> dict[str | None, list[FindingKey]]:
    found: dict[str | None, list[FindingKey]] = {}
    for key in keys:
        found.setdefault(key.home, []).append(key)
    return found


def _packed(
    groups: Iterable[list[StandingFinding]], others: Mapping[str | None, Sequence[FindingKey]]
) -> list[NewWaiver]:
    """As few waivers as hold the groups, each of which speaks of nothing else that stands."""
    made: dict[str | None, list[NewWaiver]] = {}
    for group in sorted(groups, key=lambda group: _order(group[0].key)):
        home = group[0].key.home
        mine = made.setdefault(home, [])
        for index in range(max(0, len(mine) - _MOST_OPEN), len(mine)):
            wider = mine[index].joined(group)
            if wider.fits and not any(map(wider.speaks_of, others[home])):
                mine[index] = wider
                break
        else:
            mine.append(NewWaiver.of(group))
    return [waiver for waivers in made.values() for waiver in waivers]


def _order(key: FindingKey) -> tuple[str, ...]:
    return (key.kind, key.group, key.name, key.check)
