"""Containers without an upper bound on memory or CPU."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import LIMIT_RANGE, PODS
from iocaudit.core.pod import PodSpec
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mappings
from iocaudit.core.world import World

_CONTROLS = {"attack": "T1496.001", "ms": "MS-TA9039", "owasp": "K01"}


def _without_limit(pod: PodSpec, world: World, resource: str) -> Iterator[Hit]:
    if lookup(pod.spec, "resources", "limits", resource) is not None:
        return  # a limit of the whole pod (KEP-2837) bounds each container
    defaulted: bool | None = None
    for container in pod.containers:
        # Ephemeral containers have no resources of their own: the API refuses the field.
        if container.is_ephemeral or lookup(container.raw, "resources", "limits", resource) is not None:
            continue
        if defaulted is None:
            defaulted = _has_default(pod, world, resource)
        if defaulted:
            return
        yield container.hit(f"resources.limits.{resource}", f"has no {resource} limit", "unset")


def _has_default(pod: PodSpec, world: World, resource: str) -> bool:
    """Whether a LimitRange of the namespace gives containers a default limit."""
    namespace = world.namespace_of(pod.resource)
    for limit_range in world.of(LIMIT_RANGE, namespace, near=pod.resource):
        for limit in mappings(lookup(limit_range.raw, "spec", "limits")):
            # An absent default is filled in from max by the API server.
            if limit.get("type") == "Container" and (
                lookup(limit, "default", resource) is not None or lookup(limit, "max", resource) is not None
            ):
                return True
    return False


@check(
    "memory-unlimited",
    severity=Severity.MEDIUM,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=PODS,
    needs=(LIMIT_RANGE,),
    controls=_CONTROLS,
)
def memory_unlimited(pod: PodSpec, world: World) -> Iterator[Hit]:
    """A container has no memory limit.

    A leak or an attack fills the node's memory, and the kernel ends other pods for it. A limit on the whole pod
    and a default from the namespace's LimitRange count.

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
def cpu_unlimited(pod: PodSpec, world: World) -> Iterator[Hit]:
    """A container has no CPU limit.

    Hijacked for mining or caught in a loop, it takes what the node has. A limit on the whole pod and a default
    from the namespace's LimitRange count.

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
