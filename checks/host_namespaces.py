"""Pods that share a namespace of the node."""

from collections.abc import Iterator

from checks._host_process import host_process_paths
from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.pods.pod import PodSpec

_CONTROLS = {
    "pss": "baseline/hostNamespaces",
    "attack": "T1611",
    "owasp": "K01",
    "nsa": "Pod security enforcement",
}
_FIRST = "Remove `hostProcess: true`, beside which the API server wants `hostNetwork: true`; then remove that."


@check(
    "host-network",
    severity=Severity.HIGH,
    iocs=(IoC.OUTBOUND_TRAFFIC, IoC.CLUSTER_ADMIN),
    group="pods",
    looks_at=PODS,
    fields=("hostNetwork",),
    controls={**_CONTROLS, "cis-1.12": "5.2.5"},
)
def host_network(pod: PodSpec) -> Iterator[Hit]:
    """A pod uses the node's network.

    It can reach what listens on the node's loopback address, such as the kubelet's and the runtime's own ports,
    sniff the traffic of every other pod of the node, and no NetworkPolicy confines it.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          hostNetwork: true
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          hostNetwork: false
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Remove `hostNetwork: true` and expose the port through a Service.

    Sources: Kubernetes Pod Security Standards, baseline, Host Namespaces.
    """
    if pod.host_network:
        needed = bool(host_process_paths(pod))
        yield pod.hit(
            "hostNetwork",
            "shares the node's network (hostNetwork: true)",
            "true",
            fix=_FIRST if needed else None,
            repair=None if needed else remove(),
        )


@check(
    "host-pid",
    severity=Severity.HIGH,
    iocs=(IoC.OUTBOUND_TRAFFIC, IoC.CLUSTER_ADMIN),
    group="pods",
    looks_at=PODS,
    fields=("hostPID",),
    controls={**_CONTROLS, "cis-1.12": "5.2.3"},
)
def host_pid(pod: PodSpec) -> Iterator[Hit]:
    """A pod sees the node's processes.

    It reads the environment and the open files of every process of the node through /proc, and with
    SYS_PTRACE or as root it can take them over.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          hostPID: true
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          hostPID: false
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Remove `hostPID: true`; `shareProcessNamespace` serves for processes of one pod.

    Sources: Kubernetes Pod Security Standards, baseline, Host Namespaces.
    """
    if pod.spec.get("hostPID") is True:
        yield pod.hit("hostPID", "sees the node's processes (hostPID: true)", "true", repair=remove())


@check(
    "host-ipc",
    severity=Severity.HIGH,
    iocs=(IoC.OUTBOUND_TRAFFIC, IoC.CLUSTER_ADMIN),
    group="pods",
    looks_at=PODS,
    fields=("hostIPC",),
    controls={**_CONTROLS, "cis-1.12": "5.2.4"},
)
def host_ipc(pod: PodSpec) -> Iterator[Hit]:
    """A pod shares the node's inter-process communication.

    It can read and change the shared memory, semaphores and message queues of the node's processes.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          hostIPC: true
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          hostIPC: false
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Remove `hostIPC: true`; containers of one pod share memory through an emptyDir of medium Memory.

    Sources: Kubernetes Pod Security Standards, baseline, Host Namespaces.
    """
    if pod.spec.get("hostIPC") is True:
        yield pod.hit("hostIPC", "shares the node's IPC namespace (hostIPC: true)", "true", repair=remove())


@check(
    "shared-process-namespace",
    severity=Severity.LOW,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("shareProcessNamespace",),
    profile="strict",
    controls={"attack": "T1611", "owasp": "K01", "nsa": "Pod security enforcement"},
)
def shared_process_namespace(pod: PodSpec) -> Iterator[Hit]:
    """The containers of a pod see each other's processes.

    With `shareProcessNamespace` one compromised container reads the environment and the files of the others
    through /proc and may signal or trace their processes.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          shareProcessNamespace: true
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Remove `shareProcessNamespace: true`; let a container signal another through a shared file or port.

    Sources: Kubernetes documentation, Share Process Namespace between Containers in a Pod.
    """
    if pod.spec.get("shareProcessNamespace") is True:
        message = "shares one process namespace among its containers"
        yield pod.hit("shareProcessNamespace", message, "true", repair=remove())
