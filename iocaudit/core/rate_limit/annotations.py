"""Limits that stand in annotations of an Ingress: whole numbers above zero, each of requests in some time."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from iocaudit.core import paths
from iocaudit.core.rate_limit.values import number, per_second, shown
from iocaudit.core.rate_limit.verdict import LIMITED, OPEN, Limit, Problem
from iocaudit.core.resource import Resource
from iocaudit.core.shape import text


class Annotation(NamedTuple):
    """``seconds`` is the time that its number of requests is counted in; None for a number of connections."""

    name: str
    seconds: float | None = None


def annotation_limits(resource: Resource, annotations: Iterable[Annotation]) -> Limit:
    """Whether any of them has a number above zero."""
    values = resource.annotations
    return LIMITED if any(whole(values.get(one.name)) for one in annotations) else OPEN


def whole(value: object) -> int | None:
    """A whole number as controllers read one from an annotation; None for anything else, which they leave out."""
    found = number(value)
    if found is None or (isinstance(value, str) and not value.strip().isdecimal()) or not found.is_integer():
        return None
    return int(found)


def annotation_problems(resource: Resource, annotations: Iterable[Annotation], ceiling: float) -> Iterator[Problem]:
    """Those that are set to a value which does not limit."""
    values = resource.annotations
    for name, seconds in annotations:
        if name not in values:
            continue
        value = values[name]
        path = "metadata.annotations" + paths.key(name)
        found = whole(value)
        if found is None:
            yield Problem(path, f"is {shown(value)}, which is no whole number, so that nothing is limited", name)
        elif found <= 0:
            yield Problem(path, f"is {shown(value)}, which limits nothing", name)
        elif seconds is not None and found / seconds > ceiling:
            yield Problem(
                path, f"allows {per_second(found / seconds)}, more than {ceiling:g}, which limits nobody", name
            )


def allows_everybody(value: object) -> bool:
    """Whether a comma-separated list of CIDRs covers a whole address family."""
    for token in text(value).split(","):
        try:
            if ipaddress.ip_network(token.strip(), strict=False).prefixlen == 0:
                return True
        except ValueError:
            continue
    return False
