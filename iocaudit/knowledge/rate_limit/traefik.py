"""Traefik: Middlewares on routers, in chains, on Services.

Source: Traefik 3 reference: kinds of traefik.io/v1alpha1 (RateLimit, InFlightReq, Chain), annotations
``router.middlewares`` of Ingress and ``service.middlewares`` of Service. The group traefik.containo.us is the name
of Traefik 2; Traefik 3 does not read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.hit import Skip
from iocaudit.core.kinds import INGRESS, SERVICE
from iocaudit.core.kinds.gateways import (
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
)
from iocaudit.core.repair import Edit
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, strings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.backends import services
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.making import listed, made, on_every_rule
from iocaudit.knowledge.rate_limit.parents import RouteRule
from iocaudit.knowledge.rate_limit.traefik_entry_points import middlewares_before
from iocaudit.knowledge.rate_limit.traefik_middlewares import (
    KINDS,
    ROUTER,
    Identity,
    Middlewares,
    all_middlewares,
    named,
    resolve,
    tokens_of,
)
from iocaudit.knowledge.rate_limit.traefik_version import IMAGES, shows_traefik_3
from iocaudit.knowledge.rate_limit.values import number, per_second, positive, seconds, shown
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, RoutePart, absent, all_of, any_of, idle, unknown

_ENTRY_POINTS = "traefik.ingress.kubernetes.io/router.entrypoints"
_SERVICE = "traefik.ingress.kubernetes.io/service.middlewares"
_FILTER = TRAEFIK_MIDDLEWARE.key


def _limit_of(found: list[Identity], doubt: str, known: Middlewares) -> Limit:
    if limiting := [identity for identity in found if identity in known.rates]:
        rate, identity = min((known.rates[identity], identity[1:]) for identity in limiting)
        return Limit(True, rate=rate, by=f"Middleware {'/'.join(identity)}")
    doubt = doubt or next((known.doubtful[identity] for identity in found if identity in known.doubtful), "")
    if doubt:
        return unknown(doubt)
    return idle(next((known.idle[identity] for identity in found if identity in known.idle), ""))


def _by_tokens(value: object, owner: Resource, world: World) -> Limit:
    known = all_middlewares(world, owner)
    return any_of(_limit_of(*named(token, owner, world, known.tokens), known) for token in tokens_of(value))


def _by_entries(entries: Iterable[Mapping[str, Any]], owner: Resource, world: World) -> Limit:
    known = all_middlewares(world, owner)
    return any_of(_limit_of(*resolve(entry, owner, world, known.tokens), known) for entry in entries)


def _service(service: Resource | None, world: World) -> Limit:
    if service is None:
        return absent(world, SERVICE)
    return _by_tokens(service.annotations.get(_SERVICE), service, world)


def _before(names: Iterable[str], owner: Resource, world: World) -> Limit:
    """The limit of the entry points that a route enters by."""
    return all_of(_by_tokens(value, owner, world) for value in middlewares_before(names, owner, world))


def _ingress(ingress: Resource, world: World) -> Limit:
    entered = _before(tokens_of(ingress.annotations.get(_ENTRY_POINTS)), ingress, world)
    router = any_of((_by_tokens(ingress.annotations.get(ROUTER), ingress, world), entered))
    if router.effective:
        return router
    return any_of((router, all_of(_service(service, world) for service in services(ingress, world))))


def _rule(rule: RouteRule, world: World) -> Limit:
    entries = [{"name": name} for group, kind, name in rule.extensions() if (group, kind) == _FILTER]
    return any_of((_by_entries(entries, rule.route, world), _before((), rule.route, world)))


def _routes(resource: Resource, world: World) -> Iterator[RoutePart]:
    entered = _before(strings(lookup(resource.raw, "spec", "entryPoints")), resource, world)
    for index, route in enumerate(mappings(lookup(resource.raw, "spec", "routes"))):
        match = text(route.get("match"))
        behind = mappings(route.get("services"))
        limit = any_of(
            (
                entered,
                _by_entries(mappings(route.get("middlewares")), resource, world),
                all_of(_route_service(service, resource, world) for service in behind),
            )
        )
        yield RoutePart("spec.routes", f"route {clip(match) or index}", limit, match, f"spec.routes[{index}]")


def _route_service(service: Mapping[str, Any], owner: Resource, world: World) -> Limit:
    """A service of an IngressRoute: its own middlewares, or those its Service names."""
    own = _by_entries(mappings(service.get("middlewares")), owner, world)
    if own.effective or text(service.get("kind")) not in ("", "Service"):
        return own
    namespace = text(service.get("namespace")) or world.namespace_of(owner)
    return any_of((own, _service(world.get(SERVICE, namespace, text(service.get("name")), near=owner), world)))


# -- limits that do nothing -------------------------------------------------------------------------------


def _middleware_problems(middleware: Resource, world: World, ceiling: float) -> LimitProblems:
    spec = mapping(middleware.raw.get("spec"))
    limits = [name for name in ("rateLimit", "inFlightReq") if name in spec]
    if middleware.kind is LEGACY_TRAEFIK_MIDDLEWARE and limits and (why := shows_traefik_3(world, middleware)):
        yield LimitProblem("apiVersion", f"is of group traefik.containo.us, which Traefik 3 ({why}) ignores")
        return
    if "rateLimit" in spec:
        yield from _rate_problems(mapping(spec.get("rateLimit")), ceiling)
    if "inFlightReq" in spec:
        amount = lookup(spec, "inFlightReq", "amount")
        if not positive(amount):
            yield LimitProblem("spec.inFlightReq.amount", f"is {shown(amount)}, which limits nothing", shown(amount))
    yield from _dangling("spec.chain.middlewares", mappings(lookup(spec, "chain", "middlewares")), middleware, world)


def _rate_problems(limit: Mapping[str, Any], ceiling: float) -> Iterator[LimitProblem]:
    path, average = "spec.rateLimit.average", limit.get("average")
    if not positive(average):
        yield LimitProblem(path, f"is {shown(average)}: Traefik does not limit at all", shown(average))
        return
    period = seconds(limit["period"]) if "period" in limit else 1.0
    rate = (number(average) or 0.0) / period if period else None
    if rate is not None and rate > ceiling:
        yield LimitProblem(
            path, f"allows {per_second(rate)}, more than {ceiling:g}, which limits nobody", shown(average)
        )


def _route_problems(resource: Resource, world: World, ceiling: float) -> LimitProblems:
    for index, route in enumerate(mappings(lookup(resource.raw, "spec", "routes"))):
        yield from _dangling(f"spec.routes[{index}].middlewares", mappings(route.get("middlewares")), resource, world)
        for at, service in enumerate(mappings(route.get("services"))):
            place = f"spec.routes[{index}].services[{at}].middlewares"
            yield from _dangling(place, mappings(service.get("middlewares")), resource, world)


def _dangling(path: str, entries: list[dict[str, Any]], owner: Resource, world: World) -> Iterator[LimitProblem | Skip]:
    known = all_middlewares(world, owner)
    for entry in entries:
        found, doubt = resolve(entry, owner, world, known.tokens)
        if found:
            continue
        name = text(entry.get("name"))
        if doubt:
            if "@" not in name:
                yield Skip(f"whether Middleware {clip(name)} is there cannot be determined: {doubt}")
            continue
        namespace = text(entry.get("namespace")) or world.namespace_of(owner) or ""
        yield LimitProblem(path + paths.key(name), _missing(f"{namespace}/{name}", namespace, name, owner, world), name)


def _missing(label: str, namespace: str, name: str, owner: Resource, world: World) -> str:
    if world.get(LEGACY_TRAEFIK_MIDDLEWARE, namespace, name, near=owner) is not None:
        return f"names Middleware {label}, which is of traefik.containo.us alone, a group that Traefik 3 ignores"
    return f"names Middleware {clip(label)}, which is not there"


def _ingress_problems(ingress: Resource, world: World, ceiling: float) -> LimitProblems:
    yield from _annotation_problems(ingress, ROUTER, world)


def _service_problems(service: Resource, world: World, ceiling: float) -> LimitProblems:
    yield from _annotation_problems(service, _SERVICE, world)


def _annotation_problems(owner: Resource, annotation: str, world: World) -> LimitProblems:
    known = all_middlewares(world, owner)
    for token in tokens_of(owner.annotations.get(annotation)):
        found, doubt = named(token, owner, world, known.tokens)
        path = "metadata.annotations" + paths.key(annotation)
        if not found and not doubt:
            yield LimitProblem(path, f"names Middleware {clip(token)}, which is not there", token)
        elif doubt and token.endswith("@kubernetescrd"):
            yield Skip(f"whether Middleware {clip(token)} is there cannot be determined: {doubt}")


# -- a limit for a route that has none --------------------------------------------------------------------


def _limiting(way: OpenRoute, world: World) -> LimitDraft | str:
    route = way.route
    ours = TRAEFIK_MIDDLEWARE
    if route.kind is LEGACY_TRAEFIK_INGRESS_ROUTE and shows_traefik_3(world, route):
        return "Traefik 3 does not read its group: make it an IngressRoute of traefik.io first"
    legacy = route.kind is LEGACY_TRAEFIK_INGRESS_ROUTE or world.has(LEGACY_TRAEFIK_MIDDLEWARE)
    if legacy and not shows_traefik_3(world, route):
        ours = LEGACY_TRAEFIK_MIDDLEWARE  # the first object of traefik.io would say that the others are not read
    middleware = made(ours, route, world, {"spec": {"rateLimit": {"average": 20, "burst": 40}}})
    name = middleware["metadata"]["name"]
    if route.kind is INGRESS:
        return LimitDraft((middleware,), (listed(route, ROUTER, f"{world.namespace_of(route)}-{name}@kubernetescrd"),))
    if route.kind in (TRAEFIK_INGRESS_ROUTE, LEGACY_TRAEFIK_INGRESS_ROUTE):
        return LimitDraft((middleware,), (Edit("include", f"{way.at}.middlewares", {"name": name}),))
    reference = {"group": ours.group, "kind": ours.name, "name": name}
    return LimitDraft((middleware,), on_every_rule(way, {"type": "ExtensionRef", "extensionRef": reference}))


TRAEFIK = Gateway(
    name="Traefik",
    wants=f"a Middleware with rateLimit or inFlightReq, by {ROUTER} on an Ingress or middlewares of the route",
    looks_up=(*KINDS, TRAEFIK_INGRESS_ROUTE, SERVICE),
    limiting=_limiting,
    ingress_controllers=("traefik.io/ingress-controller",),
    class_names=("traefik",),
    filters=(_FILTER,),
    images=IMAGES,
    globally=lambda service, world: _before((), service, world),
    pods=({"app.kubernetes.io/name": "traefik"}, {"app": "traefik"}),
    gateway_controllers=("traefik.io/gateway-controller",),
    ingress=_ingress,
    rule=_rule,
    routes={TRAEFIK_INGRESS_ROUTE: _routes, LEGACY_TRAEFIK_INGRESS_ROUTE: _routes},
    limits={
        TRAEFIK_MIDDLEWARE: _middleware_problems,
        LEGACY_TRAEFIK_MIDDLEWARE: _middleware_problems,
        TRAEFIK_INGRESS_ROUTE: _route_problems,
        LEGACY_TRAEFIK_INGRESS_ROUTE: _route_problems,
        INGRESS: _ingress_problems,
        SERVICE: _service_problems,
    },
)
