"""Admin surfaces that anybody can reach."""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core import admin_surfaces, authentication, exposure
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import INGRESS, SERVICE
from iocaudit.core.kinds.gateways import LEGACY_TRAEFIK_INGRESS_ROUTE, TRAEFIK_INGRESS_ROUTE
from iocaudit.core.rate_limit.backends import service_names
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World

_TRAEFIK_API = ("api@internal", "dashboard@internal")


@check(
    "exposed-dashboard",
    severity=Severity.HIGH,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    looks_at=(SERVICE, INGRESS, TRAEFIK_INGRESS_ROUTE, LEGACY_TRAEFIK_INGRESS_ROUTE),
    uses=(SERVICE, *authentication.LOOKED_UP),
    controls={"attack": "T1133", "ms": "MS-TA9005", "owasp": "K06", "nsa": "Authentication"},
)
def exposed_dashboard(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """An admin surface is open to the outside.

    Dashboards, workflow engines, notebooks, etcd, registries and monitoring give away the cluster or run what they
    are told to. Behind a LoadBalancer, a NodePort or an Ingress without authentication they are found by scanners
    within hours.

    Bad:

        apiVersion: v1
        kind: Service
        metadata: {name: kubernetes-dashboard, namespace: kubernetes-dashboard}
        spec:
          type: LoadBalancer
          selector: {k8s-app: kubernetes-dashboard}
          ports: [{port: 443, targetPort: 8443}]

    Good:

        apiVersion: v1
        kind: Service
        metadata: {name: kubernetes-dashboard, namespace: kubernetes-dashboard}
        spec:
          selector: {k8s-app: kubernetes-dashboard}
          ports: [{port: 443, targetPort: 8443}]

    Fix: Keep it inside the cluster (kubectl port-forward), or put authentication in front of it.

    Sources: manifests and charts of the projects listed in iocaudit/core/admin_surfaces.py; Microsoft threat matrix
    for Kubernetes, exposed sensitive interfaces.
    """
    if resource.kind is SERVICE:
        yield from _service(resource)
    elif resource.kind is INGRESS:
        yield from _ingress(resource, world)
    else:
        yield from _ingress_route(resource, world)


def _service(service: Resource) -> Iterator[Hit]:
    kind = exposure.service_type(service)
    if kind not in ("LoadBalancer", "NodePort"):
        return
    if kind == "LoadBalancer":
        ranges = exposure.source_ranges(service)
        limited = bool(ranges) and not exposure.everywhere(ranges)
        if limited or exposure.internal_by(service):
            return
    surface = admin_surfaces.of_service(service)
    if surface is not None:
        yield Hit("spec.type", f"opens {surface.title} to the outside as {kind}", f"{surface.title}|{kind}")


def _surface(name: str, namespace: str | None, near: Resource, world: World) -> admin_surfaces.Surface | None:
    service = world.get(SERVICE, namespace, name, near=near)
    return admin_surfaces.of_service(service) if service is not None else admin_surfaces.by_name(name)


def _ingress(ingress: Resource, world: World) -> Iterator[Hit | Skip]:
    for name in service_names(ingress):
        surface = _surface(name, world.namespace_of(ingress), ingress, world)
        if surface is None:
            continue
        doubt = authentication.of_ingress(ingress, world)
        if doubt is None:
            yield Hit("spec.rules", f"opens {surface.title} (Service {name}) to the outside", f"{surface.title}|{name}")
        elif doubt:
            yield Skip(f"whether it asks for authentication can't be told: {doubt}")


def _ingress_route(route: Resource, world: World) -> Iterator[Hit | Skip]:
    for index, entry in enumerate(mappings(lookup(route.raw, "spec", "routes"))):
        for service in mappings(entry.get("services")):
            name = text(service.get("name"))
            namespace = text(service.get("namespace")) or world.namespace_of(route)
            title = "Traefik dashboard" if name in _TRAEFIK_API else ""
            if not title:
                surface = _surface(name, namespace, route, world)
                title = surface.title if surface is not None else ""
            if not title:
                continue
            doubt = authentication.of_route(mappings(entry.get("middlewares")), route, world)
            if doubt is None:
                said = f"opens {title} (service {name}) to the outside"
                yield Hit("spec.routes", said, f"{title}|{name}", at=f"spec.routes[{index}]")
            elif doubt:
                yield Skip(f"whether it asks for authentication can't be told: {doubt}")
