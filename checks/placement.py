"""Pods that choose their own place: a node, every node, or a namespace of the system."""

from collections.abc import Iterator

from iocaudit.core.check import Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import DAEMON_SET, POD, PODS, SERVICE_ACCOUNT
from iocaudit.core.namespaces import SYSTEM_NAMESPACES
from iocaudit.core.repair import discard, remove
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.pods.pod import PodSpec

_MIRROR = "kubernetes.io/config.mirror"


@check(
    "preset-node",
    severity=Severity.LOW,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("nodeName", "tolerations"),
    needs=(DAEMON_SET,),
    profile="strict",
    controls={"attack": "T1610", "owasp": "K01", "nsa": "Worker node segmentation"},
)
def preset_node(pod: PodSpec, world: World) -> Iterator[Hit]:
    """A pod chooses its node, or tolerates every taint.

    `nodeName` goes past the scheduler and every rule it keeps; a toleration with `operator: Exists` and no key
    lets a pod onto any node, those of the control plane included. Both are how an attacker gets a pod next to
    what they are after. DaemonSets and their pods may tolerate everything; a pod that is stored has its node from
    the scheduler.

    Bad:

        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec:
              tolerations: [{operator: Exists}]
              containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec:
              nodeSelector: {disktype: ssd}
              tolerations: [{key: dedicated, operator: Equal, value: shop, effect: NoSchedule}]
              containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Use a nodeSelector or an affinity, and tolerate only the taints you mean.

    Sources: Kubernetes documentation, Assigning Pods to Nodes; Taints and Tolerations.
    """
    resource = pod.resource
    if resource.kind is POD and _MIRROR in pod.annotations:
        return
    node = text(pod.spec.get("nodeName"))
    if node and not (resource.kind is POD and resource.uid):
        yield pod.hit("nodeName", f"sets its node itself (nodeName: {clip(node)})", node, repair=remove())
    if resource.kind is DAEMON_SET or _is_of_daemon_set(resource, world):
        return
    for index, toleration in enumerate(mappings(pod.spec.get("tolerations"))):
        if toleration.get("operator") == "Exists" and not text(toleration.get("key")):
            effect = text(toleration.get("effect")) or "any effect"
            undo = discard(toleration, path=f"{pod.path}.tolerations")
            yield pod.hit(f"tolerations[{index}]", f"tolerates every taint ({clip(effect)})", effect, repair=undo)


def _is_of_daemon_set(resource: Resource, world: World) -> bool:
    """Whether a pod belongs to a DaemonSet that is really there: the reference alone is only a claim."""
    if resource.kind is not POD:
        return False
    reference = resource.controller
    if reference is None or reference.get("kind") != DAEMON_SET.name:
        return False
    owner = world.get(DAEMON_SET, world.namespace_of(resource), text(reference.get("name")), near=resource)
    return owner is not None and owner.uid == text(reference.get("uid"))


@check(
    "workload-in-system-namespace",
    severity=Severity.MEDIUM,
    iocs=(IoC.USER_ACTIVITY,),
    group="pods",
    looks_at=(*PODS, SERVICE_ACCOUNT),
    operations=(Operation.CREATE,),
    admission_only=True,
    controls={"attack": "T1610", "ms": "MS-TA9008", "owasp": "K02", "nsa": "Namespaces"},
    parameters=(string_list("allowedUsers", "users that may, by exact name", exempts=True),),
)
def workload_in_system_namespace(resource: Resource, request: Request, params: Params) -> Iterator[Hit]:
    """Someone creates a workload or a ServiceAccount in a namespace of the system.

    What runs in kube-system, kube-public or kube-node-lease is trusted by many rules and looked at by few
    people, and this webhook's own denials leave them out. The cluster's components are known by their names;
    everybody else is worth knowing about.

    Bad:

        apiVersion: admission.k8s.io/v1
        kind: AdmissionReview
        request:
          uid: 6f1c8a52-6f0f-4f5c-9a35-0d3a3f6f0003
          operation: CREATE
          kind: {group: "", version: v1, kind: Pod}
          resource: {group: "", version: v1, resource: pods}
          namespace: kube-system
          name: web
          userInfo: {username: alice}
          object:
            apiVersion: v1
            kind: Pod
            metadata: {name: web, namespace: kube-system}
            spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Good:

        apiVersion: admission.k8s.io/v1
        kind: AdmissionReview
        request:
          uid: 6f1c8a52-6f0f-4f5c-9a35-0d3a3f6f0004
          operation: CREATE
          kind: {group: "", version: v1, kind: Pod}
          resource: {group: "", version: v1, resource: pods}
          namespace: shop
          name: web
          userInfo: {username: alice}
          object:
            apiVersion: v1
            kind: Pod
            metadata: {name: web, namespace: shop}
            spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Fix: Put it into a namespace of its own; name the users who install system components in the policy.

    Sources: Falco's default rules, Pod Created in Kube Namespace; MITRE ATT&CK T1610.
    """
    namespace = request.namespace or ""
    if namespace not in SYSTEM_NAMESPACES or _is_system(request.username) or request.username in params["allowedUsers"]:
        return
    what = "a ServiceAccount" if resource.kind is SERVICE_ACCOUNT else "a workload"
    yield Hit(
        "metadata.namespace",
        f"is {what} created in {namespace} by {clip(request.username)}",
        f"{namespace} by {request.username}",
    )


def _is_system(username: str) -> bool:
    """Whether the user is a component of the cluster: ``system:…``, a ServiceAccount only of kube-system."""
    if username.startswith("system:serviceaccount:"):
        return username.startswith("system:serviceaccount:kube-system:")
    return username.startswith("system:") and username != "system:anonymous"
