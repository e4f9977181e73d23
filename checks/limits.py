"""Containers without an upper bound on memory or CPU."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import LIMIT_RANGE, PODS
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.limit_range import effective
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.quantity import Quantity

_CONTROLS = {
    "attack": "T1496.001, T1499",
    "ms": "MS-TA9039, MS-TA9040",
    "owasp": "K01",
    "nsa": "Resource policies",
}


def _without_limit(pod: PodSpec, world: World, resource: str) -> Iterator[Hit | Skip]:
    whole = lookup(pod.spec, "resources", "limits", resource)
    if whole is not None:
        limit = Quantity.parse_or_none(whole)
        if limit is None:
            yield Skip(f"{pod.path}.resources.limits.{resource} is {_shown(whole)}, which is not a quantity")
            return
        if not limit.is_zero:
            return  # a limit of the whole pod (KEP-2837) bounds each container
    for container in pod.containers:
        # Ephemeral containers have no resources of their own: the API refuses the field.
        if container.is_ephemeral:
            continue
        amount = effective(container, world, "limits", resource)
        if amount.value is None:
            yield container.hit(amount.field, f"has no {resource} limit", "unset")
            continue
        limit = amount.quantity
        if limit is None:
            yield Skip(f"{container.path}.{amount.field} is {_shown(amount.value)}, which is not a quantity")
        elif limit.is_zero:
            message = f"has the {resource} limit {_shown(amount.value)}, which means none"
            yield container.hit(amount.field, message, "0")


def _shown(value: object) -> str:
    return clip(value) if isinstance(value, str) else clip(repr(value)) if isinstance(value, int | float) else "a tree"


@check(
    "memory-unlimited",
    severity=Severity.MEDIUM,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=PODS,
    needs=(LIMIT_RANGE,),
    controls=_CONTROLS,
)
def memory_unlimited(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """A container has no memory limit.

    A leak or an attack fills the node's memory, and the kernel ends other pods for it. A limit on the whole pod
    and, for pods yet to be made, a default from the namespace's LimitRange count. A limit of 0 means no limit to the
    runtime. Ephemeral containers cannot have limits and are not judged.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            resources: {limits: {memory: 128Mi}}

    Fix: Set `resources.limits.memory`, or a LimitRange with a default for the namespace.

    Sources: Kubernetes documentation, Resource Management for Pods and Containers; LimitRange.
    """
    yield from _without_limit(pod, world, "memory")


@check(
    "cpu-unlimited",
    severity=Severity.MEDIUM,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=PODS,
    needs=(LIMIT_RANGE,),
    controls=_CONTROLS,
)
def cpu_unlimited(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """A container has no CPU limit.

    Hijacked for mining or caught in a loop, it takes what the node has. A limit on the whole pod and, for pods
    yet to be made, a default from the namespace's LimitRange count. A limit of 0 means no limit to the runtime.
    Ephemeral containers cannot have limits and are not judged.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            resources: {limits: {cpu: 500m}}

    Fix: Set `resources.limits.cpu`, or a LimitRange with a default for the namespace.

    Sources: Kubernetes documentation, Resource Management for Pods and Containers; LimitRange.
    """
    yield from _without_limit(pod, world, "cpu")


@check(
    "ephemeral-storage-unlimited",
    severity=Severity.LOW,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=PODS,
    needs=(LIMIT_RANGE,),
    profile="strict",
    controls=_CONTROLS,
)
def ephemeral_storage_unlimited(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """A container has no limit on ephemeral storage.

    Logs, emptyDirs and the container's own layer lie on the node's disk. One pod that fills it makes the kubelet
    evict the others. Limits on the whole pod and defaults of a LimitRange count.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            resources: {limits: {ephemeral-storage: 1Gi}}

    Fix: Set `resources.limits.ephemeral-storage`, or a LimitRange with a default for the namespace.

    Sources: Kubernetes documentation, Local ephemeral storage.
    """
    yield from _without_limit(pod, world, "ephemeral-storage")
