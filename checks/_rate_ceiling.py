"""What still counts as a rate limit: one parameter of every check that judges them."""

from iocaudit.core.check import Parameter, Params
from iocaudit.knowledge.rate_limit.values import number
from iocaudit.knowledge.rate_limit.verdict import Limit

CEILING = Parameter(
    "maximumPerSecond",
    {"type": "number", "exclusiveMinimum": 0},
    "the most requests a second that still count as a limit",
    default=10_000,
    exempts=True,
)


def ceiling_of(params: Params) -> float:
    """The highest rate that counts."""
    return number(params["maximumPerSecond"]) or 0.0


def what_is_missing(limit: Limit) -> str:
    """What a route lacks that is not limited: a limit, or one for the rest of its requests."""
    if limit.only:
        return f"has no rate limit for all requests: {'; '.join(limit.only)}"
    if limit.by:
        return f"has no rate limit: that of {limit.by} does nothing"
    return "has no rate limit"


def cause_of(limit: Limit) -> str:
    """The object whose limit does nothing, which is told as one thing with the route that is open because of it."""
    return "" if limit.only else limit.by
