"""Routes into the cluster that nothing keeps from being flooded."""

from collections.abc import Iterator
from typing import Any

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import (
    INGRESS,
    INGRESS_CLASS,
    LEGACY_TRAEFIK_INGRESS_ROUTE,
    LEGACY_TRAEFIK_MIDDLEWARE,
    TRAEFIK_INGRESS_ROUTE,
    TRAEFIK_MIDDLEWARE,
)
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.traefik import limits_requests, middlewares_named, reference
from iocaudit.core.world import World

_NGINX = ("limit-rps", "limit-rpm", "limit-connections")
_NGINX_PREFIX = "nginx.ingress.kubernetes.io/"
_TRAEFIK_ANNOTATION = "traefik.ingress.kubernetes.io/router.middlewares"
_LEGACY_CLASS = "kubernetes.io/ingress.class"
_CONTROLLERS = {"k8s.io/ingress-nginx": "ingress-nginx", "traefik.io/ingress-controller": "Traefik"}
_CLASS_NAMES = {"nginx": "ingress-nginx", "ingress-nginx": "ingress-nginx", "traefik": "Traefik"}
_MECHANISM = {
    "ingress-nginx": f"annotation {_NGINX_PREFIX}limit-rps, limit-rpm or limit-connections above 0",
    "Traefik": f"a Middleware with rateLimit or inFlightReq in annotation {_TRAEFIK_ANNOTATION}",
}


@check(
    "no-rate-limit",
    severity=Severity.MEDIUM,
    iocs=(IoC.INBOUND_TRAFFIC, IoC.HTTP_ERRORS),
    group="network",
    looks_at=(INGRESS, TRAEFIK_INGRESS_ROUTE, LEGACY_TRAEFIK_INGRESS_ROUTE),
    uses=(INGRESS_CLASS, TRAEFIK_MIDDLEWARE, LEGACY_TRAEFIK_MIDDLEWARE),
    controls={"attack": "T1499", "ms": "MS-TA9040", "owasp": "K06"},
)
def no_rate_limit(resource: Resource, world: World) -> Iterator[Hit]:
    """A route into the cluster has no rate limit.

    One client can send as many requests as its line carries and starve everybody else. What counts is the
    mechanism of the controller that serves the route: for ingress-nginx the annotations limit-rps, limit-rpm and
    limit-connections, for Traefik a Middleware with rateLimit or inFlightReq, in a chain as well. Where the
    controller is not known, that is said and any of these counts.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          ingressClassName: nginx
          defaultBackend: {service: {name: web, port: {number: 80}}}

    Good:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: web
          namespace: shop
          annotations: {nginx.ingress.kubernetes.io/limit-rps: "20"}
        spec:
          ingressClassName: nginx
          defaultBackend: {service: {name: web, port: {number: 80}}}

    Fix: Add the rate limit of the controller in use to the route, its gateway or its middleware chain.

    Sources: documentation of ingress-nginx (annotations) and Traefik 3 (RateLimit, InFlightReq, Chain).
    """
    if resource.kind is INGRESS:
        yield from _ingress(resource, world)
    else:
        yield from _ingress_route(resource, world)


def _ingress(resource: Resource, world: World) -> Iterator[Hit]:
    annotations = resource.annotations
    nginx = any(_above_zero(annotations.get(_NGINX_PREFIX + name)) for name in _NGINX)
    named = [token.strip() for token in text(annotations.get(_TRAEFIK_ANNOTATION)).split(",") if token.strip()]
    traefik = any(
        limits_requests(middleware, world)
        for token in named
        for middleware in middlewares_named(token, world, resource)
    )
    controller, said = _controller(resource, world)
    limited = {"ingress-nginx": nginx, "Traefik": traefik}
    if limited[controller] if controller else (nginx or traefik):
        return
    if controller:
        message = f"has no rate limit: {controller} wants {_MECHANISM[controller]}"
    else:
        message = f"has no rate limit that is known here (unknown controller: {said})"
    yield Hit("metadata.annotations", message, controller or "unknown")


def _controller(resource: Resource, world: World) -> tuple[str, str]:
    """The controller that serves an Ingress, or an empty one with what is known of it."""
    name = text(lookup(resource.raw, "spec", "ingressClassName")) or text(resource.annotations.get(_LEGACY_CLASS))
    classes = world.all(INGRESS_CLASS, near=resource)
    if not name:
        defaults = [
            found for found in classes if found.annotations.get("ingressclass.kubernetes.io/is-default-class") == "true"
        ]
        if len(defaults) != 1:
            return "", "no ingress class is set, and there is no single default class"
        name = defaults[0].name
    for found in classes:
        if found.name == name:
            controller = text(lookup(found.raw, "spec", "controller"))
            return _CONTROLLERS.get(controller, ""), f"class {name} belongs to {controller}"
    return _CLASS_NAMES.get(name, ""), f"class {name}"


def _above_zero(value: object) -> bool:
    return isinstance(value, str) and value.strip().isdecimal() and int(value) > 0


def _ingress_route(resource: Resource, world: World) -> Iterator[Hit]:
    for index, route in enumerate(mappings(lookup(resource.raw, "spec", "routes"))):
        if any(_limited(entry, resource, world) for entry in _references(route)):
            continue
        match = text(route.get("match"))
        yield Hit(
            "spec.routes",
            f"route {match or index} has no Middleware with an effective rateLimit or inFlightReq",
            match,
            at=f"spec.routes[{index}]",
        )


def _references(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from mappings(route.get("middlewares"))
    for service in mappings(route.get("services")):
        yield from mappings(service.get("middlewares"))


def _limited(entry: dict[str, Any], resource: Resource, world: World) -> bool:
    return any(limits_requests(found, world) for found in reference(entry, resource, world))
