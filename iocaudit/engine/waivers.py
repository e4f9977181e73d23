"""Accepted risks: IocWaiver read and asked whether it covers a hit.

A waiver covers a hit alone or not at all: two of which each covers a part never add up. What it was made for is
recorded by fingerprint, so nobody inside a namespace can widen it afterwards.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from iocaudit.core.identity import bounded
from iocaudit.core.images_behind import Images
from iocaudit.core.label_selector import selects
from iocaudit.core.moments import rfc3339
from iocaudit.core.report import ReportedHit, WaivedHit
from iocaudit.core.resource import ADMISSION, Ref, Resource
from iocaudit.core.shape import text
from iocaudit.core.wording import counted
from iocaudit.engine.audit import HitAcceptor
from iocaudit.knowledge.image import ImagePatterns, ImageReference, repository_of

LONGEST = timedelta(days=90)
"""How long a waiver may hold where the operator and the webhook are not told otherwise."""
MOST_COVERED = 1000
"""How many fingerprints a waiver's status lists; beyond, hits are not covered."""


MOST_REPOSITORIES = 200
"""How many repositories of images it lists; beyond, hits are not covered."""
_LONGEST_REPOSITORY = 512


class WaiverState(StrEnum):
    ACTIVE = "Active"
    EXPIRED = "Expired"
    INERT = "Inert"
    REFUSED = "Refused"


class Context(NamedTuple):
    """What a waiver may narrow itself by, beyond the hit: labels of the object, images behind the hit."""

    labels: Mapping[str, Any] = {}
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiver:
    """An IocWaiver that has been read. ``covered`` None: whatever it matches, new hits included.

    ``repositories`` are those of the images behind what it was made for, where it names no images of its own.
    """

    name: str
    checks: frozenset[str]
    namespaces: tuple[str, ...]
    cluster_scope: bool
    kinds: frozenset[str]
    names: tuple[str, ...]
    labels: Mapping[str, Any] | None
    images: tuple[str, ...]
    owner: str
    reason: str
    ticket: str
    expires: datetime
    since: datetime
    covered: frozenset[str] | None
    repositories: frozenset[str] = frozenset()

    @property
    def asks_for_images(self) -> bool:
        """Whether the images behind a hit decide."""
        return bool(self.images or self.repositories)

    def refusal(self, longest: timedelta | None) -> str | None:
        """Why it holds nowhere, however it reads; None where it may hold."""
        if longest is not None and self.expires - self.since > longest:
            return (
                f"it would hold for {_days(self.expires - self.since)}, longer than the {_days(longest)} that are "
                f"allowed: let it expire by {rfc3339(self.since + longest)}"
            )
        return None

    def holds(self, now: datetime, longest: timedelta | None) -> bool:
        return now < self.expires and self.refusal(longest) is None

    def matches(self, check: str, subject: Ref, home: str | None, context: Context) -> bool:
        """Whether a hit on an object at home in a namespace (None: cluster scope) is of those it speaks of."""
        return (
            check in self.checks
            and self._in_place(home)
            and self.names_kind(subject.group, subject.kind)
            and (not self.names or any(fnmatch.fnmatchcase(subject.name, pattern) for pattern in self.names))
            and (self.labels is None or selects(self.labels, context.labels))
            and (not self.images or self._of_images(context.images))
        )

    def may_speak_of(self, scope: str | None) -> bool:
        """Whether it may speak of what is at home in a namespace (None: in cluster scope)."""
        return self._in_place(scope)

    def names_kind(self, group: str, kind: str) -> bool:
        return not self.kinds or kind in self.kinds or f"{kind}.{group}" in self.kinds

    def _in_place(self, home: str | None) -> bool:
        if home is None:
            return self.cluster_scope
        return any(fnmatch.fnmatchcase(home, pattern) for pattern in self.namespaces)

    def _of_images(self, images: Sequence[str]) -> bool:
        """Every image behind the hit is one of those named: a pod-level hit is that of all of its containers."""
        wanted = ImagePatterns.of(self.images)
        read = [ImageReference.parse_or_none(image) for image in images]
        return bool(read) and all(image is not None and wanted.cover(image) for image in read)

    def parts(self, home: str | None, before: Sequence[str], images: Sequence[str]) -> bool:
        """Whether it is for the images before in that place, and not for these."""
        is_for = self._of_images if self.images else self._of_repositories
        return self._in_place(home) and is_for(before) and not is_for(images)

    def _of_repositories(self, images: Sequence[str]) -> bool:
        """Every image behind the hit is of a repository that was there when it was made: tags go on."""
        return not self.repositories or recorded_repositories(images) <= self.repositories

    def covers(self, fingerprint: str, images: Sequence[str]) -> bool:
        """Whether a hit that it matches is one it was made for, with images of the same repositories behind it."""
        return self.covered is None or (fingerprint in self.covered and self._of_repositories(images))


def recorded_repositories(images: Iterable[str]) -> frozenset[str]:
    """The repositories of images as a waiver's status has them."""
    return frozenset(bounded(repository_of(image), _LONGEST_REPOSITORY) for image in images)


class Waivers:
    """Every waiver that can be read, asked hit by hit. ``longest`` is how long one may hold; None: for ever."""

    def __init__(self, waivers: Iterable[Waiver] = (), longest: timedelta | None = LONGEST) -> None:
        self.all = tuple(sorted(waivers, key=lambda waiver: waiver.name))
        self.longest = longest
        self._by_check: dict[str, list[Waiver]] = {}
        for waiver in self.all:
            for check in waiver.checks:
                self._by_check.setdefault(check, []).append(waiver)

    def __bool__(self) -> bool:
        return bool(self.all)

    def naming(self, check: str) -> Sequence[Waiver]:
        """Those that name the check, by name."""
        return self._by_check.get(check, ())

    def speaks_of(self, check: str) -> bool:
        """Whether any waiver names the check: if not, nothing else about a hit needs to be known."""
        return check in self._by_check

    def covering(self, found: ReportedHit, home: str | None, context: Context, now: datetime) -> Waiver | None:
        """The first by name that covers this hit, by itself, now."""
        for waiver in self.naming(found.check):
            if (
                waiver.holds(now, self.longest)
                and waiver.matches(found.check, found.subject, home, context)
                and waiver.covers(found.fingerprint, context.images)
            ):
                return waiver
        return None

    def acceptor(self, clock: Callable[[], datetime]) -> HitAcceptor | None:
        """What an Auditor asks of each hit; None where there is no waiver at all."""
        if not self.all:
            return None
        return _Acceptor(self, clock)

    def left(self, check: str, home: str | None, before: Sequence[str], images: Sequence[str], now: datetime) -> bool:
        """Whether a waiver for the check in that place is for the images before, and not for these."""
        return any(
            waiver.asks_for_images and waiver.holds(now, self.longest) and waiver.parts(home, before, images)
            for waiver in self.naming(check)
        )

    def accept(self, found: ReportedHit, home: str | None, context: Context, now: datetime) -> WaivedHit | None:
        """The hit with what covers it; None where nothing does."""
        waiver = self.covering(found, home, context, now)
        return None if waiver is None else WaivedHit(found, waiver.name, waiver.reason, rfc3339(waiver.expires))

    def notes(self, used: Iterable[str], now: datetime) -> list[str]:
        """What is to be said of waivers that waived nothing, expired or not, and of what a cluster would not take."""
        waived = set(used)
        return [f"waiver {waiver.name}: {said}" for waiver in self.all if (said := _said_of(waiver, waived, now))]

    def next_expiry(self, now: datetime) -> datetime | None:
        """When the next of them ends."""
        return min((waiver.expires for waiver in self.all if waiver.expires > now), default=None)


class _Acceptor:
    """What an Auditor asks, by a clock."""

    def __init__(self, waivers: Waivers, clock: Callable[[], datetime]) -> None:
        self._waivers, self._clock = waivers, clock

    def __call__(
        self, found: ReportedHit, home: str | None, resource: Resource, images: Callable[[], Images]
    ) -> WaivedHit | None:
        waivers = self._waivers
        if not waivers.speaks_of(found.check) or _is_nameless(resource):
            return None
        asked = any(waiver.asks_for_images for waiver in waivers.naming(found.check))
        return waivers.accept(found, home, Context(resource.labels, images() if asked else ()), self._clock())

    def left(self, check: str, home: str | None, before: Images, now: Images) -> bool:
        return self._waivers.left(check, home, before, now, self._clock())


def _said_of(waiver: Waiver, waived: set[str], now: datetime) -> str:
    if waiver.expires - now > LONGEST:
        return f"ends in more than {LONGEST.days} days, which clusters refuse unless --waiver-max-days allows more"
    if waiver.name in waived:
        return ""
    if now >= waiver.expires:
        return f"expired at {rfc3339(waiver.expires)}: what it covered counts again"
    return "covers nothing that was audited"


def _is_nameless(resource: Resource) -> bool:
    """Whether a request's object has no name yet: what it will be called nobody has accepted anything for."""
    return (
        resource.origin.source == ADMISSION.source
        and not text(resource.metadata.get("name"))
        and bool(text(resource.metadata.get("generateName")))
    )


def _days(span: timedelta) -> str:
    days = span.total_seconds() / 86400
    return counted(int(days), "day") if days == int(days) else f"{days:.1f} days"
