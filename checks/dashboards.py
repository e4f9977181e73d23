"""Admin surfaces that anybody can reach."""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import INGRESS, SERVICE
from iocaudit.core.kinds.gateways import LEGACY_TRAEFIK_INGRESS_ROUTE, OPENSHIFT_ROUTE, TRAEFIK_INGRESS_ROUTE
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge import admin_images, admin_surfaces, authentication, exposure
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.backends import service_names

_TRAEFIK_API = ("api@internal", "dashboard@internal")


@check(
    "exposed-dashboard",
    severity=Severity.HIGH,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    looks_at=(SERVICE, INGRESS, TRAEFIK_INGRESS_ROUTE, LEGACY_TRAEFIK_INGRESS_ROUTE, OPENSHIFT_ROUTE),
    uses=(SERVICE, *authentication.LOOKED_UP),
    in_audits=admin_images.WORKLOADS,
    controls={"attack": "T1133", "ms": "MS-TA9005", "owasp": "K06", "nsa": "Authentication"},
)
def exposed_dashboard(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """An admin surface is open to the outside.

    Dashboards, workflow engines, notebooks, etcd, registries and monitoring give away the cluster or run what they
    are told to. Behind a LoadBalancer, a NodePort or an Ingress without authentication they are found by scanners
    within hours. Told by the names and ports of the Service and, in an audit, by the images of the pods it selects;
    behind an Ingress only where every port of the Service leads to such an image, not to a proxy beside it. A Route of
    OpenShift asks nobody who they are: what it leads to has to, as a port that is named after a proxy does.

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

    Sources: manifests and charts of the projects; Microsoft threat matrix
    for Kubernetes, exposed sensitive interfaces.
    """
    if resource.kind is SERVICE:
        yield from _service(resource, world)
    elif resource.kind is INGRESS:
        yield from _ingress(resource, world)
    elif resource.kind is OPENSHIFT_ROUTE:
        yield from _route(resource, world)
    else:
        yield from _ingress_route(resource, world)


def _service(service: Resource, world: World) -> Iterator[Hit | Skip]:
    kind = exposure.service_type(service)
    if kind not in ("LoadBalancer", "NodePort"):
        return
    if kind == "LoadBalancer" and (
        exposure.are_limited(exposure.source_ranges(service)) or exposure.internal_by(service)
    ):
        return
    surface = admin_surfaces.of_service(service)
    if surface is not None:
        yield Hit("spec.type", f"opens {surface.title} to the outside as {kind}", f"{surface.title}|{kind}")
        return
    behind = admin_images.behind(service, world)
    if behind is not None:
        said = f"opens {behind.title} ({behind.workload} runs {clip(behind.image)}) to the outside as {kind}"
        yield Hit("spec.type", said, f"{behind.title}|{kind}")
    elif lookup(service.raw, "spec", "selector") and (reason := admin_images.incomplete(world)):
        yield Skip(f"what runs behind it is not known in full here ({reason})")


def _surface(name: str, namespace: str | None, near: Resource, world: World) -> tuple[str, str]:
    """The title of the surface that a Service is, and what to add to it; empty where it is not one."""
    service = world.get(SERVICE, namespace, name, near=near)
    if service is None:
        surface = admin_surfaces.by_name(name)
        return (surface.title if surface is not None else "", "")
    surface = admin_surfaces.of_service(service)
    if surface is not None:
        return (surface.title, "")
    behind = admin_images.behind(service, world)
    if behind is None or not behind.whole:
        return ("", "")
    return (behind.title, f", where {behind.workload} runs {clip(behind.image)}")


def _ingress(ingress: Resource, world: World) -> Iterator[Hit | Skip]:
    for name in service_names(ingress):
        title, more = _surface(name, world.namespace_of(ingress), ingress, world)
        if not title:
            continue
        doubt = authentication.of_ingress(ingress, world)
        if doubt is None:
            yield Hit("spec.rules", f"opens {title} (Service {name}{more}) to the outside", f"{title}|{name}")
        elif doubt:
            yield Skip(f"whether it asks for authentication cannot be determined: {doubt}")


_PROXIES = ("oauth", "proxy", "sso", "auth")


def _route(route: Resource, world: World) -> Iterator[Hit]:
    port = text(lookup(route.raw, "spec", "port", "targetPort")).lower()
    if any(word in port for word in _PROXIES):
        return
    backends = [lookup(route.raw, "spec", "to"), *mappings(lookup(route.raw, "spec", "alternateBackends"))]
    for name in dict.fromkeys(text(lookup(one, "name")) for one in backends):
        title, more = _surface(name, world.namespace_of(route), route, world) if name else ("", "")
        if title:
            yield Hit("spec.to", f"opens {title} (Service {clip(name)}{more}) to the outside", f"{title}|{name}")


def _ingress_route(route: Resource, world: World) -> Iterator[Hit | Skip]:
    for index, entry in enumerate(mappings(lookup(route.raw, "spec", "routes"))):
        for service in mappings(entry.get("services")):
            name = text(service.get("name"))
            namespace = text(service.get("namespace")) or world.namespace_of(route)
            title, more = "Traefik dashboard" if name in _TRAEFIK_API else "", ""
            if not title:
                title, more = _surface(name, namespace, route, world)
            if not title:
                continue
            doubt = authentication.of_route(mappings(entry.get("middlewares")), route, world)
            if doubt is None:
                said = f"opens {title} (service {name}{more}) to the outside"
                yield Hit("spec.routes", said, f"{title}|{name}", at=f"spec.routes[{index}]")
            elif doubt:
                yield Skip(f"whether it asks for authentication cannot be determined: {doubt}")
