"""One cause is one finding: which hits of a report others imply, so they are not told by themselves.

A hit is implied only by one that is in the same report, so nothing accepts it or leaves it out, that stands in the
same namespace or scope, and that is at least as severe and as strictly treated. A grant is one cause as well: the hits
on a binding stand on the role that it binds in its own scope, which takes the severity of the worst of them.

What implies what is declared by the checks (``Check.implies``). Nothing else is looked at: verdicts do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from iocaudit.core.check import Check
from iocaudit.core.hit import Hit
from iocaudit.core.place import Place
from iocaudit.core.report import ImpliedHit, Report, ReportedHit
from iocaudit.core.severity import Severity
from iocaudit.core.wording import several
from iocaudit.engine.catalogue import Catalogue
from iocaudit.knowledge.clipping import clip

_MOST_SUBJECTS = 3
_LONGEST_NAME = 100

_Object = tuple[tuple[str, str, str | None, str], tuple[str | None, int, str]]
"""Group, kind, namespace and name of an object, and where it was read: overlays repeat names."""
_Key = tuple[str, Place, object]


class _HitRank(NamedTuple):
    """How severe a hit is, and how strictly the policy treats it: a cause has to be as bad in both."""

    severity: Severity
    weight: int

    def covers(self, other: _HitRank) -> bool:
        return self.severity >= other.severity and self.weight >= other.weight

    def raised(self, other: _HitRank) -> _HitRank:
        return _HitRank(max(self.severity, other.severity), max(self.weight, other.weight))


def with_causes(report: Report, catalogue: Catalogue, *, namespace: str = "default", alone: bool = False) -> Report:
    """The same report with the hits that others imply moved from ``found`` to ``implied``.

    ``namespace`` is the one that an object without any is in. ``alone``: each file is a world of its own. Whatever
    takes hits away has to come before: a report that has ``implied`` hits is given back as it is.
    """
    every = report.found
    if report.implied:
        return report
    if alone:
        found, implied = [], []
        for _, part in groupby(every, key=lambda one: one.origin.file):
            some, more = causes_of(list(part), catalogue, namespace)
            found += some
            implied += more
    else:
        found, implied = causes_of(every, catalogue, namespace)
    return replace(report, found=found, implied=implied)


def causes_of(
    hits: Sequence[ReportedHit], catalogue: Catalogue, namespace: str = "default"
) -> tuple[list[ReportedHit], list[ImpliedHit]]:
    """Those of the hits that stand by themselves, in their order, and the others with the one that implies each."""
    checks = {name: check for name in {one.check for one in hits} if (check := catalogue.find(name)) is not None}
    implying = _implying(checks)
    if not implying and all(one.hit.grant is None for one in hits):
        return list(hits), []
    return _Fold(hits, implying, namespace).outcome()


def _implying(checks: Mapping[str, Check]) -> dict[str, tuple[tuple[str, Place], ...]]:
    """By the id of a check, those of the others that may imply its hits: first what nothing else implies itself."""
    found: dict[str, list[tuple[str, Place]]] = {}
    for check in checks.values():
        for name, place in check.implied.items():
            if name in checks:
                found.setdefault(name, []).append((check.id, place))
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = max((1 + depth(by) for by, _ in found.get(name, ())), default=0)
        return depths[name]

    return {name: tuple(sorted(by, key=lambda one: (depth(one[0]), one[0]))) for name, by in found.items()}


class _Fold:
    """Works out for each of many hits which other it is told with, in a time that grows with their number alone."""

    def __init__(
        self, hits: Sequence[ReportedHit], implying: Mapping[str, tuple[tuple[str, Place], ...]], namespace: str
    ) -> None:
        self._hits, self._implying, self._namespace = hits, implying, namespace
        self._standing = [_HitRank(one.severity, one.weight) for one in hits]
        self._by: dict[int, int] = {}
        """Of a hit by its position, that of the one that implies it."""
        self._given: dict[int, list[int]] = {}
        """Of a hit on a role, those on its bindings that stand on it."""
        self._at = self._indexed()

    def outcome(self) -> tuple[list[ReportedHit], list[ImpliedHit]]:
        self._fold_grants()
        for number, one in enumerate(self._hits):
            if one.hit.grant is None and (by := self._implied(number)) is not None:
                self._by[number] = by
        settled = [self._settled(number) for number in range(len(self._hits))]
        found = [one for number, one in enumerate(settled) if number not in self._by]
        return found, [ImpliedHit(settled[number], settled[self._root(number)]) for number in self._by]

    # -- what implies what ---------------------------------------------------------------------------------

    def _indexed(self) -> dict[_Object, dict[_Key, int]]:
        """Of each object the hits that may imply others, by check and place; of several the worst."""
        wanted: dict[str, set[Place]] = {}
        for every in self._implying.values():
            for by, place in every:
                wanted.setdefault(by, set()).add(place)
        index: dict[_Object, dict[_Key, int]] = {}
        for number, one in enumerate(self._hits):
            for place in wanted.get(one.check, ()) if not one.hit.alone else ():
                found = index.setdefault(self._home(one) if place is Place.NAMESPACE else _object(one), {})
                for key in _keys(one, place):
                    known = found.get((one.check, place, key))
                    if known is None or self._rank(number) < self._rank(known):
                        found[one.check, place, key] = number
        return index

    def _rank(self, number: int) -> tuple[object, ...]:
        one, standing = self._hits[number], self._standing[number]
        return (-standing.severity, -standing.weight, one.origin.file or "", one.hit.path, one.hit.evidence)

    def _implied(self, number: int) -> int | None:
        """The hit that implies one, by what the checks declare."""
        one = self._hits[number]
        candidates = self._implying.get(one.check)
        if not candidates:
            return None
        here = self._at.get(_object(one), {})
        for check, place in candidates:
            at = self._at.get(self._home(one), {}) if place is Place.NAMESPACE else here
            keys = _keys(one, place) if at else ()
            found = [at.get((check, place, key)) for key in keys]
            known = [by for by in found if by is not None and self._standing[by].covers(self._standing[number])]
            if known and len(known) == len(found):
                return known[0]
        return None

    def _home(self, one: ReportedHit) -> _Object:
        """The Namespace that a hit is in; it may be said in another file."""
        ref = one.subject
        name = ref.name if (ref.group, ref.kind) == ("", "Namespace") else ref.namespace or self._namespace
        return ("", "Namespace", None, name), (None, 0, "")

    def _root(self, number: int) -> int:
        """The hit that is shown in the end. One that implies is at least as bad, and declarations have no cycles."""
        while (by := self._by.get(number)) is not None:
            number = by
        return number

    # -- grants --------------------------------------------------------------------------------------------

    def _fold_grants(self) -> None:
        bindings = [number for number, one in enumerate(self._hits) if one.hit.grant is not None]
        if not bindings:
            return
        roles: dict[tuple[_Object, str], int] = {}
        wanted = {(grant.role, grant.origin) for number in bindings if (grant := self._hits[number].hit.grant)}
        kinds = {role[1] for role, _ in wanted}
        for number, one in enumerate(self._hits):
            if one.hit.grant is None and one.subject.kind in kinds and (on := _object(one)) in wanted:
                known = roles.get((on, one.check))
                if known is None or self._rank(number) < self._rank(known):
                    roles[on, one.check] = number
        for number in bindings:
            one = self._hits[number]
            grant = one.hit.grant
            assert grant is not None, "only those are looked at"
            by = self._implied(number)
            if by is None and (by := roles.get(((grant.role, grant.origin), one.check))) is not None:
                self._given.setdefault(by, []).append(number)
                self._standing[by] = self._standing[by].raised(self._standing[number])
            if by is not None:
                self._by[number] = by

    def _settled(self, number: int) -> ReportedHit:
        """The hit as it is told: on a role with whom it is given to, and as bad as that makes it."""
        one = self._hits[number]
        given = self._given.get(number)
        if given is None:
            return one
        severity, weight = self._standing[number]
        by_binding: dict[str, dict[str, None]] = {}
        for each in sorted((self._hits[other] for other in given), key=_by_binding):
            assert each.hit.grant is not None, "only those stand on a role"
            named = by_binding.setdefault(clip(f"{each.subject.kind} {each.subject.name}", _LONGEST_NAME), {})
            named[each.hit.grant.to] = None
        told = [f"{several(list(to), _MOST_SUBJECTS)} by {binding}" for binding, to in by_binding.items()]
        message = f"{one.hit.message}; given to {several(told, _MOST_SUBJECTS)}"
        return one._replace(severity=severity, weight=weight, hit=one.hit._replace(message=message))


def _by_binding(one: ReportedHit) -> tuple[str, ...]:
    return (one.subject.kind, one.subject.name, one.hit.path, one.hit.evidence)


def _object(one: ReportedHit) -> _Object:
    ref, origin = one.subject, one.origin
    return (ref.group, ref.kind, ref.namespace, ref.name), (origin.file, origin.document, origin.item)


def _keys(one: ReportedHit, place: Place) -> Iterable[object]:
    """What an implying and an implied hit have in common at such a place; all of the latter's have to be there."""
    hit: Hit = one.hit
    if place is Place.SAME:
        return ((hit.path, hit.about or hit.evidence),)
    if place is Place.NAMESPACE:
        return (hit.about or hit.evidence,)
    within = hit.within
    if within is None:
        return ()
    if place is Place.CONTAINERS:
        return within.containers
    key = within.volume if place is Place.VOLUME else within.pod
    return (key,) if key else ()
