"""What can be said of the rate limit of a route, and of a rate limit itself."""

from collections.abc import Iterable
from typing import NamedTuple

from iocaudit.core.kinds import Kind
from iocaudit.core.repair import Repair
from iocaudit.core.world import World


class Limit(NamedTuple):
    """Whether a rate limit takes effect. ``unknown`` says why that can't be told; it is empty where it can."""

    effective: bool
    unknown: str = ""


LIMITED = Limit(True)
OPEN = Limit(False)


def unknown(reason: str) -> Limit:
    """It can't be told whether there is a limit."""
    return Limit(False, reason)


def any_of(limits: Iterable[Limit]) -> Limit:
    """Limited as soon as one of them is; else unknown as soon as one of them is."""
    reason = ""
    for limit in limits:
        if limit.effective:
            return LIMITED
        reason = reason or limit.unknown
    return unknown(reason) if reason else OPEN


def all_of(limits: Iterable[Limit]) -> Limit:
    """Open as soon as one of them is, and where there are none; else unknown as soon as one of them is."""
    found = False
    reason = ""
    for limit in limits:
        found = True
        if not limit.effective and not limit.unknown:
            return OPEN
        reason = reason or limit.unknown
    if not found:
        return OPEN
    return unknown(reason) if reason else LIMITED


def absent(world: World, *kinds: Kind) -> Limit:
    """What the absence of an object means: no limit, or nothing known where its kind was not read whole."""
    for kind in kinds:
        reason = world.incomplete(kind)
        if reason is not None:
            return unknown(f"not all {kind.plural}.{kind.group} could be read: {reason}")
    return OPEN


class Part(NamedTuple):
    """A part of a route that has a limit or none of its own: one route of many in one object.

    ``path``, ``at`` and ``repair`` are as in a Hit; ``label`` names the part in a message, empty for the whole object.
    """

    path: str
    label: str
    limit: Limit
    evidence: str = ""
    at: str | None = None
    repair: Repair | None = None


class Problem(NamedTuple):
    """Why a rate limit does nothing, and where that stands."""

    path: str
    message: str
    evidence: str = ""
    at: str | None = None
