"""Contour: rateLimitPolicy of an HTTPProxy's virtual host or routes, or the default of a ContourConfiguration
or ContourDeployment.

Source: Contour documentation, "Rate limiting": a virtual host's policy also covers the routes of the HTTPProxies it
includes; Contour reads no limit from an Ingress or a route of the Gateway API.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.gateways import CONTOUR_CONFIGURATION, CONTOUR_DEPLOYMENT, HTTP_PROXY
from iocaudit.core.rate_limit.gateway import Gateway, Problems, Way
from iocaudit.core.rate_limit.parents import Rule
from iocaudit.core.rate_limit.values import UNITS, number, per_second, positive, shown
from iocaudit.core.rate_limit.verdict import LIMITED, OPEN, Limit, Part, Problem, absent, all_of, any_of
from iocaudit.core.repair import put
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.wording import clip
from iocaudit.core.world import World

_Identity = tuple[str, str]
_CONFIGURATIONS: dict[Kind, tuple[str, ...]] = {CONTOUR_CONFIGURATION: (), CONTOUR_DEPLOYMENT: ("runtimeSettings",)}
"""Where a configuration stands: by itself, or in what the provisioner makes one of."""


def _limits(policy: object) -> bool:
    return _local(policy) or _global(policy)


def _local(policy: object) -> bool:
    return positive(lookup(policy, "local", "requests"))


def _global(policy: object) -> bool:
    found = mapping(lookup(policy, "global"))
    return found.get("disabled") is not True and bool(mappings(found.get("descriptors")))


def _default(world: World, near: Resource) -> Limit:
    """The rate limit service's default, of whichever configuration has one."""

    def build() -> bool:
        return any(
            _global({"global": lookup(one.raw, "spec", *path, "rateLimitService", "defaultGlobalRateLimitPolicy")})
            for kind, path in _CONFIGURATIONS.items()
            for one in world.all(kind, near=near)
        )

    kinds = tuple(_CONFIGURATIONS)
    return LIMITED if world.memo("contour default", kinds, build, near=near) else absent(world, *kinds)


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


def _routes(proxy: Resource, world: World) -> Iterator[Part]:
    routes = mappings(lookup(proxy.raw, "spec", "routes"))
    if not routes:
        return
    roots = _roots(proxy, world)
    if roots:
        hosts = all_of(
            LIMITED if _limits(lookup(root.raw, "spec", "virtualhost", "rateLimitPolicy")) else OPEN for root in roots
        )
    else:
        hosts = absent(world, HTTP_PROXY)
        if not hosts.unknown:
            return  # nothing includes it, so that nothing serves it
    for index, route in enumerate(routes):
        policy = route.get("rateLimitPolicy")
        own = LIMITED if _limits(policy) else OPEN
        # A route may opt out of the default, not of its virtual host's local limit.
        default = OPEN if lookup(policy, "global", "disabled") is True else _default(world, proxy)
        prefix = next((text(one.get("prefix")) for one in mappings(route.get("conditions")) if one.get("prefix")), "")
        label = f"route {clip(prefix) or index}"
        at = f"spec.routes[{index}]"
        repair = put({"requests": 20, "unit": "second"}, f"{at}.rateLimitPolicy.local")
        yield Part("spec.routes", label, any_of((own, hosts, default)), prefix, at, repair)


def _ingress(ingress: Resource, world: World) -> Limit:
    return _default(world, ingress)


def _rule(rule: Rule, world: World) -> Limit:
    return _default(world, rule.route)


def _limiting(way: Way, world: World) -> str:
    return f"Contour reads no limit of its own from {way.route.kind_name}: an HTTPProxy can have one"


def _problems(proxy: Resource, world: World, ceiling: float) -> Problems:
    spec = mapping(proxy.raw.get("spec"))
    places: list[tuple[str, Any]] = [("spec.virtualhost", mapping(spec.get("virtualhost")))]
    places += [(f"spec.routes[{index}]", route) for index, route in enumerate(mappings(spec.get("routes")))]
    for path, holder in places:
        if "rateLimitPolicy" not in holder:
            continue
        yield from _policy_problems(f"{path}.rateLimitPolicy", holder["rateLimitPolicy"], ceiling)


def _policy_problems(path: str, policy: object, ceiling: float) -> Iterator[Problem]:
    found = mapping(policy)
    if "local" in found:
        requests = number(lookup(found, "local", "requests"))
        unit = UNITS.get(text(lookup(found, "local", "unit")), 1)
        if not requests:
            said = shown(lookup(found, "local", "requests"))
            yield Problem(f"{path}.local.requests", f"is {said}, which limits nothing", said)
        elif requests / unit > ceiling:
            rate = per_second(requests / unit)
            yield Problem(f"{path}.local.requests", f"allows {rate}, more than {ceiling:g}, which limits nobody", rate)
    if "global" in found and not lookup(found, "global", "disabled") and not _global(found):
        yield Problem(f"{path}.global.descriptors", "is empty: nothing is sent to the rate limit service")


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
