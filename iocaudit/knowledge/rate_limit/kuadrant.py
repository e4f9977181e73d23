"""Kuadrant: RateLimitPolicy on a Gateway or a route, beside whichever gateway serves them.

Source: Kuadrant, RateLimitPolicy of kuadrant.io/v1 and its merge strategies. From Gateway over listener and route to
rule: overrides beat what is more specific, defaults hold where the more specific policy has no limits at all, and
``strategy: merge`` does so limit by limit. A limit with ``when`` is for the requests for which all its predicates hold;
``counters`` tell clients apart and leave nobody out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.kinds.gateway_api import GROUP, HTTP_ROUTE
from iocaudit.core.kinds.gateways import KUADRANT_RATE_LIMIT
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.attachment import AttachmentTarget, attached, dangling
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, RequestScope, covering, where
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.making import made, target
from iocaudit.knowledge.rate_limit.parents import Parent, RouteRule, listeners_of
from iocaudit.knowledge.rate_limit.values import number, per_second, seconds, shown
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, absent, all_of, any_of, idle, title

_BLOCKS = ("overrides", "defaults")
_MOST_NAMED = 4


class _NamedLimit(NamedTuple):
    """One limit of a policy."""

    raw: Any
    by: str


class _Limits(NamedTuple):
    """What a policy, or several merged, come to: the limits by name, and the conditions of them all."""

    limits: Mapping[str, _NamedLimit]
    when: Any = None

    @property
    def limit(self) -> Limit:
        return _together_limit(self.limits.values(), self.when)


def _rule(rule: RouteRule, world: World) -> Limit:
    """Limited if it is by every listener that the route enters by."""
    route = rule.route
    found = attached(
        KUADRANT_RATE_LIMIT, world, AttachmentTarget(GROUP, route.kind_name, rule.namespace, route.name), route
    )
    # A rule goes by its place, counted from 1, and in newer releases by its name.
    sections = dict.fromkeys(("", f"rule-{rule.position + 1}", *([rule.name] if rule.name else ())))
    own = [policy for section in sections for policy in found.get(section, ())]
    limit = all_of(_above(rule.parent, section, route, world).over(own) for section in listeners_of(rule.parent))
    return limit if limit.effective else any_of((limit, absent(world, KUADRANT_RATE_LIMIT)))


@dataclass(frozen=True, slots=True)
class _GatewayPolicies:
    """The policies of a Gateway and one of its listeners, and what they come to: the same for all of its routes.

    ``settled``: they override whatever is more specific. ``acting`` are the limits among their merged defaults that
    act where nothing more specific has the same name, ``beating`` some of those among their overrides: both have those
    for everybody first, and of these the strictest.
    """

    policies: Sequence[Resource]
    settled: bool
    alone: Limit
    defaults: _Limits
    overrides: _Limits
    acting: Sequence[tuple[str, _NamedLimit]]
    beating: Sequence[_NamedLimit]

    def over(self, own: Sequence[Resource]) -> Limit:
        """What these and the policies of a route and its rule come to."""
        if self.settled or not own:
            return self.alone
        mine = _together(own)
        if not mine.limits:
            return _together([*self.policies, *own]).limit
        # Of hundreds of defaults that a Gateway may have the first few that are left say enough.
        left = (one for name, one in self.acting if name not in mine.limits)
        acting = [
            *self.beating,
            *(one for name, one in mine.limits.items() if name not in self.overrides.limits),
            *islice(left, _MOST_NAMED),
        ]
        return _together_limit(acting, self.overrides.when or mine.when or self.defaults.when)


def _above(parent: Parent, section: str, near: Resource, world: World) -> _GatewayPolicies:
    target = AttachmentTarget(GROUP, "Gateway", parent.namespace, parent.name)

    def build() -> _GatewayPolicies:
        found = attached(KUADRANT_RATE_LIMIT, world, target, near)
        policies = [*found.get("", ()), *(found.get(section, ()) if section else ())]
        read = [(policy, *policy.derive(_read)) for policy in policies]
        merged = [one for one in read if one[3]]
        defaults = _together([policy for policy, _, overrides, _ in merged if not overrides])
        overrides = _together([policy for policy, _, overrides, _ in merged if overrides])
        return _GatewayPolicies(
            policies,
            any(overrides and not merges for _, _, overrides, merges in read),
            _together(policies).limit,
            defaults,
            overrides,
            sorted(
                (one for one in defaults.limits.items() if one[0] not in overrides.limits and _acts(one[1].raw)),
                key=lambda one: _width(one[1].raw),
            ),
            sorted(overrides.limits.values(), key=lambda one: _width(one.raw))[:_MOST_NAMED],
        )

    return world.memo(("kuadrant", target, section), (KUADRANT_RATE_LIMIT,), build, near=near)


def _together(policies: Sequence[Resource]) -> _Limits:
    """What policies come to, given from the least to the most specific: each is merged into what follows it."""
    effective: _Limits | None = None
    for policy in reversed(policies):
        mine, overrides, merges = policy.derive(_read)
        if effective is None or (overrides and not merges):
            effective = mine
        elif merges:
            first, second = (effective, mine) if overrides else (mine, effective)
            effective = _Limits({**first.limits, **second.limits}, second.when or first.when)
        elif not effective.limits:
            effective = mine
    return effective or _Limits({})


def _read(policy: Resource) -> tuple[_Limits, bool, bool]:
    """Its limits, whether they override those of more specific policies, and whether they are merged with them."""
    spec = mapping(policy.raw.get("spec"))
    for name in ("defaults", "overrides"):
        if name in spec:
            block = mapping(spec[name])
            return _limits(block, policy), name == "overrides", text(block.get("strategy")) == "merge"
    return _limits(spec, policy), False, False


def _limits(block: Mapping[str, Any], policy: Resource) -> _Limits:
    by = title(policy)
    return _Limits(
        {name: _NamedLimit(one, by) for name, one in mapping(block.get("limits")).items()}, block.get("when")
    )


def _together_limit(limits: Iterable[_NamedLimit], when: Any) -> Limit:
    """What limits come to that hold side by side, under a condition of them all."""
    by_policy: dict[str, list[Any]] = {}
    for one in limits:
        by_policy.setdefault(one.by, []).append(one.raw)
    found = []
    for by, raws in by_policy.items():
        acting = [] if _never(when) else [raw for raw in raws if _acts(raw)]
        scopes = [(_scope(when, mapping(raw).get("when")), _rate(raw)) for raw in acting]
        found.append(covering(by, scopes) if scopes else idle(by))
    return any_of(found)


def _scope(*conditions: object) -> RequestScope:
    """Whom a limit is for: all conditions have to hold."""
    said = [text(one.get("predicate")).strip() for each in conditions for one in mappings(each)]
    said = [one for one in said if one != "true"]
    if not said:
        return EVERYBODY
    if len(said) > 1:
        return RequestScope(where(" and ".join(said)))
    return RequestScope(where(said[0]), (), said[0].replace("!=", "=="), "!=" in said[0])


def _width(limit: object) -> tuple[bool, bool, float]:
    """Sorts limits: those that act, then those for everybody, then the strictest come first."""
    return not _acts(limit), bool(_scope(mapping(limit).get("when")).words), _rate(limit)


def _rate(limit: object) -> float:
    """The lowest of its rates, in requests a second."""
    rates = [
        (number(rate.get("limit")) or 0.0) / (seconds(rate.get("window")) or 1.0)
        for rate in mappings(mapping(limit).get("rates"))
    ]
    return min(rates, default=0.0)


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


def _problems(policy: Resource, world: World, ceiling: float) -> LimitProblems:
    limits = list(_named(policy))
    if not limits:
        yield LimitProblem("spec.limits", "is empty")
    for holder in ("spec", *(f"spec.{name}" for name in _BLOCKS)):
        if _never(lookup(policy.raw, *holder.split("."), "when")):
            yield LimitProblem(f"{holder}.when", "never holds", "false")
    for path, raw in limits:
        limit = mapping(raw)
        rates = mappings(limit.get("rates"))
        if not rates:
            yield LimitProblem(f"{path}.rates", "is empty", "unset")
        if _never(limit.get("when")):
            yield LimitProblem(f"{path}.when", "never holds", "false")
        for index, rate in enumerate(rates):
            count, window = number(rate.get("limit")), seconds(rate.get("window"))
            if count is None:
                yield LimitProblem(f"{path}.rates[{index}].limit", f"is {shown(rate.get('limit'))}", "unset")
            elif window and count / window > ceiling:
                said = f"allows {per_second(count / window)}, more than {ceiling:g}, which limits nobody"
                yield LimitProblem(f"{path}.rates[{index}].limit", said, shown(count))
    yield from dangling(policy, world, numbered=True)


def _limiting(way: OpenRoute, world: World) -> LimitDraft | str:
    route = way.route
    if route.kind is not HTTP_ROUTE:
        return f"a RateLimitPolicy of Kuadrant has no {route.kind_name} for a target"
    own = AttachmentTarget(GROUP, route.kind_name, world.namespace_of(route) or "", route.name)
    if standing := attached(KUADRANT_RATE_LIMIT, world, own, route).get(""):
        return f"give {title(standing[0])} a limit without when: a second policy would not hold beside it"
    spec = {"targetRef": target(route), "limits": {"all": {"rates": [{"limit": 20, "window": "1s"}]}}}
    return LimitDraft((made(KUADRANT_RATE_LIMIT, route, world, {"spec": spec}),))


KUADRANT = Gateway(
    name="Kuadrant",
    wants="a RateLimitPolicy with rates on the route or its Gateway",
    looks_up=(KUADRANT_RATE_LIMIT,),
    limiting=_limiting,
    rule=_rule,
    limits={KUADRANT_RATE_LIMIT: _problems},
)
