"""Containers that see the whole of /proc."""

from collections.abc import Iterator

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.pods.pss import PSS_VERSION, has_own_users


@check(
    "unmasked-proc",
    severity=Severity.HIGH,
    iocs=(IoC.CLUSTER_ADMIN,),
    group="pods",
    looks_at=PODS,
    fields=("procMount",),
    controls={"pss": "baseline/procMount", "attack": "T1611", "owasp": "K01", "nsa": "Pod security enforcement"},
    parameters=(
        Parameter(
            "userNamespaces",
            {"type": "boolean"},
            "accept it in pods with a user namespace of their own (profile strict does not, as PSS restricted)",
            default=True,
            exempts=True,
            strict=False,
        ),
        PSS_VERSION,
    ),
)
def unmasked_proc(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container's /proc is not masked.

    The runtime hides parts of /proc that tell of the node and its kernel, and makes others read-only, such as
    `sysrq-trigger` and `sys/kernel/core_pattern`. `procMount: Unmasked` takes that away. In a pod with a user
    namespace of its own (`hostUsers: false`), without which the API server refuses it since 1.33, it gives
    nothing beyond that namespace.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          hostUsers: false
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {procMount: Unmasked}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            securityContext: {procMount: Default}

    Policy:

        userNamespaces: false

    Fix: Remove `procMount`, or give the pod its own user namespace (`hostUsers: false`).

    Sources: Kubernetes Pod Security Standards, baseline, /proc Mount Type.
    """
    if params["userNamespaces"] and has_own_users(pod, params):
        return
    for container in pod.containers:
        value = text(container.security_context.get("procMount"))
        if value and value != "Default":
            yield container.hit(
                "securityContext.procMount",
                f"sees an unmasked /proc (procMount: {clip(value)})",
                value,
                repair=remove(),
            )
