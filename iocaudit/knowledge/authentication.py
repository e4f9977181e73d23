"""Whether a route asks for authentication, or lets only some networks in: annotations, and Traefik's Middlewares.

The answers are three: ``""`` it does, None it does not, any other text why that cannot be determined.
Sources: annotations of ingress-nginx, NGINX Inc., HAProxy's two controllers, AWS, Kong; Traefik's middlewares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iocaudit.core.kinds.gateways import (
    KONG_CLUSTER_PLUGIN,
    KONG_PLUGIN,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
)
from iocaudit.core.resource import Resource
from iocaudit.core.shape import mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.exposure import are_limited
from iocaudit.knowledge.rate_limit import traefik_middlewares
from iocaudit.knowledge.rate_limit.verdict import absent

LOOKED_UP = (
    TRAEFIK_MIDDLEWARE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    KONG_PLUGIN,
    KONG_CLUSTER_PLUGIN,
)
_PREFIXES = ("nginx.ingress.kubernetes.io/", "haproxy-ingress.github.io/", "ingress.kubernetes.io/")
_ASKS = (
    *(prefix + name for prefix in _PREFIXES for name in ("auth-url", "auth-type", "auth-secret", "auth-tls-secret")),
    "haproxy-ingress.github.io/oauth",
    "ingress.kubernetes.io/oauth",
    "haproxy.org/auth-type",
    "nginx.org/basic-auth-secret",
    "nginx.com/jwt-key",
    "alb.ingress.kubernetes.io/auth-type",
)
_NETWORKS = (
    *(prefix + name for prefix in _PREFIXES for name in ("whitelist-source-range", "allowlist-source-range")),
    "haproxy.org/allow-list",
    "haproxy.org/whitelist",
    "alb.ingress.kubernetes.io/inbound-cidrs",
)
_MIDDLEWARES = ("basicAuth", "digestAuth", "forwardAuth", "ipAllowList", "ipWhiteList")
_KONG_PLUGINS = (
    "basic-auth",
    "key-auth",
    "key-auth-enc",
    "jwt",
    "oauth2",
    "openid-connect",
    "ldap-auth",
    "ldap-auth-advanced",
    "hmac-auth",
    "mtls-auth",
    "header-cert-auth",
    "ip-restriction",
)


def of_ingress(ingress: Resource, world: World) -> str | None:
    """Whether an Ingress asks for authentication, by any controller's annotations."""
    annotations = ingress.annotations
    if any(text(annotations.get(name)).strip().lower() not in ("", "none") for name in _ASKS):
        return ""
    for name in _NETWORKS:
        if are_limited(value for value in text(annotations.get(name)).split(",") if value.strip()):
            return ""
    # An internal load balancer is what AWS makes unless told otherwise, but only of its own class.
    if text(annotations.get("alb.ingress.kubernetes.io/scheme")) == "internal":
        return ""
    return _first(
        [
            _middlewares([{"name": name} for name in traefik_middlewares.router_middlewares(ingress)], ingress, world),
            _kong(ingress, world),
        ]
    )


def of_route(middlewares: Iterable[Mapping[str, Any]], route: Resource, world: World) -> str | None:
    """Whether a route of an IngressRoute asks for authentication."""
    return _middlewares(middlewares, route, world)


def _first(answers: Iterable[str | None]) -> str | None:
    """Asked for if any says so; else the first doubt."""
    doubt = None
    for answer in answers:
        if answer == "":
            return ""
        doubt = doubt or answer
    return doubt


def _middlewares(entries: Iterable[Mapping[str, Any]], owner: Resource, world: World) -> str | None:
    """Walks chains; every Middleware is looked at once."""
    doubt: str | None = None
    seen: set[tuple[str, str, str]] = set()
    waiting = [(entry, owner) for entry in entries]
    while waiting:
        entry, holder = waiting.pop()
        found, why = traefik_middlewares.middlewares_meant(entry, holder, world)
        doubt = doubt or why or None
        for one in found:
            key = (one.group, world.namespace_of(one) or "", one.name)
            if key in seen:
                continue
            seen.add(key)
            spec = mapping(one.raw.get("spec"))
            if any(name in spec for name in _MIDDLEWARES):
                return ""
            if "plugin" in spec:
                doubt = doubt or f"what plugin Middleware {one.name} does is not known"
            waiting += [(link, one) for link in mappings(mapping(spec.get("chain")).get("middlewares"))]
    return doubt


def _kong(owner: Resource, world: World) -> str | None:
    doubt = None
    for name in text(owner.annotations.get("konghq.com/plugins")).split(","):
        if not name.strip():
            continue
        plugin = world.get(KONG_PLUGIN, world.namespace_of(owner), name.strip(), near=owner) or world.get(
            KONG_CLUSTER_PLUGIN, None, name.strip(), near=owner
        )
        if plugin is None:
            doubt = doubt or absent(world, KONG_PLUGIN, KONG_CLUSTER_PLUGIN).unknown or None
        elif plugin.raw.get("plugin") in _KONG_PLUGINS and plugin.raw.get("disabled") is not True:
            return ""
    return doubt
