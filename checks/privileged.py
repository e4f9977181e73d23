"""Containers that run privileged."""

from collections.abc import Iterator

from checks._root_on_node import ROOT_ON_NODE
from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.place import Place
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.pods.pod import Container, PodSpec


@check(
    "privileged-container",
    severity=Severity.CRITICAL,
    denied_by_guard=True,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("privileged",),
    controls={
        "pss": "baseline/privileged",
        "cis-1.12": "5.2.2",
        "attack": "T1611, T1610",
        "ms": "MS-TA9018",
        "owasp": "K01",
        "nsa": "Pod security enforcement",
    },
    implies={Place.CONTAINERS: ROOT_ON_NODE},
)
def privileged_container(pod: PodSpec) -> Iterator[Hit]:
    """A container runs privileged.

    A privileged container has every capability, sees every device of the node and is not confined by seccomp
    or AppArmor: anyone who runs code in it owns the node, and with the node's credentials often the cluster.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext:
              privileged: true

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext:
              privileged: false

    Fix: Remove `privileged: true`; add the one capability or device the program needs instead.

    Sources: Kubernetes Pod Security Standards, baseline, Privileged Containers.
    """
    for container in pod.containers:
        if container.security_context.get("privileged") is True:
            shared = _propagated(container)
            first = f"Remove `mountPropagation: Bidirectional` at {shared}, which only privileged containers may have"
            yield container.hit(
                "securityContext.privileged",
                "runs privileged",
                "true",
                fix=f"{first}; then remove `privileged: true`." if shared else None,
                repair=None if shared else remove(),
            )


def _propagated(container: Container) -> str:
    """Where the container hands mounts on to the node: it may do that only while it is privileged."""
    mounts = (one for one in container.volume_mounts if one.get("mountPropagation") == "Bidirectional")
    return next((f"`{clip(text(one.get('mountPath')))}`" for one in mounts), "")
