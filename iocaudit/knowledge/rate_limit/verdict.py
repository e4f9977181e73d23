"""What can be said of the rate limit of a route, and of a rate limit itself."""

from collections.abc import Iterable
from typing import NamedTuple

from iocaudit.core.kinds import Kind
from iocaudit.core.repair import Repair
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip


class Limit(NamedTuple):
    """Whether a rate limit takes effect for every request.

    ``unknown`` is why that cannot be determined, and empty where it can. ``rate`` is how many requests a second it lets
    through, as far as that is known: nobody is limited by a rate that nobody reaches. ``only`` says of limits that hold
    for some requests whom they cover, a clause each. ``by`` names the object that holds the limit, or the one whose
    limit does nothing.
    """

    effective: bool
    unknown: str = ""
    rate: float = 0.0
    only: tuple[str, ...] = ()
    by: str = ""


LIMITED = Limit(True)
OPEN = Limit(False)


def unknown(reason: str) -> Limit:
    """It cannot be determined whether there is a limit."""
    return Limit(False, reason)


def idle(by: str) -> Limit:
    """There is a limit, and it does nothing: ``by`` is the object that it stands in."""
    return Limit(False, by=by)


def any_of(limits: Iterable[Limit]) -> Limit:
    """Limited as soon as one of them is, by the lowest rate; else unknown as soon as one of them is."""
    best: Limit | None = None
    reason = by = ""
    only: dict[str, None] = {}
    for limit in limits:
        if limit.effective:
            if not limit.rate:
                return limit
            best = limit if best is None or limit.rate < best.rate else best
        reason, by = reason or limit.unknown, by or limit.by
        only.update(dict.fromkeys(limit.only))
    if best is not None:
        return best
    return Limit(False, reason, only=tuple(only), by=by)


def all_of(limits: Iterable[Limit]) -> Limit:
    """Open as soon as one of them is, and where there are none; else unknown as soon as one of them is."""
    worst: Limit | None = None
    reason = ""
    for limit in limits:
        if not limit.effective and not limit.unknown:
            return limit
        reason = reason or limit.unknown
        worst = limit if worst is None or limit.rate > worst.rate else worst
    if worst is None:
        return OPEN
    return unknown(reason) if reason else worst


def above(limit: Limit, ceiling: float) -> Limit:
    """The limit, or none where it lets more through than still counts as one."""
    return limit._replace(effective=False) if limit.effective and limit.rate > ceiling else limit


def title(resource: Resource) -> str:
    """An object as messages name it."""
    where = f"{resource.namespace}/" if resource.namespace else ""
    return clip(f"{resource.kind_name} {where}{resource.name}", 200)


def absent(world: World, *kinds: Kind) -> Limit:
    """What the absence of an object means: no limit, or nothing known where its kind was not read whole."""
    for kind in kinds:
        reason = world.incomplete(kind)
        if reason is not None:
            return unknown(f"not all {kind.plural}.{kind.group} could be read: {reason}")
    return OPEN


class RoutePart(NamedTuple):
    """A part of a route that has a limit or none of its own: one route of many in one object.

    ``path``, ``at`` and ``repair`` are as in a Hit; ``label`` names the part in a message, empty for the whole object.
    """

    path: str
    label: str
    limit: Limit
    evidence: str = ""
    at: str | None = None
    repair: Repair | None = None


class LimitProblem(NamedTuple):
    """Why a rate limit does nothing, and where that stands."""

    path: str
    message: str
    evidence: str = ""
    at: str | None = None
