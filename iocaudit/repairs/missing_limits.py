"""What limits a route or workload without a rate limit, made on request by what the gateway or mesh knows."""

from __future__ import annotations

from iocaudit.core.kinds import SERVICE
from iocaudit.core.kinds.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from iocaudit.core.kinds.gateways import KUADRANT_RATE_LIMIT
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping
from iocaudit.core.world import World
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.rate_limit import cilium, istio, linkerd
from iocaudit.knowledge.rate_limit.cilium import CILIUM
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, OpenRoute
from iocaudit.knowledge.rate_limit.istio import ISTIO
from iocaudit.knowledge.rate_limit.kuadrant import KUADRANT
from iocaudit.knowledge.rate_limit.linkerd import LINKERD
from iocaudit.knowledge.rate_limit.parents import Parent, parents_of
from iocaudit.knowledge.rate_limit.registry import GATEWAYS
from iocaudit.repairs.missing_labels import lasting_labels


def limit_for(found: ReportedHit, resource: Resource, world: World) -> LimitDraft | str:
    """What makes a hit of no-rate-limit go away, or why nothing can be made."""
    if found.hit.repair is not None:
        return "--fix --unsafe-fixes adds the limit to the object itself"
    gateways, parent = _serving(found, resource, world)
    if not gateways:
        return "its controller is not known"
    if len(gateways) > 1:
        return "it may be served by several controllers, which want different limits"
    maker = gateways[0]
    if resource.kind is SERVICE:
        if maker.limiting_all is None:
            return f"{maker.name} has no limit for all routes that could be made here: give each route its own"
        return maker.limiting_all(resource, world)
    if maker is ISTIO and resource.kind is HTTP_ROUTE and world.has(KUADRANT_RATE_LIMIT):
        maker = KUADRANT  # a policy on the route itself, where Istio's own limit is one of the whole gateway
    if maker.limiting is None:
        return f"{maker.name} has no limit that could be made here"
    at = found.hit.at or ""
    return maker.limiting(OpenRoute(resource, at, parent, found.hit.evidence), world)


def _serving(found: ReportedHit, resource: Resource, world: World) -> tuple[list[Gateway], Parent | None]:
    """The gateways that the hit is about, and the object of the Gateway API that the route enters by."""
    if resource.kind in (HTTP_ROUTE, GRPC_ROUTE):
        gate = found.hit.evidence.partition("|")[0]
        parents = [one for one in parents_of(resource, world) if f"{one.namespace}/{one.name}" == gate]
        parent = next(iter(parents), None)
        controller = parent.controller if parent is not None else ""
        return [one for one in GATEWAYS if controller in one.gateway_controllers], parent
    own = [one for one in GATEWAYS if resource.kind in one.routes]
    return own or [one for one in GATEWAYS if one.name in found.hit.evidence.split("|")], None


def limit_between(found: ReportedHit, resource: Resource, world: World) -> LimitDraft | str:
    """What makes a hit of no-workload-rate-limit go away, or why nothing can be made."""
    pod = next((one for one in pods_of(resource) if one.path == found.hit.path), None)
    if pod is None:
        return "its pods are not known"
    if found.hit.evidence == LINKERD.name:
        return linkerd.limiting(pod.labels, resource, world)
    if found.hit.evidence == CILIUM.name:
        home = world.namespace_of(resource) or ""
        names = [one.name for one in world.of(SERVICE, home, near=resource) if _leads_to(one, pod)]
        return LimitDraft(cilium.limiting(home, names, resource, world))
    labels = lasting_labels(resource, pod)
    return istio.limiting(labels, resource, world) if labels else "its pods bear no labels to be selected by"


def _leads_to(service: Resource, pod: PodSpec) -> bool:
    selector = mapping(lookup(service.raw, "spec", "selector"))
    return bool(selector) and all(pod.labels.get(name) == value for name, value in selector.items())
