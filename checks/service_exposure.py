"""Services that are reachable from outside the cluster, or that take traffic meant for others."""

import ipaddress
from collections.abc import Iterator

from iocaudit.core.check import Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.ip import IpNetwork
from iocaudit.core.kinds import SERVICE
from iocaudit.core.repair import discard
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import items, lookup
from iocaudit.knowledge import exposure
from iocaudit.knowledge.clipping import clip

_CONTROLS = {"attack": "T1133", "ms": "MS-TA9005", "owasp": "K05", "nsa": "Network policies"}


@check(
    "service-external-ip",
    severity=Severity.HIGH,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=(SERVICE,),
    controls={"attack": "T1557", "ms": "MS-TA9036", "owasp": "K05", "nsa": "Network policies"},
    parameters=(string_list("allowed", "addresses and CIDRs that a Service may take as externalIPs", exempts=True),),
)
def service_external_ip(resource: Resource, params: Params) -> Iterator[Hit]:
    """A Service claims external addresses.

    Every node sends what the cluster's pods address to that IP to the Service instead, no matter who the IP belongs to:
    anyone who may create a Service reads other people's traffic (CVE-2020-8554). There is no fix in Kubernetes but
    to refuse such Services.

    Bad:

        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec:
          selector: {app: web}
          ports: [{port: 443}]
          externalIPs: [203.0.113.10]

    Good:

        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec:
          selector: {app: web}
          ports: [{port: 443}]

    Fix: Remove externalIPs; use a LoadBalancer, or list the address under the policy's allowed.

    Sources: CVE-2020-8554; Kubernetes reference of Service (externalIPs), admission plugin DenyServiceExternalIPs.
    """
    allowed = [network for value in params["allowed"] if (network := _network(value)) is not None]
    for index, value in enumerate(items(lookup(resource.raw, "spec", "externalIPs"))):
        address = _network(value)
        if address is not None and any(_within(address, network) for network in allowed):
            continue
        shown = clip(value if isinstance(value, str) else repr(value))
        yield Hit(
            "spec.externalIPs",
            f"takes the traffic to external IP {shown}",
            str(address) if address is not None else shown,
            at=f"spec.externalIPs[{index}]",
            repair=discard(value),
        )


def _network(value: object) -> IpNetwork | None:
    try:
        return ipaddress.ip_network(value.strip(), strict=False) if isinstance(value, str) else None
    except ValueError:
        return None


def _within(address: IpNetwork, network: IpNetwork) -> bool:
    if isinstance(address, ipaddress.IPv4Network) and isinstance(network, ipaddress.IPv4Network):
        return address.subnet_of(network)
    if isinstance(address, ipaddress.IPv6Network) and isinstance(network, ipaddress.IPv6Network):
        return address.subnet_of(network)
    return False


@check(
    "node-port-service",
    severity=Severity.LOW,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    looks_at=(SERVICE,),
    controls=_CONTROLS,
)
def node_port_service(resource: Resource) -> Iterator[Hit]:
    """A Service opens a port on every node.

    A NodePort is reachable at each node's addresses, past the gateway with its TLS, authentication and rate
    limits, and past any NetworkPolicy that looks at the caller's address.

    Bad:

        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec:
          type: NodePort
          selector: {app: web}
          ports: [{port: 80, nodePort: 30080}]

    Good:

        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec:
          selector: {app: web}
          ports: [{port: 80}]

    Fix: Set `spec.type: ClusterIP` and let a gateway lead to it.

    Sources: Kubernetes reference of Service (type NodePort).
    """
    if exposure.service_type(resource) == "NodePort":
        yield Hit("spec.type", "is NodePort: its ports are open on every node", "NodePort")


@check(
    "load-balancer-open",
    severity=Severity.MEDIUM,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    looks_at=(SERVICE,),
    controls=_CONTROLS,
)
def load_balancer_open(resource: Resource) -> Iterator[Hit]:
    """A load balancer takes traffic from anywhere.

    Without loadBalancerSourceRanges everybody reaches the Service. A load balancer that the cloud keeps inside its
    own network is distinguished: it counts as low.

    Bad:

        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec:
          type: LoadBalancer
          selector: {app: web}
          ports: [{port: 443}]

    Good:

        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: shop}
        spec:
          type: LoadBalancer
          selector: {app: web}
          ports: [{port: 443}]
          loadBalancerSourceRanges: [198.51.100.0/24]

    Fix: Set loadBalancerSourceRanges to the networks that need it, or keep the load balancer internal.

    Sources: Kubernetes reference of Service (loadBalancerSourceRanges); each cloud's documentation of Service
    annotations.
    """
    if exposure.service_type(resource) != "LoadBalancer":
        return
    ranges = exposure.source_ranges(resource)
    if exposure.are_limited(ranges):
        return
    said = f"lets {clip(', '.join(ranges))} in" if ranges else "has no loadBalancerSourceRanges"
    internal = exposure.internal_by(resource)
    if internal:
        message = f"{said}: anything in the network of the cloud can reach it (internal by {internal})"
        yield Hit("spec.loadBalancerSourceRanges", message, "internal", Severity.LOW)
    else:
        yield Hit("spec.loadBalancerSourceRanges", f"{said}: anyone can reach it", "open")
