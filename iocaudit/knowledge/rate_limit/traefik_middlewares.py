"""Traefik's Middlewares: which of them limit, themselves or through chains, and which a reference means.

Source: Traefik 3 reference: kinds of traefik.io/v1alpha1 (RateLimit, InFlightReq, Chain). The group
traefik.containo.us is the name of Traefik 2; Traefik 3 does not read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.gateways import (
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
)
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.traefik_version import WORKLOADS, shows_traefik_3
from iocaudit.knowledge.rate_limit.values import number, positive, seconds
from iocaudit.knowledge.rate_limit.verdict import absent, title

ROUTER = "traefik.ingress.kubernetes.io/router.middlewares"
KINDS = (TRAEFIK_MIDDLEWARE, LEGACY_TRAEFIK_MIDDLEWARE)
_LEGACY = (LEGACY_TRAEFIK_MIDDLEWARE, LEGACY_TRAEFIK_INGRESS_ROUTE)
Identity = tuple[Kind, str, str]


@dataclass(slots=True)
class Middlewares:
    """All Middlewares at once: which limit, themselves or through chains, so shared chains are walked once."""

    rates: dict[Identity, float] = field(default_factory=dict)
    """Of those that limit, themselves or through a chain, how many requests a second they let through."""
    idle: dict[Identity, str] = field(default_factory=dict)
    """Those that are meant to limit and do not, as messages name them."""
    doubtful: dict[Identity, str] = field(default_factory=dict)
    tokens: dict[str, list[Identity]] = field(default_factory=dict)


def all_middlewares(world: World, near: Resource) -> Middlewares:
    kinds = (*KINDS, TRAEFIK_INGRESS_ROUTE, *WORKLOADS)
    return world.memo("traefik middlewares", kinds, lambda: _read_all(world, near), near=near)


def _read_all(world: World, near: Resource) -> Middlewares:
    found = Middlewares()
    everything = {
        (kind, world.namespace_of(middleware) or "", middleware.name): middleware
        for kind in KINDS
        for middleware in world.all(kind, near=near)
    }
    for identity in everything:
        found.tokens.setdefault(f"{identity[1]}-{identity[2]}", []).append(identity)
    users: dict[Identity, list[Identity]] = {}
    doubtful: dict[Identity, str] = {}
    for identity, middleware in everything.items():
        spec = middleware.raw.get("spec")
        if positive(lookup(spec, "rateLimit", "average")) or positive(lookup(spec, "inFlightReq", "amount")):
            found.rates[identity] = _rate(spec)
        elif "rateLimit" in mapping(spec) or "inFlightReq" in mapping(spec):
            found.idle[identity] = title(middleware)
        for entry in mappings(lookup(spec, "chain", "middlewares")):
            members, doubt = resolve(entry, middleware, world, found.tokens)
            for member in members:
                users.setdefault(member, []).append(identity)
            if doubt:
                doubtful.setdefault(identity, doubt)
    # A chain lets through what the strictest of its members does.
    for base in sorted(found.rates, key=lambda one: found.rates[one]):
        waiting = [base]
        while waiting:
            for user in users.get(waiting.pop(), ()):
                if user not in found.rates:
                    found.rates[user] = found.rates[base]
                    waiting.append(user)
    reached = set(doubtful)
    _spread(reached, users)
    reason = next(iter(doubtful.values()), "")
    found.doubtful = {identity: doubtful.get(identity, reason) for identity in reached}
    return found


def _rate(spec: object) -> float:
    """How many requests a second a Middleware lets through; 0 where it counts those under way."""
    if positive(lookup(spec, "inFlightReq", "amount")):
        return 0.0
    period = seconds(lookup(spec, "rateLimit", "period")) if "period" in mapping(lookup(spec, "rateLimit")) else 1.0
    return (number(lookup(spec, "rateLimit", "average")) or 0.0) / period if period else 0.0


def _spread(reached: set[Identity], users: Mapping[Identity, list[Identity]]) -> None:
    """Add everything that uses a member of the set, however far away; each chain is looked at once."""
    waiting = list(reached)
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in reached:
                reached.add(user)
                waiting.append(user)


def resolve(
    entry: Mapping[str, Any], owner: Resource, world: World, tokens: Mapping[str, list[Identity]]
) -> tuple[list[Identity], str]:
    """The Middlewares a ``{name, namespace}`` means, and why there may be one that is not known here."""
    name = text(entry.get("name"))
    if "@" in name:
        return named(name, owner, world, tokens)
    namespace = text(entry.get("namespace")) or world.namespace_of(owner) or ""
    found = [
        (kind, namespace, name)
        for kind in _readable(owner, world)
        if world.get(kind, namespace, name, near=owner) is not None
    ]
    return found, "" if found else absent(world, *_readable(owner, world)).unknown


def named(
    token: str, owner: Resource, world: World, tokens: Mapping[str, list[Identity]]
) -> tuple[list[Identity], str]:
    """The Middlewares meant by ``<namespace>-<name>@kubernetescrd``."""
    name, _, provider = token.partition("@")
    if provider != "kubernetescrd":
        return [], f"middleware {clip(token)} is defined outside the cluster's objects"
    kinds = _readable(owner, world)
    found = [identity for identity in tokens.get(name, ()) if identity[0] in kinds]
    return found, "" if found else absent(world, *kinds).unknown


def _readable(owner: Resource, world: World) -> tuple[Kind, ...]:
    """Where a reference is looked up: Traefik 3 reads its own group alone."""
    if owner.kind in _LEGACY or not shows_traefik_3(world, owner):
        return KINDS
    return (TRAEFIK_MIDDLEWARE,)


def middlewares_meant(entry: Mapping[str, Any], owner: Resource, world: World) -> tuple[list[Resource], str]:
    """The Middlewares that an entry of a route, a chain or an annotation means, and why one may not be known here."""
    found, doubt = resolve(entry, owner, world, all_middlewares(world, owner).tokens)
    resources = (world.get(kind, namespace, name, near=owner) for kind, namespace, name in found)
    return [one for one in resources if one is not None], doubt


def router_middlewares(ingress: Resource) -> list[str]:
    """The Middlewares that an Ingress names, as ``<namespace>-<name>@<provider>``."""
    return tokens_of(ingress.annotations.get(ROUTER))


def tokens_of(value: object) -> list[str]:
    """The entries of an annotation's list."""
    return [token.strip() for token in text(value).split(",") if token.strip()]
