"""Kuadrant: RateLimitPolicy on a Gateway or a route, beside whichever gateway serves them.

Source: Kuadrant, RateLimitPolicy of kuadrant.io/v1 and its documentation on defaults and overrides: a Gateway's
overrides beat a route's policy, which beats the Gateway's defaults; ``strategy: merge`` adds what the other lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.kinds.gateway_api import GROUP, HTTP_ROUTE
from iocaudit.core.kinds.gateways import KUADRANT_RATE_LIMIT
from iocaudit.core.rate_limit.attachment import Target, attached, dangling
from iocaudit.core.rate_limit.gateway import Gateway, Made, Problems, Way
from iocaudit.core.rate_limit.making import made, target
from iocaudit.core.rate_limit.parents import Parent, Rule
from iocaudit.core.rate_limit.values import number, per_second, seconds, shown
from iocaudit.core.rate_limit.verdict import LIMITED, Limit, Problem, absent
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World

_BLOCKS = ("overrides", "defaults")


class _Wide(NamedTuple):
    """What the policies of a Gateway come to for the routes behind it."""

    overrides: bool
    defaults: bool
    merged: bool


def _rule(rule: Rule, world: World) -> Limit:
    route, parent = rule.route, rule.parent
    found = attached(KUADRANT_RATE_LIMIT, world, Target(GROUP, route.kind_name, rule.namespace, route.name), route)
    own = [policy for section in {"", rule.name} for policy in found.get(section, ())]
    wide = _wide(parent, route, world)
    if wide.overrides or any(_effective(policy) for policy in own) or (wide.defaults if not own else wide.merged):
        return LIMITED
    return absent(world, KUADRANT_RATE_LIMIT)


def _wide(parent: Parent, near: Resource, world: World) -> _Wide:
    target = Target(GROUP, "Gateway", parent.namespace, parent.name)

    def build() -> _Wide:
        found = attached(KUADRANT_RATE_LIMIT, world, target, near)
        policies = [policy for section in {"", parent.section} for policy in found.get(section, ())]
        effective = [policy for policy in policies if _effective(policy)]
        return _Wide(
            any(_limits(mapping(lookup(policy.raw, "spec", "overrides")), policy) for policy in policies),
            bool(effective),
            any(text(lookup(policy.raw, "spec", "defaults", "strategy")) == "merge" for policy in effective),
        )

    return world.memo(("kuadrant", target, parent.section), (KUADRANT_RATE_LIMIT,), build, near=near)


def _effective(policy: Resource) -> bool:
    spec = mapping(policy.raw.get("spec"))
    return _limits(spec, policy) or any(_limits(mapping(spec.get(block)), policy) for block in _BLOCKS)


def _limits(block: Any, policy: Resource) -> bool:
    if _never(block.get("when")) or _never(lookup(policy.raw, "spec", "when")):
        return False
    return any(_acts(limit) for limit in mapping(block.get("limits")).values())


def _acts(limit: object) -> bool:
    found = mapping(limit)
    rates = mappings(found.get("rates"))
    return not _never(found.get("when")) and any(number(rate.get("limit")) is not None for rate in rates)


def _never(conditions: object) -> bool:
    """Whether a list of conditions holds one that is false whatever comes; all of them have to hold."""
    return any(text(one.get("predicate")).strip() == "false" for one in mappings(conditions))


def _named(policy: Resource) -> Iterator[tuple[str, Any]]:
    spec = mapping(policy.raw.get("spec"))
    for prefix, block in (("spec", spec), *((f"spec.{name}", mapping(spec.get(name))) for name in _BLOCKS)):
        for name, limit in mapping(block.get("limits")).items():
            yield f"{prefix}.limits" + paths.key(str(name)), limit


def _problems(policy: Resource, world: World, ceiling: float) -> Problems:
    limits = list(_named(policy))
    if not limits:
        yield Problem("spec.limits", "is empty")
    if _never(lookup(policy.raw, "spec", "when")):
        yield Problem("spec.when", "never holds", "false")
    for path, raw in limits:
        limit = mapping(raw)
        rates = mappings(limit.get("rates"))
        if not rates:
            yield Problem(f"{path}.rates", "is empty", "unset")
        if _never(limit.get("when")):
            yield Problem(f"{path}.when", "never holds", "false")
        for index, rate in enumerate(rates):
            count, window = number(rate.get("limit")), seconds(rate.get("window"))
            if count is None:
                yield Problem(f"{path}.rates[{index}].limit", f"is {shown(rate.get('limit'))}", "unset")
            elif window and count / window > ceiling:
                said = f"allows {per_second(count / window)}, more than {ceiling:g}, which limits nobody"
                yield Problem(f"{path}.rates[{index}].limit", said, shown(count))
    yield from dangling(policy, world)


def _limiting(way: Way, world: World) -> Made | str:
    route = way.route
    if route.kind is not HTTP_ROUTE:
        return f"a RateLimitPolicy of Kuadrant has no {route.kind_name} for a target"
    spec = {"targetRef": target(route), "limits": {"all": {"rates": [{"limit": 20, "window": "1s"}]}}}
    return Made((made(KUADRANT_RATE_LIMIT, route, world, {"spec": spec}),))


KUADRANT = Gateway(
    name="Kuadrant",
    wants="a RateLimitPolicy with rates on the route or its Gateway",
    looks_up=(KUADRANT_RATE_LIMIT,),
    limiting=_limiting,
    rule=_rule,
    limits={KUADRANT_RATE_LIMIT: _problems},
)
