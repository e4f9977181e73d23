"""Traefik: Middlewares on routers, in chains, on Services.

Source: Traefik 3 reference: kinds of traefik.io/v1alpha1 (RateLimit, InFlightReq, Chain), annotations
``router.middlewares`` of Ingress and ``service.middlewares`` of Service. The group traefik.containo.us is the name
of Traefik 2; Traefik 3 does not read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from iocaudit.core import paths
from iocaudit.core.hit import Skip
from iocaudit.core.kinds import INGRESS, SERVICE, Kind
from iocaudit.core.kinds.gateways import (
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
)
from iocaudit.core.rate_limit.backends import services
from iocaudit.core.rate_limit.gateway import Gateway, Problems
from iocaudit.core.rate_limit.parents import Rule
from iocaudit.core.rate_limit.values import number, per_second, positive, seconds, shown
from iocaudit.core.rate_limit.verdict import LIMITED, OPEN, Limit, Part, Problem, absent, all_of, any_of, unknown
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.wording import clip
from iocaudit.core.world import World

_ROUTER = "traefik.ingress.kubernetes.io/router.middlewares"
_SERVICE = "traefik.ingress.kubernetes.io/service.middlewares"
_KINDS = (TRAEFIK_MIDDLEWARE, LEGACY_TRAEFIK_MIDDLEWARE)
_FILTER = TRAEFIK_MIDDLEWARE.key
_CURRENT = (TRAEFIK_MIDDLEWARE, TRAEFIK_INGRESS_ROUTE)
_LEGACY = (LEGACY_TRAEFIK_MIDDLEWARE, LEGACY_TRAEFIK_INGRESS_ROUTE)
_Identity = tuple[Kind, str, str]


def shows_traefik_3(world: World) -> bool:
    """Whether an object of traefik.io shows that Traefik is of a version which ignores the legacy group."""
    return any(world.has(kind) for kind in _CURRENT)


@dataclass(slots=True)
class _Middlewares:
    """All Middlewares at once: which limit, themselves or through chains, so that shared chains are walked once."""

    limiting: set[_Identity] = field(default_factory=set)
    doubtful: dict[_Identity, str] = field(default_factory=dict)
    tokens: dict[str, list[_Identity]] = field(default_factory=dict)


def _middlewares(world: World, near: Resource) -> _Middlewares:
    kinds = (*_KINDS, TRAEFIK_INGRESS_ROUTE)
    return world.memo("traefik middlewares", kinds, lambda: _read_all(world, near), near=near)


def _read_all(world: World, near: Resource) -> _Middlewares:
    found = _Middlewares()
    everything = {
        (kind, world.namespace_of(middleware) or "", middleware.name): middleware
        for kind in _KINDS
        for middleware in world.all(kind, near=near)
    }
    for identity in everything:
        found.tokens.setdefault(f"{identity[1]}-{identity[2]}", []).append(identity)
    users: dict[_Identity, list[_Identity]] = {}
    doubtful: dict[_Identity, str] = {}
    for identity, middleware in everything.items():
        spec = middleware.raw.get("spec")
        if positive(lookup(spec, "rateLimit", "average")) or positive(lookup(spec, "inFlightReq", "amount")):
            found.limiting.add(identity)
        for entry in mappings(lookup(spec, "chain", "middlewares")):
            members, doubt = _resolve(entry, middleware, world, found.tokens)
            for member in members:
                users.setdefault(member, []).append(identity)
            if doubt:
                doubtful.setdefault(identity, doubt)
    _spread(found.limiting, users)
    reached = set(doubtful)
    _spread(reached, users)
    reason = next(iter(doubtful.values()), "")
    found.doubtful = {identity: doubtful.get(identity, reason) for identity in reached}
    return found


def _spread(reached: set[_Identity], users: Mapping[_Identity, list[_Identity]]) -> None:
    """Add everything that uses a member of the set, however far away; each chain is looked at once."""
    waiting = list(reached)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in reached:
                reached.add(user)
                waiting.append(user)


def _resolve(
    entry: Mapping[str, Any], owner: Resource, world: World, tokens: Mapping[str, list[_Identity]]
) -> tuple[list[_Identity], str]:
    """The Middlewares a ``{name, namespace}`` means, and why there may be one that is not known here."""
    name = text(entry.get("name"))
    if "@" in name:
        return _named(name, owner, world, tokens)
    namespace = text(entry.get("namespace")) or world.namespace_of(owner) or ""
    found = [
        (kind, namespace, name)
        for kind in _readable(owner, world)
        if world.get(kind, namespace, name, near=owner) is not None
    ]
    return found, "" if found else absent(world, *_readable(owner, world)).unknown


def _named(
    token: str, owner: Resource, world: World, tokens: Mapping[str, list[_Identity]]
) -> tuple[list[_Identity], str]:
    """The Middlewares meant by ``<namespace>-<name>@kubernetescrd``."""
    name, _, provider = token.partition("@")
    if provider != "kubernetescrd":
        return [], f"middleware {clip(token)} is defined outside the cluster's objects"
    kinds = _readable(owner, world)
    found = [identity for identity in tokens.get(name, ()) if identity[0] in kinds]
    return found, "" if found else absent(world, *kinds).unknown


def _readable(owner: Resource, world: World) -> tuple[Kind, ...]:
    """Where a reference is looked up: Traefik 3 reads its own group alone."""
    if owner.kind in _LEGACY or not shows_traefik_3(world):
        return _KINDS
    return (TRAEFIK_MIDDLEWARE,)


def middlewares_meant(entry: Mapping[str, Any], owner: Resource, world: World) -> tuple[list[Resource], str]:
    """The Middlewares that an entry of a route, a chain or an annotation means, and why one may not be known here."""
    found, doubt = _resolve(entry, owner, world, _middlewares(world, owner).tokens)
    resources = (world.get(kind, namespace, name, near=owner) for kind, namespace, name in found)
    return [one for one in resources if one is not None], doubt


def router_middlewares(ingress: Resource) -> list[str]:
    """The Middlewares that an Ingress names, as ``<namespace>-<name>@<provider>``."""
    return _tokens(ingress.annotations.get(_ROUTER))


def _limit_of(found: list[_Identity], doubt: str, known: _Middlewares) -> Limit:
    if any(identity in known.limiting for identity in found):
        return LIMITED
    doubt = doubt or next((known.doubtful[identity] for identity in found if identity in known.doubtful), "")
    return unknown(doubt) if doubt else OPEN


def _tokens(value: object) -> list[str]:
    return [token.strip() for token in text(value).split(",") if token.strip()]


def _by_tokens(value: object, owner: Resource, world: World) -> Limit:
    known = _middlewares(world, owner)
    return any_of(_limit_of(*_named(token, owner, world, known.tokens), known) for token in _tokens(value))


def _by_entries(entries: Iterable[Mapping[str, Any]], owner: Resource, world: World) -> Limit:
    known = _middlewares(world, owner)
    return any_of(_limit_of(*_resolve(entry, owner, world, known.tokens), known) for entry in entries)


def _service(service: Resource | None, world: World) -> Limit:
    if service is None:
        return absent(world, SERVICE)
    return _by_tokens(service.annotations.get(_SERVICE), service, world)


def _ingress(ingress: Resource, world: World) -> Limit:
    router = _by_tokens(ingress.annotations.get(_ROUTER), ingress, world)
    if router.effective:
        return router
    return any_of((router, all_of(_service(service, world) for service in services(ingress, world))))


def _rule(rule: Rule, world: World) -> Limit:
    entries = [{"name": name} for group, kind, name in rule.extensions() if (group, kind) == _FILTER]
    return _by_entries(entries, rule.route, world)


def _routes(resource: Resource, world: World) -> Iterator[Part]:
    for index, route in enumerate(mappings(lookup(resource.raw, "spec", "routes"))):
        match = text(route.get("match"))
        behind = mappings(route.get("services"))
        limit = any_of(
            (
                _by_entries(mappings(route.get("middlewares")), resource, world),
                all_of(_route_service(service, resource, world) for service in behind),
            )
        )
        yield Part("spec.routes", f"route {clip(match) or index}", limit, match, f"spec.routes[{index}]")


def _route_service(service: Mapping[str, Any], owner: Resource, world: World) -> Limit:
    """A service of an IngressRoute: its own middlewares, or those its Service names."""
    own = _by_entries(mappings(service.get("middlewares")), owner, world)
    if own.effective or text(service.get("kind")) not in ("", "Service"):
        return own
    namespace = text(service.get("namespace")) or world.namespace_of(owner)
    return any_of((own, _service(world.get(SERVICE, namespace, text(service.get("name")), near=owner), world)))


# -- limits that do nothing -------------------------------------------------------------------------------


def _middleware_problems(middleware: Resource, world: World, ceiling: float) -> Problems:
    spec = mapping(middleware.raw.get("spec"))
    limits = [name for name in ("rateLimit", "inFlightReq") if name in spec]
    if middleware.kind is LEGACY_TRAEFIK_MIDDLEWARE and limits and shows_traefik_3(world):
        yield Problem(
            "apiVersion", "is of group traefik.containo.us, which Traefik 3 (there are traefik.io objects) ignores"
        )
        return
    if "rateLimit" in spec:
        yield from _rate_problems(mapping(spec.get("rateLimit")), ceiling)
    if "inFlightReq" in spec:
        amount = lookup(spec, "inFlightReq", "amount")
        if not positive(amount):
            yield Problem("spec.inFlightReq.amount", f"is {shown(amount)}, which limits nothing", shown(amount))
    yield from _dangling("spec.chain.middlewares", mappings(lookup(spec, "chain", "middlewares")), middleware, world)


def _rate_problems(limit: Mapping[str, Any], ceiling: float) -> Iterator[Problem]:
    path, average = "spec.rateLimit.average", limit.get("average")
    if not positive(average):
        yield Problem(path, f"is {shown(average)}: Traefik does not limit at all", shown(average))
        return
    period = seconds(limit["period"]) if "period" in limit else 1.0
    rate = (number(average) or 0.0) / period if period else None
    if rate is not None and rate > ceiling:
        yield Problem(path, f"allows {per_second(rate)}, more than {ceiling:g}, which limits nobody", shown(average))


def _route_problems(resource: Resource, world: World, ceiling: float) -> Problems:
    if resource.kind is LEGACY_TRAEFIK_INGRESS_ROUTE and shows_traefik_3(world):
        return  # Traefik 3 does not serve it: its Middlewares say so
    for index, route in enumerate(mappings(lookup(resource.raw, "spec", "routes"))):
        yield from _dangling(f"spec.routes[{index}].middlewares", mappings(route.get("middlewares")), resource, world)
        for at, service in enumerate(mappings(route.get("services"))):
            place = f"spec.routes[{index}].services[{at}].middlewares"
            yield from _dangling(place, mappings(service.get("middlewares")), resource, world)


def _dangling(path: str, entries: list[dict[str, Any]], owner: Resource, world: World) -> Iterator[Problem | Skip]:
    known = _middlewares(world, owner)
    for entry in entries:
        found, doubt = _resolve(entry, owner, world, known.tokens)
        if found:
            continue
        name = text(entry.get("name"))
        if doubt:
            if "@" not in name:
                yield Skip(f"whether Middleware {clip(name)} is there can't be told: {doubt}")
            continue
        namespace = text(entry.get("namespace")) or world.namespace_of(owner) or ""
        yield Problem(path + paths.key(name), _missing(f"{namespace}/{name}", namespace, name, owner, world), name)


def _missing(label: str, namespace: str, name: str, owner: Resource, world: World) -> str:
    if world.get(LEGACY_TRAEFIK_MIDDLEWARE, namespace, name, near=owner) is not None:
        return f"names Middleware {label}, which is of traefik.containo.us alone, a group that Traefik 3 ignores"
    return f"names Middleware {clip(label)}, which is not there"


def _ingress_problems(ingress: Resource, world: World, ceiling: float) -> Problems:
    yield from _annotation_problems(ingress, _ROUTER, world)


def _service_problems(service: Resource, world: World, ceiling: float) -> Problems:
    yield from _annotation_problems(service, _SERVICE, world)


def _annotation_problems(owner: Resource, annotation: str, world: World) -> Problems:
    known = _middlewares(world, owner)
    for token in _tokens(owner.annotations.get(annotation)):
        found, doubt = _named(token, owner, world, known.tokens)
        path = "metadata.annotations" + paths.key(annotation)
        if not found and not doubt:
            yield Problem(path, f"names Middleware {clip(token)}, which is not there", token)
        elif doubt and token.endswith("@kubernetescrd"):
            yield Skip(f"whether Middleware {clip(token)} is there can't be told: {doubt}")


TRAEFIK = Gateway(
    name="Traefik",
    wants=f"a Middleware with rateLimit or inFlightReq, by {_ROUTER} on an Ingress or middlewares of the route",
    looks_up=(*_KINDS, TRAEFIK_INGRESS_ROUTE, SERVICE),
    ingress_controllers=("traefik.io/ingress-controller",),
    class_names=("traefik",),
    filters=(_FILTER,),
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
