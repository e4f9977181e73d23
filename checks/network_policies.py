"""Workloads and namespaces that no NetworkPolicy isolates."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import NAMESPACE, NETWORK_POLICY, PODS
from iocaudit.core.network_policy import EGRESS, INGRESS, is_isolated, isolations
from iocaudit.core.pod import PodSpec
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup
from iocaudit.core.world import World

_CONTROLS = {"cis-1.12": "5.3.2", "attack": "T1046", "ms": "MS-TA9034", "owasp": "K05"}


def _open(pod: PodSpec, world: World, direction: str) -> bool:
    """Whether nothing isolates the pod. A pod on the node's network is beyond any policy: host-network says so."""
    if pod.host_network or lookup(pod.resource.raw, "status", "phase") in ("Succeeded", "Failed"):
        return False
    namespace = world.namespace_of(pod.resource)
    return namespace is not None and not is_isolated(pod.labels, namespace, direction, world, pod.resource)


@check(
    "no-ingress-policy",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=PODS,
    needs=(NETWORK_POLICY,),
    controls=_CONTROLS,
)
def no_ingress_policy(pod: PodSpec, world: World) -> Iterator[Hit]:
    """No NetworkPolicy isolates a workload for incoming traffic.

    Any pod of the cluster can reach every port of it, so one compromised pod reaches them all. A pod on the
    node's network is left out: no policy holds it, which host-network reports.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          podSelector: {matchLabels: {app: web}}
          policyTypes: [Ingress]

    Fix: Add a NetworkPolicy that selects the pods with policyTypes Ingress, and allow what must reach them.

    Sources: Kubernetes documentation, Network Policies; CIS Kubernetes Benchmark 1.12, 5.3.2.
    """
    if _open(pod, world, INGRESS):
        yield Hit(pod.metadata_path + ".labels", "no NetworkPolicy isolates it for incoming traffic", INGRESS)


@check(
    "no-egress-policy",
    severity=Severity.LOW,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=PODS,
    needs=(NETWORK_POLICY,),
    controls=_CONTROLS,
)
def no_egress_policy(pod: PodSpec, world: World) -> Iterator[Hit]:
    """No NetworkPolicy isolates a workload for outgoing traffic.

    A compromised pod can send what it finds anywhere, fetch tools and reach the cloud's metadata service.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          podSelector: {}
          policyTypes: [Egress]
          egress:
          - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
            ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]

    Fix: Add a NetworkPolicy with policyTypes Egress, and allow DNS and what the pods must reach.

    Sources: Kubernetes documentation, Network Policies.
    """
    if _open(pod, world, EGRESS):
        yield Hit(pod.metadata_path + ".labels", "no NetworkPolicy isolates it for outgoing traffic", EGRESS)


@check(
    "namespace-without-default-deny",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=(NAMESPACE,),
    needs=(NETWORK_POLICY,),
    controls=_CONTROLS,
    audit_only=True,
)
def namespace_without_default_deny(resource: Resource, world: World) -> Iterator[Hit]:
    """A namespace has no policy that isolates all of its pods.

    Without one, a pod that no other policy selects is open from the moment it starts. Judged for each direction:
    a policy whose empty podSelector covers every pod counts, whatever it allows beyond.

    Bad:

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}

    Good:

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: default-deny, namespace: shop}
        spec:
          podSelector: {}
          policyTypes: [Ingress, Egress]

    Fix: Add a NetworkPolicy with an empty podSelector and policyTypes Ingress and Egress to the namespace.

    Sources: Kubernetes documentation, Network Policies, default policies.
    """
    covered = {
        direction
        for isolation in isolations(resource.name, world, resource)
        if isolation.selects_all
        for direction in isolation.directions
    }
    for direction, severity in ((INGRESS, Severity.MEDIUM), (EGRESS, Severity.LOW)):
        if direction not in covered:
            yield Hit(
                "metadata.name",
                f"no NetworkPolicy denies {direction.lower()} to all its pods by default",
                direction,
                severity,
            )
