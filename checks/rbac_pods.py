"""Grants that lead into pods, or to what pods can reach."""

from collections.abc import Iterator
from functools import partial

from checks._rbac import CONTROLS, GRANTS, LOOKED_UP, grants, once
from checks._reach import GrantJudge
from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, POD, STATEFUL_SET
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import BINDINGS
from iocaudit.knowledge.rbac.powers import EXEC, FIXED_CHANGED, PODS_CHANGED, VOLUMES, WORKLOADS_CREATED

_RUNNING = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, CRON_JOB, JOB)
"""What says as whom pods run; the pods themselves are many, and made by these."""


@check(
    "workload-creation",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="rbac",
    looks_at=GRANTS,
    uses=(*LOOKED_UP, *BINDINGS),
    in_files=(POD,),
    in_audits=_RUNNING,
    controls=CONTROLS | {"cis-1.12": "5.1.4", "attack": "T1610, T1098.006", "ms": "MS-TA9008"},
)
def workload_creation(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may run pods.

    Anyone who can create a pod, or create or change anything that makes pods, chooses its ServiceAccount, its image and
    its volumes. That gives the rights of every ServiceAccount of the namespace and its Secrets, and the node where Pod
    Security does not forbid it. The kinds of Argo, Knative, Tekton, Kubeflow and the like count. It is critical where
    the grant reaches a ServiceAccount that gets to cluster-admin: in its namespace, or anywhere for one that is bound
    in the whole cluster, where the accounts of Kubernetes' own controllers are. A ClusterRole by itself reaches
    nothing. Of a pod that exists `update` and `patch` change the images alone: critical where such a pod is known that
    runs as such a ServiceAccount. A Job keeps its template whatever is patched: medium. Kubernetes' own
    admin and edit are made for one namespace: medium there, unless a way leads on. `iocaudit rbac path` shows the way.

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

    Sources: Kubernetes, RBAC good practices, workload creation; Kubernetes, Pods, pod update and replacement, and
    Jobs, mutable scheduling directives; CIS Kubernetes Benchmark 1.12, 5.1.4.
    """
    reached = GrantJudge(resource, world)
    judge = partial(
        grants,
        resource,
        world,
        judge=reached.by_pods,
        everything=True,
        because=reached.through_pods,
        keeps_critical=True,
    )
    yield from once(*(judge(powers=(one,)) for one in (WORKLOADS_CREATED, PODS_CHANGED, FIXED_CHANGED)))
    yield from reached.problems


@check(
    "exec-permission",
    severity=Severity.HIGH,
    worst=Severity.CRITICAL,
    iocs=(IoC.USER_ACTIVITY,),
    group="rbac",
    looks_at=GRANTS,
    uses=(*LOOKED_UP, *BINDINGS),
    in_files=(POD,),
    in_audits=_RUNNING,
    controls=CONTROLS | {"attack": "T1609, T1059.013", "ms": "MS-TA9006, MS-TA9007"},
)
def exec_permission(resource: Resource, world: World) -> Iterator[Hit | Skip]:
    """Someone may open sessions into pods.

    A session (`pods/exec`, `attach`, `portforward`, `proxy`, an ephemeral container) runs as the pod: with its
    ServiceAccount's token, its Secrets and its network, past every review. `get` sufficed before Kubernetes 1.35,
    `create` does now. Bindings of such a role are flagged for each subject, that of Kubernetes' own admin or edit in
    one namespace as medium. It is critical where a pod within reach is known to run as a ServiceAccount that gets to
    cluster-admin, and with every right in the whole cluster.

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
    reached = GrantJudge(resource, world)
    yield from grants(resource, world, (EXEC,), reached.by_pods, everything=True, because=reached.through_pods)


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
    """Someone may create PersistentVolumes.

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
