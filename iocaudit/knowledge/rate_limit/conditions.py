"""Rules that limit some requests only: whom they are for, and whether several together are for everybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from iocaudit.core.ip import IpNetwork
from iocaudit.core.wording import several
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.verdict import OPEN, Limit

MOST_EXEMPT = 0.5
"""From this share of all addresses on, those that a limit leaves out are more than a few trusted ones."""
_MOST_NAMED = 3
_LONGEST = 80


class RequestScope(NamedTuple):
    """Which requests a rule is for: all of them where ``words`` is empty, else ``words`` say which.

    ``networks`` are the addresses that its clients come from, where it asks for nothing else. ``condition`` is the only
    one that it has, and ``inverted`` whether it has to fail.
    """

    words: str = ""
    networks: tuple[IpNetwork, ...] = ()
    condition: Hashable = None
    inverted: bool = False


EVERYBODY = RequestScope()


def covering(by: str, rules: Iterable[tuple[RequestScope, float]]) -> Limit:
    """What the rules of one object come to, each with the requests a second that it lets through."""
    found = list(rules)
    if not found:
        return OPEN
    partly = [scope.words for scope, _ in found if scope.words]
    only = (f"{by} limits only {_listed(partly)}",) if partly else ()
    whole = [rate for scope, rate in found if not scope.words]
    whole += [*_opposites(found), *_addresses(found)]
    return Limit(True, rate=min(whole), only=only, by=by) if whole else Limit(False, only=only, by=by)


def _opposites(rules: Sequence[tuple[RequestScope, float]]) -> Iterator[float]:
    """The rate of each two rules that make up everybody, as one asks for what the other excludes."""
    lowest: dict[tuple[Hashable, bool], float] = {}
    for scope, rate in rules:
        if scope.condition is not None:
            key = (scope.condition, scope.inverted)
            lowest[key] = min(rate, lowest.get(key, rate))
    for (condition, inverted), rate in lowest.items():
        if not inverted and (condition, True) in lowest:
            yield max(rate, lowest[condition, True])


def _addresses(rules: Sequence[tuple[RequestScope, float]]) -> Iterator[float]:
    """The rate of the strictest rules whose addresses amount to all."""
    covered: list[IpNetwork] = []
    for scope, rate in sorted(rules, key=lambda rule: rule[1]):
        covered += scope.networks
        if scope.networks and is_everywhere(covered):
            yield rate
            return


def _listed(words: Iterable[str]) -> str:
    return several(list(dict.fromkeys(words)), _MOST_NAMED)


def networks_of(text: str) -> Iterator[IpNetwork]:
    """The addresses and ranges in a comma-separated list; anything else is left out, as gateways do."""
    for token in text.split(","):
        try:
            yield ipaddress.ip_network(token.strip(), strict=False)
        except ValueError:
            continue


def is_everywhere(networks: Iterable[IpNetwork]) -> bool:
    """Whether addresses amount to a whole family of them."""
    return share_of(networks) >= 1


def share_of(networks: Iterable[IpNetwork]) -> float:
    """How much of a family of addresses they cover, of the one that is covered more."""
    every = list(networks)
    four = ipaddress.collapse_addresses(one for one in every if isinstance(one, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(one for one in every if isinstance(one, ipaddress.IPv6Network))
    covered = (sum(one.num_addresses for one in four) / 2**32, sum(one.num_addresses for one in six) / 2**128)
    return max(covered)


# -- how a condition reads ------------------------------------------------------------------------------------

ALWAYS_SENT = frozenset({":authority", ":method", ":path", ":scheme", "host"})
"""What every request has: nobody escapes a limit by leaving it out."""


def with_header(name: str, value: str = "") -> str:
    """``requests with header x-user: alice``."""
    shown = clip(name, _LONGEST)
    return f"requests with header {shown}: {clip(value, _LONGEST)}" if value else f"requests with header {shown}"


def where(condition: str) -> str:
    """``requests where request.method == "GET"``."""
    return f"requests where {clip(condition, 2 * _LONGEST)}"


_MAY_BE_EMPTY = ("http_", "arg_", "cookie_", "jwt_", "apikey_", "ssl_client_", "remote_user", "args", "query_string")


def nginx_key(key: str) -> RequestScope:
    """Whom nginx counts by a key: a request for which all of it is empty is not counted.

    Source: nginx, ngx_http_limit_req_module.
    """
    literal, *variables = key.strip().replace("${", "$").replace("}", "").split("$")
    if (
        literal
        or not variables
        or not all(name.isidentifier() and name.startswith(_MAY_BE_EMPTY) for name in variables)
    ):
        return EVERYBODY
    return RequestScope(f"requests that {clip(key, _LONGEST)} is not empty for", condition=key)
