"""Grants that lead into pods, or to what pods can reach."""

from collections.abc import Iterator

from checks._rbac import CONTROLS, GRANTS, LOOKED_UP, Reach, grants
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.rbac.accounts import Privileged, privileged_account
from iocaudit.core.rbac.bindings import BINDINGS
from iocaudit.core.rbac.powers import EXEC, VOLUMES, WORKLOADS_CREATED
from iocaudit.core.rbac.rules import listed
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World


@check(
    "workload-creation",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=GRANTS,
    uses=(*LOOKED_UP, *BINDINGS),
    controls=CONTROLS | {"cis-1.12": "5.1.4", "attack": "T1610, T1098.006", "ms": "MS-TA9008"},
)
def workload_creation(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Somebody may run pods.

    Whoever can create or change a pod, or anything that makes pods, chooses its ServiceAccount, its image and its
    volumes. That gives the rights of every ServiceAccount of the namespace and its Secrets, and the node where Pod
    Security does not forbid it. The kinds of Argo, Knative, Tekton, Kubeflow and the like count. It is critical where
    the grant reaches a ServiceAccount that holds the cluster: in its namespace, or anywhere for one that is bound in
    the whole cluster, where the accounts of Kubernetes' own controllers are. A ClusterRole by itself reaches nothing.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: ci, namespace: shop}
        rules:
        - {apiGroups: [apps], resources: [deployments], verbs: [create, patch]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: ci, namespace: shop}
        rules:
        - {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}

    Fix: Let a pipeline of reviewed manifests create workloads; give others what reads or scales them.

    Sources: Kubernetes, RBAC good practices, workload creation; CIS Kubernetes Benchmark 1.12, 5.1.4.
    """
    reached = _Reached(resource, world)
    yield from grants(resource, world, (WORKLOADS_CREATED,), reached.judge, everything=True, because=reached.because)
    yield from (Skip(problem) for problem in reached.problems)


class _Reached:
    """The privileged ServiceAccounts that grants of an object reach, and what is not known of them."""

    def __init__(self, resource: Resource, world: World) -> None:
        self._resource = resource
        self._world = world
        self.problems: dict[str, None] = {}

    def judge(self, reach: Reach) -> Severity:
        found = self._privileged(reach)
        return Severity.CRITICAL if found is not None and found.account is not None else Severity.HIGH

    def because(self, reach: Reach) -> str:
        found = self._privileged(reach)
        if found is None or found.account is None or found.power is None:
            return ""
        held, amounts = found.power
        binding = held.binding.resource
        by = f"{binding.kind_name} {binding.name}"
        return f", and so as {found.account.title}, which may {listed(amounts)} by {by}"

    def _privileged(self, reach: Reach) -> Privileged | None:
        if reach.namespace == "" or (reach.namespace is None and not reach.bound):
            return None
        found = privileged_account(reach.namespace, self._world, self._resource)
        if found.account is None and found.problem is not None:
            where = f"in namespace {reach.namespace}" if reach.namespace is not None else "in the cluster"
            self.problems[f"whether a ServiceAccount {where} holds the cluster can't be told: {found.problem}"] = None
        return found


@check(
    "exec-permission",
    severity=Severity.HIGH,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"attack": "T1609, T1059.013", "ms": "MS-TA9006, MS-TA9007"},
)
def exec_permission(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Somebody may open sessions into pods.

    A session (`pods/exec`, `attach`, `portforward`, `proxy`, an ephemeral container) runs as the pod: with its
    ServiceAccount's token, its Secrets and its network, past every review. `get` sufficed before Kubernetes 1.35,
    `create` does now. Bindings of such a role are flagged for each subject, that of Kubernetes' own admin or edit in
    one namespace as medium.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: debug, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [pods, pods/exec], verbs: [get, create]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: debug, namespace: shop}
        rules:
        - {apiGroups: [""], resources: [pods, pods/log], verbs: [get, list, watch]}

    Fix: Remove the subresource; give logs and metrics, and open sessions through a break-glass role.

    Sources: Kubernetes, RBAC good practices; Kubernetes 1.35 release notes; MITRE ATT&CK T1609.
    """
    yield from grants(resource, world, (EXEC,), lambda _: Severity.HIGH, everything=True)


@check(
    "persistent-volume-creation",
    severity=Severity.HIGH,
    iocs=(IoC.FILESYSTEM_CHANGE,),
    group="rbac",
    looks_at=GRANTS,
    uses=LOOKED_UP,
    controls=CONTROLS | {"cis-1.12": "5.1.9", "attack": "T1611, T1098.006", "ms": "MS-TA9013"},
)
def persistent_volume_creation(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Somebody may create PersistentVolumes.

    A PersistentVolume may name any path of a node's files; bound by a claim it is mounted by a pod to which Pod
    Security sees nothing wrong.

    Bad:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: storage}
        rules:
        - {apiGroups: [""], resources: [persistentvolumes], verbs: [create, get]}

    Good:

        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: storage}
        rules:
        - {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [create, get]}

    Fix: Let claims be served by a StorageClass; keep volumes to the provisioner.

    Sources: Kubernetes, RBAC good practices, persistent volume creation; CIS Kubernetes Benchmark 1.12, 5.1.9.
    """
    yield from grants(resource, world, (VOLUMES,), lambda _: Severity.HIGH)
