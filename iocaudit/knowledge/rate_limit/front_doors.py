"""LoadBalancer Services that lead to a known controller: told by the images or the labels of the pods they select.

Source: the charts and manifests of each project, named at its Gateway. A Service that was made for a Gateway of the
Gateway API is not among them: what that Gateway lets in is a matter of its routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iocaudit.core.kinds import INGRESS, INGRESS_CLASS, Kind
from iocaudit.core.kinds.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, text
from iocaudit.core.world import World
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.rate_limit import parents
from iocaudit.knowledge.rate_limit.classes import serving
from iocaudit.knowledge.rate_limit.gateway import Gateway
from iocaudit.knowledge.rate_limit.traefik_version import WORKLOADS
from iocaudit.knowledge.rate_limit.verdict import OPEN, Limit, absent

_OF_A_GATEWAY = (
    "gateway.networking.k8s.io/gateway-name",
    "gateway.envoyproxy.io/owning-gateway-name",
    "projectcontour.io/owning-gateway-name",
    "gateway-operator.konghq.com/managed-by",
)
_ROUTES = (HTTP_ROUTE, GRPC_ROUTE)


def controllers_behind(service: Resource, world: World, gateways: tuple[Gateway, ...]) -> tuple[Gateway, ...]:
    """The controllers whose pods a LoadBalancer Service selects; several where its labels are those of several."""
    if text(lookup(service.raw, "spec", "type")) != "LoadBalancer":
        return ()
    selector = mapping(lookup(service.raw, "spec", "selector"))
    if not selector or any(label in selector for label in _OF_A_GATEWAY):
        return ()
    if running := _by_image(selector, service, world, gateways):
        return tuple(running.values())
    return tuple(
        gateway
        for gateway in gateways
        if any(all(selector.get(name) == value for name, value in labels.items()) for labels in gateway.pods)
    )


def _by_image(
    selector: Mapping[str, Any], service: Resource, world: World, gateways: Iterable[Gateway]
) -> dict[str, Gateway]:
    """The controllers that run in the pods which are selected, by name; known of files, whose images are read."""
    found: dict[str, Gateway] = {}
    for kind in WORKLOADS:
        for workload in world.of(kind, world.namespace_of(service), near=service):
            for pod in pods_of(workload):
                if not all(pod.labels.get(name) == value for name, value in selector.items()):
                    continue
                names = [f"/{one.image.repository}" for one in pod.containers if one.image is not None]
                for gateway in gateways:
                    if any(name.endswith(f"/{image}") for name in names for image in gateway.images):
                        found[gateway.name] = gateway
    return found


def routes_elsewhere(service: Resource, world: World, served: Iterable[Gateway], known: tuple[Gateway, ...]) -> Limit:
    """Limited where routes that one of these controllers may serve are in the world: they are judged by themselves.

    Unknown where such routes could not be read.
    """
    kinds = (INGRESS, INGRESS_CLASS, *_ROUTES, *parents.LOOKED_UP)
    with_routes = world.memo(
        "controllers with routes", kinds, lambda: _with_routes(world, known, service), near=service
    )
    lacking: dict[Kind, None] = {}
    for gateway in served:
        if gateway.name in with_routes or any(world.has(kind) for kind in gateway.routes):
            return Limit(True)
        lacking |= dict.fromkeys(gateway.routes)
        lacking |= dict.fromkeys((INGRESS,) if gateway.ingress is not None else ())
        lacking |= dict.fromkeys(_ROUTES if gateway.rule is not None else ())
    return absent(world, *lacking) if lacking else OPEN


def _with_routes(world: World, known: tuple[Gateway, ...], near: Resource) -> frozenset[str]:
    """The names of the controllers that serve, or may serve, some route. An unknown one may be any."""
    found: set[str] = set()
    for ingress in world.all(INGRESS, near=near):
        gateways = serving(ingress, world, known).gateways or tuple(one for one in known if one.ingress is not None)
        found.update(one.name for one in gateways)
    for kind in _ROUTES:
        for route in world.all(kind, near=near):
            for parent in parents.parents_of(route, world):
                own = parent.controller
                found.update(
                    one.name for one in known if one.rule is not None and (not own or own in one.gateway_controllers)
                )
    return frozenset(found)
