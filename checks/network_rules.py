"""Network policies that allow everything, and those that do nothing."""

from collections.abc import Iterator, Sequence

from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import PODS, SERVICE_ACCOUNT
from iocaudit.core.kinds.policies import (
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_NETWORK_POLICY,
    STORED_GLOBAL_NETWORK_POLICY,
    STORED_NETWORK_POLICY,
)
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.network.coverage import NEEDS, POLICIES, READERS
from iocaudit.knowledge.network.endpoints import selected_by
from iocaudit.knowledge.network.makers import maker_of
from iocaudit.knowledge.network.model import EGRESS, Breadth, TrafficPolicy
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.rbac.escalation import READ
from iocaudit.knowledge.rbac.graph import graph_of
from iocaudit.knowledge.rbac.subjects import Subject

_SERVED = {
    STORED_NETWORK_POLICY: CALICO_NETWORK_POLICY,
    STORED_GLOBAL_NETWORK_POLICY: CALICO_GLOBAL_NETWORK_POLICY,
}


def _read(resource: Resource, world: World) -> tuple[TrafficPolicy, ...]:
    """What a policy amounts to; nothing where Calico's API serves the same object by its other group."""
    kind = resource.kind
    assert kind is not None, "checks see known kinds only"
    served = _SERVED.get(kind)
    if served is not None:
        # Older versions store a policy under its tier's name and its own.
        names = (resource.name, resource.name.partition(".")[2])
        if any(world.get(served, world.namespace_of(resource), name, near=resource) for name in names if name):
            return ()
    return resource.derive(READERS[kind])


@check(
    "policy-allows-everything",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC, IoC.INBOUND_TRAFFIC),
    group="network",
    looks_at=POLICIES,
    uses=(CALICO_NETWORK_POLICY, CALICO_GLOBAL_NETWORK_POLICY),
    controls={
        "cis-1.12": "5.3.2",
        "attack": "T1046",
        "ms": "MS-TA9034",
        "owasp": "K05",
        "nsa": "Network policies",
    },
)
def policy_allows_everything(resource: Resource, world: World) -> Iterator[Hit]:
    """A network policy opens a whole direction.

    A rule without peers, one for all pods of all namespaces or for 0.0.0.0/0 (or ::/0) on every port allows what
    the policy was meant to restrict, and policies add up: no other one takes that back. Blocks that amount to all
    addresses count as that, in one rule or in several; exceptions matter where they take out the private networks or
    half of all addresses. Rules for some ports are left alone.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          podSelector: {matchLabels: {app: web}}
          policyTypes: [Ingress]
          ingress: [{}]

    Good:

        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          podSelector: {matchLabels: {app: web}}
          policyTypes: [Ingress]
          ingress:
          - from: [{podSelector: {matchLabels: {app: gateway}}}]
            ports: [{protocol: TCP, port: 8080}]

    Fix: Name the pods, namespaces or addresses that must be reached, and the ports.

    Sources: Kubernetes documentation, Network Policies; documentation of Calico, Cilium and network-policy-api.
    """
    seen: set[tuple[str, Breadth]] = set()
    for policy in _read(resource, world):
        for direction, side in policy.sides.items():
            for rule, breadth in side.opened(direction):
                if (direction, breadth) not in seen:
                    seen.add((direction, breadth))
                    way = "to" if direction == EGRESS else "from"
                    yield Hit(
                        rule.path.rpartition("[")[0],
                        f"allows {direction.lower()} {way} {breadth.value} on every port",
                        f"{direction}: {breadth.value}",
                        at=rule.path,
                    )


@check(
    "policy-selects-nothing",
    severity=Severity.LOW,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="network",
    looks_at=POLICIES,
    needs=(*NEEDS, *PODS),
    uses=(SERVICE_ACCOUNT,),
    in_files=READ,
    controls={
        "cis-1.12": "5.3.2",
        "attack": "T1046",
        "ms": "MS-TA9034",
        "owasp": "K05",
        "nsa": "Network policies",
    },
    audit_only=True,
)
def policy_selects_nothing(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """A network policy selects no workload that it could hold.

    A selector with a slip of the pen protects nobody, and nothing says so: the pods it was meant for are open. Nor
    does a policy that its engine refuses, such as one of Cilium all of whose lists of rules are empty, or one whose
    pods are all on the node's network (`hostNetwork: true`), where no policy of pods reaches them. Judged against
    every workload there is, pod templates included. A policy for all pods of its namespace is left out, which may
    wait for the first one, and so are policies for host endpoints or nodes; workloads of files that name no namespace
    may be meant for any. Of files it is said, and not judged, where a policy may be for pods that a controller makes of
    a custom resource (an operator's database): nobody sees their labels.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          podSelector: {matchLabels: {app: wbe}}
          policyTypes: [Ingress]
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          podSelector: {matchLabels: {app: web}}
          policyTypes: [Ingress]
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop, labels: {app: web}}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Correct the selector to the labels of the pods it is for, or delete the policy.

    Sources: Kubernetes documentation, Network Policies; documentation of Calico, Cilium and network-policy-api.
    """
    policies = _read(resource, world)
    for policy in policies:
        if policy.problem:
            yield Hit("spec", f"selects nothing: {clip(policy.problem, 200)}", "unusable")
    if not policies or any(policy.problem for policy in policies):
        return
    if any(policy.accounts is not None for policy in policies) and (reason := world.incomplete(SERVICE_ACCOUNT)):
        yield Skip(f"it selects by labels of ServiceAccounts, which are not known: {reason}")
        return
    if any(_waits_for_pods(policy) for policy in policies):
        return
    if any(selected_by(policy, world, resource) for policy in policies):
        return
    on_node = next(filter(None, (selected_by(policy, world, resource, on_node=True) for policy in policies)), "")
    if on_node:
        why = f"selects only pods on the node's network ({clip(on_node)}), which no network policy restricts"
        yield Hit("spec", f"has no effect: it {why}", "host network")
        return
    if resource.origin.source == "file" and (maker := _maker(policies, resource, world)):
        yield Skip(f"it may select pods that {clip(maker)} makes, which are not among what was read")
        return
    where = "in the cluster" if policies[0].spaces is not None else f"in namespace {world.namespace_of(resource)}"
    yield Hit("spec", f"selects no workload {where}", "no workload")


_MADE = (("", "pods"), ("apps", "statefulsets"), ("apps", "deployments"), ("apps", "daemonsets"), ("batch", "jobs"))


def _maker(policies: Sequence[TrafficPolicy], resource: Resource, world: World) -> str:
    """What may make pods that policies of a file select, whose labels nobody sees; empty where nothing is known to."""
    home = resource.namespace if policies[0].spaces is None else None
    return maker_of(policies, home, world) or (_operator(home, world, resource) if home is not None else "")


def _operator(namespace: str, world: World, near: Resource) -> str:
    """A workload of a namespace that may make pods there; empty where there is none."""

    def build() -> str:
        graph = graph_of(world)
        for kind in PODS:
            for workload in world.of(kind, namespace, near=near):
                for name in dict.fromkeys(pod.service_account for pod in pods_of(workload)):
                    account = Subject("ServiceAccount", name, namespace)
                    for held in graph.held(account, world, near=workload):
                        there = held.binding.is_clusterwide or held.binding.holds_in(namespace, world)
                        if there and any(rule.allows("create", *what) for rule in held.bound.rules for what in _MADE):
                            return f"{workload.kind_name} {workload.name}"
        return ""

    return world.memo(("makes pods", namespace), (*PODS, *READ), build, near=near)


def _waits_for_pods(policy: TrafficPolicy) -> bool:
    """Whether it is for every pod of its own namespace: a default that stands ready before the first one comes."""
    return policy.spaces is None and policy.accounts is None and policy.pods.matches_all({})
