"""Envoy Gateway: BackendTrafficPolicy on a route, one of its rules, a listener, a ListenerSet or a Gateway.

Source: Envoy Gateway, API of BackendTrafficPolicy and its translator: the most specific policy replaces the wider ones
whole, but that of a route or rule with a ``mergeType`` is merged into the nearest of its listener, ListenerSet or
Gateway; of two at one place the older holds. A rule in shadow mode counts and never refuses; one with clientSelectors
is for the requests that fit all of their conditions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iocaudit.core.kinds.gateway_api import EXPERIMENTAL_LISTENER_SET, GATEWAY, GROUP
from iocaudit.core.kinds.gateways import BACKEND_TRAFFIC_POLICY
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.attachment import (
    ACROSS_NAMESPACES,
    AttachmentTarget,
    age,
    attached,
    dangling,
    oldest_selecting,
    unread,
)
from iocaudit.knowledge.rate_limit.conditions import (
    ALWAYS_SENT,
    EVERYBODY,
    MOST_EXEMPT,
    RequestScope,
    covering,
    is_everywhere,
    networks_of,
    share_of,
)
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.making import attachment
from iocaudit.knowledge.rate_limit.parents import Parent, RouteRule, listeners_of
from iocaudit.knowledge.rate_limit.values import UNITS, number, per_second, shown
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, absent, all_of, any_of, idle, title

_SCOPES = ("global", "local")
_ANYTHING = (".*", ".+", "^.*$", "^.+$", "/.*", "^/.*", "^/.*$", "")


def _rule(rule: RouteRule, world: World) -> Limit:
    """Limited if it is by every listener that the route enters by."""
    route = rule.route
    on_route = _on(AttachmentTarget(GROUP, route.kind_name, rule.namespace, route.name), route, route, world)
    own = (on_route.get(rule.name) if rule.name else None) or on_route.get("")
    limit = all_of(
        _decided(own, next((one for one in _on_parent(rule.parent, section, route, world) if one), None))
        for section in listeners_of(rule.parent)
    )
    return limit if limit.effective else any_of((limit, absent(world, *unread(BACKEND_TRAFFIC_POLICY, world, route))))


def _on(target: AttachmentTarget, known: Resource | None, near: Resource, world: World) -> dict[str, Resource]:
    """The policy that holds on an object, by section: the oldest."""
    named = attached(BACKEND_TRAFFIC_POLICY, world, target, near)
    found = {section: policies[0] for section, policies in named.items()}
    selecting = oldest_selecting(BACKEND_TRAFFIC_POLICY, world, known, near) if known is not None else None
    if selecting is not None:
        found[""] = min((one for one in (found.get(""), selecting) if one is not None), key=age)
    return found


def _on_parent(parent: Parent, section: str, near: Resource, world: World) -> Iterator[Resource | None]:
    places: list[tuple[AttachmentTarget, Resource | None]] = []
    if parent.listener_set is not None:
        kind, namespace, name = parent.listener_set
        group = EXPERIMENTAL_LISTENER_SET.group if kind == EXPERIMENTAL_LISTENER_SET.name else GROUP
        places.append((AttachmentTarget(group, kind, namespace, name), None))
    gateway = parent.gateway
    if gateway is not None:
        places.append((AttachmentTarget(GROUP, "Gateway", world.namespace_of(gateway) or "", gateway.name), gateway))
    elif parent.listener_set is None:
        places.append((AttachmentTarget(GROUP, "Gateway", parent.namespace, parent.name), None))
    for at, (target, known) in enumerate(places):
        found = _on_gateway(target, known, near, world)
        # The section of a route is a listener of what it names: of the ListenerSet, where it names one.
        if at == 0 and section:
            yield found.get(section)
        yield found.get("")


def _on_gateway(target: AttachmentTarget, known: Resource | None, near: Resource, world: World) -> dict[str, Resource]:
    """As ``_on``, kept for all the routes of a Gateway."""
    kinds = (BACKEND_TRAFFIC_POLICY, GATEWAY, *ACROSS_NAMESPACES)
    return world.memo(("envoy gateway", target), kinds, lambda: _on(target, known, near, world), near=near)


def _decided(own: Resource | None, parent: Resource | None) -> Limit:
    """What the policy of the route or its rule says, merged into the nearest one above where it asks for that."""
    merge = text(lookup(own.raw, "spec", "mergeType")) if own is not None else ""
    rules = _limit_rules(own)
    if own is None or merge in ("StrategicMerge", "JSONMerge"):
        above = _limit_rules(parent)
        # Strategically merged, lists keep the rules of both; as JSON, the list of a scope replaces the one above.
        rules = [*rules, *(one for one in above if merge != "JSONMerge" or one[0] not in {scope for scope, _ in rules})]
    holder = own if parent is None or (own is not None and _limit_rules(own)) else parent
    by = title(holder) if holder is not None else ""
    if rules and not any(_enforced(one) for _, one in rules):
        return idle(by)
    return covering(by, ((_scope(one), _rate(one)) for _, one in rules if _enforced(one)))


def _limit_rules(policy: Resource | None) -> list[tuple[str, dict[str, Any]]]:
    """Its rules, each with the scope it is in."""
    limit = lookup(policy.raw, "spec", "rateLimit") if policy is not None else None
    return [(scope, rule) for scope in _SCOPES for rule in mappings(lookup(limit, scope, "rules"))]


def _rate(rule: dict[str, Any]) -> float:
    unit = UNITS.get(text(lookup(rule, "limit", "unit")).lower(), 1)
    return (number(lookup(rule, "limit", "requests")) or 0.0) / unit


def _scope(rule: dict[str, Any]) -> RequestScope:
    """Whom a rule is for: all conditions of all its selectors have to hold."""
    scopes = [scope for one in mappings(rule.get("clientSelectors")) for scope in _conditions(one) if scope.words]
    if len(scopes) == 1:
        return scopes[0]
    return RequestScope(" and ".join(dict.fromkeys(scope.words for scope in scopes)))


def _conditions(selector: dict[str, Any]) -> Iterator[RequestScope]:
    for header in mappings(selector.get("headers")):
        yield _valued("header", header)
    for parameter in mappings(selector.get("queryParams")):
        yield _valued("query parameter", parameter)
    if methods := mappings(selector.get("methods")):
        names = [("not " if one.get("invert") is True else "") + text(one.get("value")) for one in methods]
        key = tuple(sorted(text(one.get("value")) for one in methods))
        inverted = [one.get("invert") is True for one in methods]
        yield RequestScope(f"requests of method {clip(', '.join(names), 80)}", (), ("method", key), all(inverted))
    if isinstance(selector.get("path"), dict):
        yield _path(selector["path"])
    if isinstance(selector.get("sourceCIDR"), dict):
        yield _address(selector["sourceCIDR"])


def _valued(what: str, match: dict[str, Any]) -> RequestScope:
    """A header or a query parameter; one that is distinguished by its values has to be there."""
    name, value, kind = text(match.get("name")), text(match.get("value")), text(match.get("type"))
    inverted = match.get("invert") is True
    every = kind == "Distinct" or (kind == "RegularExpression" and value in _ANYTHING)
    if every and not inverted and name.lower() in ALWAYS_SENT:
        return EVERYBODY
    shown = "" if kind == "Distinct" else f": {clip(value, 80)}"
    words = f"requests {'without' if inverted else 'with'} {what} {clip(name, 80)}{shown}"
    return RequestScope(words, (), None if kind == "Distinct" else (what, name.lower(), kind, value), inverted)


def _path(match: dict[str, Any]) -> RequestScope:
    value, kind, inverted = text(match.get("value")), text(match.get("type")), match.get("invert") is True
    if not inverted and (
        (value == "/" and kind in ("", "PathPrefix")) or (kind == "RegularExpression" and value in _ANYTHING)
    ):
        return EVERYBODY
    return RequestScope(
        f"requests {'outside' if inverted else 'of'} path {clip(value, 80)}", (), ("path", kind, value), inverted
    )


def _address(match: dict[str, Any]) -> RequestScope:
    value, inverted = text(match.get("value")), match.get("invert") is True
    networks = tuple(networks_of(value))
    # All but a few addresses that are trusted are everybody.
    if (inverted and share_of(networks) < MOST_EXEMPT) or (not inverted and is_everywhere(networks)):
        return EVERYBODY
    words = f"clients {'outside' if inverted else 'in'} {clip(value, 80)}"
    return RequestScope(words, () if inverted else networks, ("address", value), inverted)


def _rules(limit: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for scope in _SCOPES:
        for index, rule in enumerate(mappings(lookup(limit, scope, "rules"))):
            yield f"spec.rateLimit.{scope}.rules[{index}]", rule


def _enforced(rule: dict[str, Any]) -> bool:
    return number(lookup(rule, "limit", "requests")) is not None and rule.get("shadowMode") is not True


def _limiting(way: OpenRoute, world: World) -> LimitDraft | str:
    route = way.route
    target = AttachmentTarget(GROUP, route.kind_name, world.namespace_of(route) or "", route.name)
    if (standing := _on(target, route, route, world).get("")) is not None:
        # Of two policies on one route the older holds.
        return (
            f"give {title(standing)} a rateLimit rule without clientSelectors: a second policy would not hold beside it"
        )
    limit = {"type": "Local", "local": {"rules": [{"limit": {"requests": 20, "unit": "Second"}}]}}
    return LimitDraft((attachment(BACKEND_TRAFFIC_POLICY, way, world, {"rateLimit": limit}),))


def _problems(policy: Resource, world: World, ceiling: float) -> LimitProblems:
    limit = lookup(policy.raw, "spec", "rateLimit")
    if not isinstance(limit, dict):
        return
    rules = list(_rules(limit))
    if not rules:
        yield LimitProblem("spec.rateLimit", "has no rules")
    for path, rule in rules:
        requests = number(lookup(rule, "limit", "requests"))
        unit = UNITS.get(text(lookup(rule, "limit", "unit")).lower())
        if requests is None:
            yield LimitProblem(f"{path}.limit.requests", f"is {shown(lookup(rule, 'limit', 'requests'))}", "unset")
        elif unit is not None and requests / unit > ceiling:
            said = f"allows {per_second(requests / unit)}, more than {ceiling:g}, which limits nobody"
            yield LimitProblem(f"{path}.limit.requests", said, shown(requests))
        if rule.get("shadowMode") is True:
            yield LimitProblem(f"{path}.shadowMode", "is true: requests over the limit are only counted", "true")
    yield from dangling(policy, world)


ENVOY_GATEWAY = Gateway(
    name="Envoy Gateway",
    wants="a BackendTrafficPolicy with rateLimit on the route, its listener or its Gateway",
    looks_up=(BACKEND_TRAFFIC_POLICY, GATEWAY, *ACROSS_NAMESPACES),
    filters=(("gateway.envoyproxy.io", "HTTPRouteFilter"),),
    gateway_controllers=("gateway.envoyproxy.io/gatewayclass-controller",),
    limiting=_limiting,
    rule=_rule,
    limits={BACKEND_TRAFFIC_POLICY: _problems},
)
