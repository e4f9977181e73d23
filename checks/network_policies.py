"""Workloads and namespaces that no network policy isolates."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import NAMESPACE, PODS
from iocaudit.core.place import Place
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.network.coverage import NEEDS, USES, coverage_of, space_of
from iocaudit.knowledge.network.isolation import Coverage
from iocaudit.knowledge.network.model import EGRESS, INGRESS
from iocaudit.knowledge.pods.alike import labelled_alike
from iocaudit.knowledge.pods.pod import PodSpec

_CONTROLS = {"cis-1.12": "5.3.2", "attack": "T1046", "ms": "MS-TA9034", "owasp": "K05", "nsa": "Network policies"}
_TRAFFIC = {INGRESS: "incoming", EGRESS: "outgoing"}


def _unisolated(pod: PodSpec, world: World, direction: str) -> Iterator[Hit | Skip]:
    found = coverage_of(pod, world)
    if isinstance(found, str):
        yield Skip(found)
    elif found is not None:
        reason = _why_open(found, direction)
        if reason is not None:
            if found.is_guessed:
                namespace = world.namespace_of(pod.resource) or ""
                reason += f" (Namespace {namespace} is not among what was read, so its labels are not known)"
            yield Hit(labelled_alike(pod).labels, reason, direction)


def _why_open(coverage: Coverage, direction: str) -> str | None:
    """Why nothing isolates; None where something does."""
    isolation = coverage.isolation(direction)
    if isolation.isolated:
        return None
    traffic = f"{_TRAFFIC[direction]} traffic"
    if isolation.by:
        why = f"{clip(isolation.by)} allows everything before any other policy is applied"
        return f"no network policy isolates it for {traffic}: {why}"
    others = coverage.concerning(direction)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return f"no network policy isolates it for {traffic}: {clip(others[0].title)}{more} denies only a part"
    return f"no network policy isolates it for {traffic}"


@check(
    "no-ingress-policy",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=PODS,
    needs=NEEDS,
    uses=USES,
    controls=_CONTROLS,
)
def no_ingress_policy(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """No network policy isolates a workload for incoming traffic.

    Any pod of the cluster can reach every port of it, so one compromised pod reaches them all. Each API counts by
    its own semantics: NetworkPolicy of Kubernetes, Calico's NetworkPolicy and GlobalNetworkPolicy with their tiers,
    Cilium's two kinds, AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy (of these only an
    explicit Deny isolates). A pod on the node's network is left out: no policy holds it, which host-network
    reports. A Namespace that is not among what was read has no labels but its name.

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

    Sources: Kubernetes documentation, Network Policies; CIS Kubernetes Benchmark 1.12, 5.3.2; documentation of
    Calico, Cilium and network-policy-api.
    """
    yield from _unisolated(pod, world, INGRESS)


@check(
    "no-egress-policy",
    severity=Severity.LOW,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=PODS,
    needs=NEEDS,
    uses=USES,
    controls=_CONTROLS,
)
def no_egress_policy(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """No network policy isolates a workload for outgoing traffic.

    A compromised pod can send what it finds anywhere, fetch tools and reach the cloud's metadata service. A policy
    that denies only the cluster's own pods leaves that open. The APIs are those of no-ingress-policy.

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

    Sources: Kubernetes documentation, Network Policies; documentation of Calico, Cilium and network-policy-api.
    """
    yield from _unisolated(pod, world, EGRESS)


@check(
    "namespace-without-default-deny",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=(NAMESPACE,),
    needs=NEEDS,
    controls=_CONTROLS,
    audit_only=True,
    implies={Place.NAMESPACE: ("no-egress-policy", "no-ingress-policy")},
)
def namespace_without_default_deny(resource: Resource, world: World) -> Iterator[Hit]:
    """A namespace has no policy that isolates all of its pods.

    Without one, a pod that no other policy selects is open from the moment it starts. Judged for each direction: a
    policy that selects every pod of the namespace counts, whatever it allows beyond, and so does a policy of the
    whole cluster that selects the namespace. The APIs are those of no-ingress-policy.

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

    Sources: Kubernetes documentation, Network Policies, default policies; documentation of Calico, Cilium and
    network-policy-api.
    """
    default = space_of(resource.name, world, resource).default()
    for direction, severity in ((INGRESS, Severity.MEDIUM), (EGRESS, Severity.LOW)):
        if not default.isolation(direction).isolated:
            yield Hit(
                "metadata.name",
                f"no network policy denies {direction.lower()} to all its pods by default",
                direction,
                severity,
            )
