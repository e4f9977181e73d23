"""Limits that stand in annotations of an Ingress: whole numbers above zero, each of requests in some time."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core import paths
from iocaudit.core.resource import Resource
from iocaudit.core.shape import text
from iocaudit.knowledge.rate_limit.conditions import MOST_EXEMPT, networks_of, share_of
from iocaudit.knowledge.rate_limit.values import number, per_second, shown
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, any_of, idle, title

_LONGEST = 64 * 1024


class Annotation(NamedTuple):
    """``seconds`` is the time that its number of requests is counted in; None for a number of connections."""

    name: str
    seconds: float | None = None


def annotation_limits(resource: Resource, annotations: Iterable[Annotation]) -> Limit:
    """Whether any of them has a number above zero, and how many requests a second the lowest of them allows."""
    values, by = resource.annotations, title(resource)
    set_here = [one for one in annotations if one.name in values]
    found = ((whole(values[one.name]), one.seconds) for one in set_here)
    limits = [Limit(True, rate=count / seconds if seconds else 0.0, by=by) for count, seconds in found if count]
    return any_of(limits) if limits or not set_here else idle(by)


def whole(value: object) -> int | None:
    """A whole number as controllers read one from an annotation; None for anything else, which they leave out."""
    found = number(value)
    if found is None or (isinstance(value, str) and not value.strip().isdecimal()) or not found.is_integer():
        return None
    return int(found)


def annotation_problems(
    resource: Resource, annotations: Iterable[Annotation], ceiling: float
) -> Iterator[LimitProblem]:
    """Those that are set to a value which does not limit."""
    values = resource.annotations
    for name, seconds in annotations:
        if name not in values:
            continue
        value = values[name]
        path = "metadata.annotations" + paths.key(name)
        found = whole(value)
        if found is None:
            yield LimitProblem(path, f"is {shown(value)}, which is not a whole number: nothing is limited", name)
        elif found <= 0:
            yield LimitProblem(path, f"is {shown(value)}, which limits nothing", name)
        elif seconds is not None and found / seconds > ceiling:
            yield LimitProblem(
                path, f"allows {per_second(found / seconds)}, more than {ceiling:g}, which limits nobody", name
            )


def exempted(value: object) -> str:
    """Whom a list of addresses leaves out of a limit, where that is more than a few of them: else empty."""
    share = share_of(networks_of(text(value)[:_LONGEST]))
    if share < MOST_EXEMPT:
        return ""
    return "every client" if share >= 1 else "at least half of all clients"
