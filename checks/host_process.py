"""Windows containers that run as processes of the node."""

from collections.abc import Iterator

from checks._host_process import host_process_paths
from checks._root_on_node import ROOT_ON_NODE
from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.place import Place
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup
from iocaudit.knowledge.pods.pod import PodSpec


@check(
    "host-process-container",
    severity=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("windowsOptions",),
    controls={
        "pss": "baseline/windowsHostProcess",
        "cis-1.12": "5.2.10",
        "attack": "T1611, T1610",
        "ms": "MS-TA9018",
        "owasp": "K01",
        "nsa": "Pod security enforcement",
    },
    implies={Place.CONTAINERS: ROOT_ON_NODE, Place.POD: ("host-network",)},
)
def host_process_container(pod: PodSpec) -> Iterator[Hit]:
    """A Windows container runs as a process of the node.

    A HostProcess container runs directly on the Windows host, with access to its files, network and services:
    the Windows form of a privileged container.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: agent, namespace: shop}
        spec:
          hostNetwork: true
          securityContext:
            windowsOptions: {hostProcess: true, runAsUserName: 'NT AUTHORITY\\SYSTEM'}
          containers: [{name: app, image: "hooli.com/shop/agent:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: agent, namespace: shop}
        spec:
          securityContext:
            windowsOptions: {hostProcess: false}
          containers: [{name: app, image: "hooli.com/shop/agent:1.4"}]

    Fix: Remove `hostProcess: true` and run the program as an ordinary Windows container.

    Sources: Kubernetes Pod Security Standards, baseline, HostProcess.
    """
    # The API server wants all containers of a pod to be HostProcess containers, or none.
    undo = remove(*host_process_paths(pod))
    if lookup(pod.security_context, "windowsOptions", "hostProcess") is True:
        yield pod.hit(
            "securityContext.windowsOptions.hostProcess",
            "runs as a HostProcess pod (hostProcess: true)",
            "true",
            repair=undo,
        )
    for container in pod.containers:
        if lookup(container.security_context, "windowsOptions", "hostProcess") is True:
            path = "securityContext.windowsOptions.hostProcess"
            yield container.hit(path, "runs as a HostProcess container", "true", repair=undo)
