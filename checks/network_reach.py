"""What a workload's egress policies leave open, and what they cut off by mistake."""

import ipaddress
from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import PODS
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.network.coverage import NEEDS, USES, coverage_of, dns_target
from iocaudit.knowledge.network.model import EGRESS, Traffic
from iocaudit.knowledge.pods.alike import labelled_alike
from iocaudit.knowledge.pods.pod import PodSpec

_METADATA = tuple(ipaddress.ip_address(text) for text in ("169.254.169.254", "fd00:ec2::254"))
# The ports DNS servers in clusters listen on, and what such a port is called.
_DNS_PORTS, _DNS_NAMES = (53, 5353), ("dns", "dns-tcp", "domain")
# A pod of another DNS policy does not ask the cluster's DNS.
_CLUSTER_DNS = (None, "ClusterFirst", "ClusterFirstWithHostNet")


@check(
    "dns-egress-blocked",
    severity=Severity.LOW,
    iocs=(IoC.DNS_ANOMALY,),
    group="network",
    looks_at=PODS,
    needs=NEEDS,
    uses=USES,
    controls={"cis-1.12": "5.3.2", "owasp": "K05", "nsa": "Network policies"},
    audit_only=True,
)
def dns_egress_blocked(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """Egress is isolated, but the cluster's DNS is not allowed.

    Names then fail or, where only UDP is open, answers that don't fit a datagram do; what follows is usually a
    policy opened in haste, and DNS traffic that looks abnormal. Allowed means a rule that lets UDP and TCP port 53
    through to the pods labelled k8s-app: kube-dns in kube-system. Where an address block or an unknown label
    decides, the rule is taken to mean DNS.

    Bad:

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
          - to: [{podSelector: {matchLabels: {app: db}}}]

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
          - to:
            - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
              podSelector: {matchLabels: {k8s-app: kube-dns}}
            ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]

    Fix: Allow egress to the pods labelled k8s-app: kube-dns in kube-system on UDP and TCP port 53.

    Sources: Kubernetes documentation, Network Policies and DNS for Services and Pods.
    """
    if pod.spec.get("dnsPolicy") not in _CLUSTER_DNS:
        return
    found = coverage_of(pod, world)
    if isinstance(found, str):
        yield Skip(found)
    elif found is not None and found.isolation(EGRESS).isolated:
        target = dns_target(world, pod.resource)
        blocked = [
            protocol
            for protocol in ("UDP", "TCP")
            if not found.verdict(Traffic(target, protocol, _DNS_PORTS, _DNS_NAMES), EGRESS, generous=True).allowed
        ]
        if blocked:
            by = clip(found.isolation(EGRESS).by)
            yield Hit(
                labelled_alike(pod).labels,
                f"egress is isolated by {by}, and kube-dns is not allowed on {' and '.join(blocked)} port 53",
                ",".join(blocked),
            )


@check(
    "metadata-service-reachable",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=PODS,
    needs=NEEDS,
    uses=USES,
    controls={
        "attack": "T1552.005",
        "ms": "MS-TA9033",
        "owasp": "K05, K08",
        "nsa": "Protecting sensitive cloud infrastructure",
    },
    profile="strict",
    audit_only=True,
)
def metadata_service_reachable(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """A workload has egress policies, and they let it reach the cloud's metadata service.

    169.254.169.254 (fd00:ec2::254) hands out the node's credentials to anyone who asks. A rule for all addresses that
    does not take it out leaves it open. Without any egress policy no-egress-policy speaks.

    Bad:

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
          - to: [{ipBlock: {cidr: 0.0.0.0/0}}]

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
          - to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]

    Fix: Take 169.254.169.254/32 (and fd00:ec2::254/128) out of what egress rules allow, or deny it.

    Sources: Kubernetes documentation, Network Policies; documentation of the clouds' instance metadata services.
    """
    found = coverage_of(pod, world)
    if isinstance(found, str):
        yield Skip(found)
    elif found is not None and found.concerning(EGRESS):
        verdicts = {
            address: found.verdict(Traffic(address, "TCP", (80,)), EGRESS, generous=False) for address in _METADATA
        }
        reachable = [address for address, verdict in verdicts.items() if verdict.allowed]
        if reachable:
            by = verdicts[reachable[0]]
            if by.policy is not None and by.rule is not None:
                why = f"{clip(by.policy.title)} allows it ({by.rule.path})"
            else:
                why = "its egress policies deny only a part"
            addresses = " and ".join(map(str, reachable))
            yield Hit(
                labelled_alike(pod).labels,
                f"the metadata service at {addresses} is reachable: {why}",
                ",".join(map(str, reachable)),
            )
