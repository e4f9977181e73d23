"""Contour: rateLimitPolicy of an HTTPProxy's virtual host or routes, or the default of a ContourConfiguration
or ContourDeployment.

Source: Contour documentation, "Rate limiting": a virtual host's policy also covers the routes of the HTTPProxies it
includes; Contour reads no limit from an Ingress or a route of the Gateway API. A descriptor is sent only for requests
that have all of its entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.gateways import CONTOUR_CONFIGURATION, CONTOUR_DEPLOYMENT, HTTP_PROXY
from iocaudit.core.repair import put
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.conditions import ALWAYS_SENT, RequestScope, covering, with_header
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.parents import RouteRule
from iocaudit.knowledge.rate_limit.values import UNITS, number, per_second, shown
from iocaudit.knowledge.rate_limit.verdict import (
    OPEN,
    Limit,
    LimitProblem,
    RoutePart,
    absent,
    all_of,
    any_of,
    idle,
    title,
)

_Identity = tuple[str, str]
_CONFIGURATIONS: dict[Kind, tuple[str, ...]] = {CONTOUR_CONFIGURATION: (), CONTOUR_DEPLOYMENT: ("runtimeSettings",)}
"""Where a configuration stands: by itself, or in what the provisioner makes one of."""


def _limit_of(policy: object, by: str) -> Limit:
    """The limit of a policy of one object: its own count, or what it tells the rate limit service."""
    if not mapping(policy):
        return OPEN
    found = any_of((_local(policy, by), _global(policy, by)))
    meant = "local" in mapping(policy) or lookup(policy, "global", "disabled") is not True
    return found if found.effective or found.only or not meant else idle(by)


def _local(policy: object, by: str) -> Limit:
    requests = number(lookup(policy, "local", "requests")) or 0.0
    rate = requests / UNITS.get(text(lookup(policy, "local", "unit")), 1)
    return Limit(True, rate=rate, by=by) if requests > 0 else OPEN


def _global(policy: object, by: str) -> Limit:
    found = mapping(lookup(policy, "global"))
    if found.get("disabled") is True:
        return OPEN
    return covering(by, [(_scope(one), 0.0) for one in mappings(found.get("descriptors"))])


def _scope(descriptor: Mapping[str, Any]) -> RequestScope:
    """For which requests a descriptor is sent: those that have all of its entries."""
    scopes = [scope for entry in mappings(descriptor.get("entries")) for scope in _conditions(entry)]
    if len(scopes) == 1:
        return scopes[0]
    return RequestScope(" and ".join(dict.fromkeys(scope.words for scope in scopes)))


def _conditions(entry: Mapping[str, Any]) -> Iterator[RequestScope]:
    name = text(lookup(entry, "requestHeader", "headerName"))
    if name and name.lower() not in ALWAYS_SENT:
        yield RequestScope(with_header(name))
    match = entry.get("requestHeaderValueMatch")
    if isinstance(match, dict):
        headers = mappings(match.get("headers"))
        inverted = match.get("expectMatch") is False
        said = " and ".join(dict.fromkeys(text(one.get("name")) for one in headers))
        words = f"requests {'without' if inverted else 'with'} header {clip(said, 80)} of a certain value"
        yield RequestScope(words, (), json.dumps(headers, sort_keys=True, default=str), inverted)


def _default(world: World, near: Resource) -> Limit:
    """The rate limit service's default, of whichever configuration has one."""

    def build() -> Limit:
        return any_of(
            _global(
                {"global": lookup(one.raw, "spec", *path, "rateLimitService", "defaultGlobalRateLimitPolicy")},
                title(one),
            )
            for kind, path in _CONFIGURATIONS.items()
            for one in world.all(kind, near=near)
        )

    kinds = tuple(_CONFIGURATIONS)
    found = world.memo("contour default", kinds, build, near=near)
    return found if found.effective else any_of((found, absent(world, *kinds)))


def _includers(world: World, near: Resource) -> dict[_Identity, list[Resource]]:
    """Each included HTTPProxy and who includes it."""

    def build() -> dict[_Identity, list[Resource]]:
        found: dict[_Identity, list[Resource]] = {}
        for proxy in world.all(HTTP_PROXY, near=near):
            home = world.namespace_of(proxy) or ""
            for include in mappings(lookup(proxy.raw, "spec", "includes")):
                key = (text(include.get("namespace")) or home, text(include.get("name")))
                found.setdefault(key, []).append(proxy)
        return found

    return world.memo("contour includes", (HTTP_PROXY,), build, near=near)


def _roots(proxy: Resource, world: World) -> list[Resource]:
    """The HTTPProxies with a virtual host that this one's routes are served under, itself where it has one."""
    includers = _includers(world, proxy)
    seen: set[_Identity] = set()
    roots, waiting = [], [proxy]
    while waiting:
        one = waiting.pop()
        identity = (world.namespace_of(one) or "", one.name)
        if identity in seen:
            continue
        seen.add(identity)
        if isinstance(lookup(one.raw, "spec", "virtualhost"), dict):
            roots.append(one)
        else:
            waiting += includers.get(identity, ())
    return roots


def _routes(proxy: Resource, world: World) -> Iterator[RoutePart]:
    routes = mappings(lookup(proxy.raw, "spec", "routes"))
    if not routes:
        return
    roots = _roots(proxy, world)
    if roots:
        hosts = all_of(
            _limit_of(lookup(root.raw, "spec", "virtualhost", "rateLimitPolicy"), title(root)) for root in roots
        )
    else:
        hosts = absent(world, HTTP_PROXY)
        if not hosts.unknown:
            return  # nothing includes it, so nothing serves it
    for index, route in enumerate(routes):
        policy = route.get("rateLimitPolicy")
        own = _limit_of(policy, title(proxy))
        # A route may opt out of the default, not of its virtual host's local limit.
        default = OPEN if lookup(policy, "global", "disabled") is True else _default(world, proxy)
        prefix = next((text(one.get("prefix")) for one in mappings(route.get("conditions")) if one.get("prefix")), "")
        label = f"route {clip(prefix) or index}"
        at = f"spec.routes[{index}]"
        repair = put({"requests": 20, "unit": "second"}, f"{at}.rateLimitPolicy.local")
        yield RoutePart("spec.routes", label, any_of((own, hosts, default)), prefix, at, repair)


def _ingress(ingress: Resource, world: World) -> Limit:
    return _default(world, ingress)


def _rule(rule: RouteRule, world: World) -> Limit:
    return _default(world, rule.route)


def _limiting(way: OpenRoute, world: World) -> str:
    return f"Contour reads no limit of its own from {way.route.kind_name}: an HTTPProxy can have one"


def _problems(proxy: Resource, world: World, ceiling: float) -> LimitProblems:
    spec = mapping(proxy.raw.get("spec"))
    places: list[tuple[str, Any]] = [("spec.virtualhost", mapping(spec.get("virtualhost")))]
    places += [(f"spec.routes[{index}]", route) for index, route in enumerate(mappings(spec.get("routes")))]
    for path, holder in places:
        if "rateLimitPolicy" not in holder:
            continue
        yield from _policy_problems(f"{path}.rateLimitPolicy", holder["rateLimitPolicy"], ceiling)


def _policy_problems(path: str, policy: object, ceiling: float) -> Iterator[LimitProblem]:
    found = mapping(policy)
    if "local" in found:
        requests = number(lookup(found, "local", "requests"))
        unit = UNITS.get(text(lookup(found, "local", "unit")), 1)
        if not requests:
            said = shown(lookup(found, "local", "requests"))
            yield LimitProblem(f"{path}.local.requests", f"is {said}, which limits nothing", said)
        elif requests / unit > ceiling:
            rate = per_second(requests / unit)
            yield LimitProblem(
                f"{path}.local.requests", f"allows {rate}, more than {ceiling:g}, which limits nobody", rate
            )
    if "global" in found and not lookup(found, "global", "disabled") and _global(found, "") == OPEN:
        yield LimitProblem(f"{path}.global.descriptors", "is empty: nothing is sent to the rate limit service")


CONTOUR = Gateway(
    name="Contour",
    wants="rateLimitPolicy on the virtual host or the route of an HTTPProxy",
    looks_up=(HTTP_PROXY, *_CONFIGURATIONS),
    ingress_controllers=("projectcontour.io/ingress-controller",),
    class_names=("contour",),
    images=("projectcontour/contour",),
    pods=({"app.kubernetes.io/name": "contour", "app.kubernetes.io/component": "envoy"},),
    globally=lambda service, world: _default(world, service),
    gateway_controllers=("projectcontour.io/gateway-controller", "projectcontour.io/contour"),
    limiting=_limiting,
    ingress=_ingress,
    rule=_rule,
    routes={HTTP_PROXY: _routes},
    limits={HTTP_PROXY: _problems},
)
