"""Grants that control the cluster itself: nodes, certificates, admission, RBAC."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, GRANTS, LOOKED_UP, Reach, grants
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.powers import CERTIFICATES, NODES, RBAC, WEBHOOKS


def _unless_named(reach: Reach) -> Severity:
    return Severity.HIGH if reach.named else Severity.CRITICAL


@check(
    "node-proxy-access",
    severity=Severity.CRITICAL,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"cis-1.12": "5.1.10", "ms": "MS-TA9030"},
)
def node_proxy_access(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may reach the kubelets or change nodes.

    `nodes/proxy` is the kubelet's whole API: with `get` alone a WebSocket runs commands in every pod of the node,
    past admission and the audit log. Writing a node or its status draws pods onto a node of one's choice or drives
    them off. Both stand outside namespaces, so a RoleBinding never gives them.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: metrics}
        rules:
        - {apiGroups: [""], resources: [nodes/proxy], verbs: [get]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: metrics}
        rules:
        - {apiGroups: [""], resources: [nodes/metrics, nodes/stats], verbs: [get]}

    Fix: Name the finer subresources nodes/metrics, nodes/stats, nodes/log or nodes/pods.

    Sources: Kubernetes, RBAC good practices, access to the proxy of nodes; CIS Kubernetes Benchmark 1.12, 5.1.10.
    """
    yield from grants(resource, world, (NODES,), lambda _: Severity.CRITICAL)


@check(
    "csr-approval",
    severity=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"cis-1.12": "5.1.11"},
)
def csr_approval(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may approve or sign certificate requests.

    A client certificate of the cluster's CA is a user of any name that no one can revoke. To approve one takes
    `update` of `certificatesigningrequests/approval` and `approve` of its signer, which two roles may give: each is
    flagged. Signers other than Kubernetes' own client signers are not.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: approver}
        rules:
        - {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: approver}
        rules:
        - {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [get, list, create]}

    Fix: Leave approval to the controllers; name your own signer in resourceNames.

    Sources: Kubernetes, RBAC good practices, CSRs and certificate issuing; CIS Kubernetes Benchmark 1.12, 5.1.11.
    """
    yield from grants(resource, world, (CERTIFICATES,), lambda _: Severity.CRITICAL)


@check(
    "webhook-tampering",
    severity=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"cis-1.12": "5.1.12", "ms": "MS-TA9015"},
)
def webhook_tampering(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may change how the API server admits or serves objects.

    A mutating webhook reads and rewrites every object on its way, Secrets too; removing a validating webhook or a
    policy removes the guard; an APIService or a CRD's conversion webhook answers in the API server's place. Anyone who
    may delete any ClusterRole removes the webhook configurations that belong to one, this auditor's among them.
    Limited to objects named in resourceNames it is high.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: installer}
        rules:
        - {apiGroups: [admissionregistration.k8s.io], resources: [validatingwebhookconfigurations], verbs: [patch]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: installer}
        rules:
        - {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [get, list]}

    Fix: Install webhooks and CRDs from a pipeline; let a controller change the one that resourceNames names.

    Sources: Kubernetes, RBAC good practices, control admission webhooks; CIS Kubernetes Benchmark 1.12, 5.1.12.
    """
    yield from grants(resource, world, (WEBHOOKS,), _unless_named)


@check(
    "rbac-management",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"cis-1.12": "5.1.8"},
)
def rbac_management(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may write roles and bindings.

    Anyone who writes roles and bindings hands on all of their own rights, and can take from others what those need. The
    API server keeps them from giving more than they have, unless they may also escalate or bind.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: lead, namespace: shop}
        rules:
        - {apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [create, delete]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: lead, namespace: shop}
        rules:
        - {apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [get, list]}

    Fix: Keep roles and bindings under review in a repository, and let its pipeline write them.

    Sources: Kubernetes, Using RBAC Authorization, privilege escalation prevention; MITRE ATT&CK T1098.006.
    """
    yield from grants(resource, world, (RBAC,), lambda _: Severity.HIGH)
