"""Workloads of a service mesh that nothing keeps from being flooded by their neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from checks._rate_ceiling import CEILING, cause_of, ceiling_of, what_is_missing
from iocaudit.core.check import Params, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import NAMESPACE, PODS, SERVICE
from iocaudit.core.kinds.gateways import ENVOY_FILTER, LINKERD_RATE_LIMIT, LINKERD_SERVER
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mapping, text
from iocaudit.core.world import World
from iocaudit.knowledge.pods.alike import labelled_alike
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.rate_limit import cilium, istio, linkerd
from iocaudit.knowledge.rate_limit.verdict import OPEN, Limit, above, absent, any_of

_ISTIO_OFF = ("false", "disabled")
_WANTS = {
    "Istio": "an EnvoyFilter with local_ratelimit (token bucket, enforced) for its inbound side",
    "Linkerd": "an HTTPLocalRateLimitPolicy on a Server that selects it",
    "Cilium": "a CiliumEnvoyConfig with local_ratelimit for its Service",
}


@check(
    "no-workload-rate-limit",
    severity=Severity.LOW,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    looks_at=PODS,
    needs=(SERVICE,),
    uses=(NAMESPACE, ENVOY_FILTER, LINKERD_RATE_LIMIT, LINKERD_SERVER, *cilium.CONFIGS),
    controls={"attack": "T1499, T1498", "ms": "MS-TA9040", "owasp": "K06", "nsa": "Resource policies"},
    profile="strict",
    audit_only=True,
    parameters=(CEILING,),
)
def no_workload_rate_limit(pod: PodSpec, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A workload in a service mesh has no rate limit between workloads.

    The gateway's limit does not count what comes from inside: one compromised or broken neighbour can starve the
    workload. The mesh could limit it; nothing tells it to. Only workloads behind a Service are meant.

    Bad:

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop, labels: {istio-injection: enabled}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec: {selector: {app: web}, ports: [{port: 80}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Good:

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec: {selector: {app: web}, ports: [{port: 80}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Fix: Give the workload a local rate limit by the mesh in use.

    Sources: Istio (EnvoyFilter, sidecar injection), Linkerd (HTTPLocalRateLimitPolicy, proxy injection), Cilium
    (CiliumEnvoyConfig) documentation.
    """
    namespace = world.namespace_of(pod.resource) or ""
    services = _services(pod, namespace, world)
    if not services:
        return
    mesh = _mesh(pod, namespace, world)
    if not mesh:
        if (reason := world.incomplete(NAMESPACE)) is not None and world.get(NAMESPACE, None, namespace) is None:
            yield Skip(f"whether it is in a service mesh cannot be determined: {reason}")
        return
    limit = above(_limit(mesh, pod, namespace, services, world), ceiling_of(params))
    if limit.unknown:
        yield Skip(f"whether it has a rate limit in the mesh cannot be determined: {limit.unknown}")
    elif not limit.effective:
        what = what_is_missing(limit)
        said = f"{what}; {mesh}" if limit.only or limit.by else f"{what} between workloads: {mesh}"
        yield Hit(labelled_alike(pod).path, f"{said} needs {_WANTS[mesh]}", mesh, about=cause_of(limit))


def _services(pod: PodSpec, namespace: str, world: World) -> list[str]:
    """The Services that lead to the pod."""
    near = pod.resource

    def build() -> dict[tuple[str, str, str], list[Resource]]:
        """By namespace and one pair of the selector, which is enough to find the candidates."""
        found: dict[tuple[str, str, str], list[Resource]] = {}
        for service in world.all(SERVICE, near=near):
            for key, value in mapping(lookup(service.raw, "spec", "selector")).items():
                if isinstance(value, str):
                    found.setdefault((world.namespace_of(service) or "", key, value), []).append(service)
                    break
        return found

    index = world.memo("services by selector", (SERVICE,), build, near=near)
    labels = pod.labels
    return [
        service.name
        for key, value in labels.items()
        if isinstance(value, str)
        for service in index.get((namespace, key, value), ())
        if all(labels.get(name) == wanted for name, wanted in mapping(lookup(service.raw, "spec", "selector")).items())
    ]


def _mesh(pod: PodSpec, namespace: str, world: World) -> str:
    """The mesh whose proxy the pod gets; empty where it gets none."""
    home = world.get(NAMESPACE, None, namespace, near=pod.resource)
    above_labels: Mapping[str, Any] = home.labels if home is not None else {}
    above: Mapping[str, Any] = home.annotations if home is not None else {}
    labels, annotations = pod.labels, pod.annotations
    own = text(labels.get("sidecar.istio.io/inject")) or text(annotations.get("sidecar.istio.io/inject"))
    injected = above_labels.get("istio-injection") == "enabled" or "istio.io/rev" in above_labels
    if own == "true" or "istio.io/rev" in labels or (injected and own not in _ISTIO_OFF):
        return "Istio"
    inject = text(annotations.get("linkerd.io/inject")) or text(above.get("linkerd.io/inject"))
    if inject in ("enabled", "ingress"):
        return "Linkerd"
    return "Cilium" if any(world.has(kind) for kind in cilium.CONFIGS) else ""


def _limit(mesh: str, pod: PodSpec, namespace: str, services: list[str], world: World) -> Limit:
    near = pod.resource
    if mesh == "Istio":
        return istio.limit_of_workload(pod.labels, namespace, istio.SIDECAR_CONTEXTS, world, near)
    if mesh == "Linkerd":
        return linkerd.limit_of_workload(pod.labels, namespace, world, near)
    known = cilium.limited_services(world, near)
    limit = any_of(known.get((namespace, name), OPEN) for name in services)
    return limit if limit.effective else any_of((limit, absent(world, *cilium.CONFIGS)))
