"""Grants that redirect traffic, change others' configuration or wipe traces."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, GRANTS, LOOKED_UP, grants, names_resources, once
from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.knowledge.rbac.powers import CONFIG_MAPS, ENDPOINTS, EVENTS, LOGS, NETWORK_POLICIES, SERVICE_STATUS
from iocaudit.knowledge.rbac.rules import WRITES, PolicyRule

_OBEYED = frozenset({"aws-auth", "coredns"})
_CHANGES = tuple(verb for verb in WRITES if verb != "create")


def _rules_the_cluster(rule: PolicyRule, namespace: str | None) -> bool:
    """Whether it changes a ConfigMap that stands in kube-system and gives rights or answers names, be it among all:
    without names a rule gives every one. To create it is something else, as one of them is there."""
    if namespace not in (None, ADMIN_NAMESPACE) or not any(map(rule.allows_verb, _CHANGES)):
        return False
    return not rule.names or bool(rule.names & _OBEYED)


@check(
    "service-status-write",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1557"},
)
def service_status_write(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may write the status of Services.

    An address put into a Service's `status.loadBalancer` draws traffic for that address to the Service
    (CVE-2020-8554).

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: lb, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [services/status], verbs: [patch]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: lb, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [services], verbs: [get, list, watch]}

    Fix: Leave the status to the load balancer's controller.

    Sources: CVE-2020-8554; Kubernetes API reference, ServiceStatus.
    """
    yield from grants(resource, world, (SERVICE_STATUS,), lambda _: Severity.MEDIUM, only=names_resources)


@check(
    "endpoint-write",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1557"},
)
def endpoint_write(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may write Endpoints or EndpointSlices.

    They say where a Service's traffic goes: written by hand they send it to any address, past NetworkPolicies that
    select pods (CVE-2021-25740).

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: net, namespace: shop}
        rules:
        - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [create, update]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: net, namespace: shop}
        rules:
        - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}

    Fix: Leave them to the endpoint controllers; a Service with a selector needs no one else.

    Sources: CVE-2021-25740; Using RBAC Authorization, write access for EndpointSlices and Endpoints.
    """
    yield from grants(resource, world, (ENDPOINTS,), lambda _: Severity.MEDIUM, only=names_resources)


@check(
    "configmap-tampering",
    severity=Severity.MEDIUM,
    worst=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN, IoC.DNS_ANOMALY),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1557, T1098.006", "ms": "MS-TA9019, MS-TA9035"},
    parameters=(Parameter("plain", {"type": "boolean"}, "flag the writing of any ConfigMap", False, strict=True),),
)
def configmap_tampering(resource: Resource, world: World, params: Params) -> Iterator[Hit | Skip]:
    """Someone may write ConfigMaps that others obey.

    The ConfigMap `aws-auth` in kube-system maps cloud identities to groups such as system:masters, `coredns` answers
    every name: writing or deleting either is critical, and so is the right to write or delete any ConfigMap there or
    in the whole cluster. Under profile strict the right to write ConfigMaps at all is flagged.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: dns}
        rules:
        - {apiGroups: [""], resources: [configmaps], resourceNames: [coredns], verbs: [patch]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: dns}
        rules:
        - {apiGroups: [""], resources: [configmaps], resourceNames: [coredns], verbs: [get]}

    Fix: Name the ConfigMaps that are one's own in resourceNames.

    Sources: EKS documentation, aws-auth; Microsoft threat matrix MS-TA9035 (CoreDNS poisoning).
    """
    obeyed = grants(resource, world, (CONFIG_MAPS,), lambda _: Severity.CRITICAL, only=_rules_the_cluster)
    plain = grants(resource, world, (CONFIG_MAPS,), lambda _: Severity.MEDIUM, only=names_resources)
    yield from once(obeyed, *([plain] if params["plain"] else []))


@check(
    "network-policy-write",
    severity=Severity.MEDIUM,
    iocs=(IoC.OUTBOUND_TRAFFIC,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1562"},
)
def network_policy_write(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may write network policies.

    Removing or changing a policy opens the way between pods and out of the cluster. Those of Kubernetes, Calico and
    Cilium and the cluster-wide ones count.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: net, namespace: shop}
        rules:
        - {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [update, delete]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: net, namespace: shop}
        rules:
        - {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, list]}

    Fix: Keep policies under review in a repository, and let its pipeline write them.

    Sources: NSA/CISA Kubernetes Hardening Guidance 1.2, network separation; MITRE ATT&CK T1562.
    """
    yield from grants(resource, world, (NETWORK_POLICIES,), lambda _: Severity.MEDIUM, only=names_resources)


@check(
    "event-deletion",
    severity=Severity.MEDIUM,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1070", "ms": "MS-TA9022", "owasp": "K02, K10"},
)
def event_deletion(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may delete Events.

    Events tell what happened to pods and nodes; who deletes them hides it.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: tidy, namespace: shop}
        rules:
        - {apiGroups: ["", events.k8s.io], resources: [events], verbs: [deletecollection]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: tidy, namespace: shop}
        rules:
        - {apiGroups: ["", events.k8s.io], resources: [events], verbs: [create, patch]}

    Fix: Remove the verb: Events go by themselves after an hour.

    Sources: Microsoft threat matrix for Kubernetes MS-TA9022 (delete events).
    """
    yield from grants(resource, world, (EVENTS,), lambda _: Severity.MEDIUM, only=names_resources)


@check(
    "log-deletion",
    severity=Severity.MEDIUM,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1070", "ms": "MS-TA9021", "owasp": "K02, K10"},
)
def log_deletion(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may delete the logs of pods.

    `delete` on `pods/log` has no use in Kubernetes; a role that holds it is meant to hide something, or far too wide.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: tidy, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [pods/log], verbs: [get, delete]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: tidy, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [pods/log], verbs: [get]}

    Fix: Remove the verb; ship logs off the node.

    Sources: Microsoft threat matrix for Kubernetes MS-TA9021 (clear container logs).
    """
    yield from grants(resource, world, (LOGS,), lambda _: Severity.MEDIUM, only=names_resources)
