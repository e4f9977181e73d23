"""Containers without an upper bound on memory or CPU."""

from collections.abc import Iterator
from typing import Any

from iocaudit.core.check import check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import LIMIT_RANGE, POD, PODS
from iocaudit.core.pod import Container, PodSpec
from iocaudit.core.quantity import Quantity
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mappings
from iocaudit.core.wording import clip
from iocaudit.core.world import World

_CONTROLS = {"attack": "T1496.001", "ms": "MS-TA9039", "owasp": "K01"}


def _without_limit(pod: PodSpec, world: World, resource: str) -> Iterator[Hit | Skip]:
    whole = lookup(pod.spec, "resources", "limits", resource)
    if whole is not None:
        limit = Quantity.parse_or_none(whole)
        if limit is None:
            yield Skip(f"{pod.path}.resources.limits.{resource} is {_shown(whole)}, which is no quantity")
            return
        if not limit.is_zero:
            return  # a limit of the whole pod (KEP-2837) bounds each container
    defaulted: bool | None = None
    for container in pod.containers:
        # Ephemeral containers have no resources of their own: the API refuses the field.
        if container.is_ephemeral:
            continue
        field, value = _limit(container, resource)
        if value is not None:
            limit = Quantity.parse_or_none(value)
            if limit is None:
                yield Skip(f"{container.path}.{field} is {_shown(value)}, which is no quantity")
            elif limit.is_zero:
                yield container.hit(field, f"has the {resource} limit {_shown(value)}, which means none", "0")
            continue
        if defaulted is None:
            defaulted = _has_default(pod, world, resource)
        if not defaulted:
            yield container.hit(field, f"has no {resource} limit", "unset")


def _limit(container: Container, resource: str) -> tuple[str, Any]:
    """Where the container's limit stands and what it is; Tekton v1 calls the field computeResources."""
    value = lookup(container.raw, "resources", "limits", resource)
    if value is None and "computeResources" in container.raw:
        return f"computeResources.limits.{resource}", lookup(container.raw, "computeResources", "limits", resource)
    return f"resources.limits.{resource}", value


def _shown(value: object) -> str:
    return clip(value) if isinstance(value, str) else clip(repr(value)) if isinstance(value, int | float) else "a tree"


def _has_default(pod: PodSpec, world: World, resource: str) -> bool:
    """Whether a LimitRange of the namespace gives containers a default limit.

    It acts on a pod as it is created. A pod that carries a uid has been through it, so what that pod lacks,
    it lacks for good.
    """
    asking = pod.resource
    if asking.kind is POD and asking.uid:
        return False
    for limit_range in world.of(LIMIT_RANGE, world.namespace_of(asking), near=asking):
        for limit in mappings(lookup(limit_range.raw, "spec", "limits")):
            if limit.get("type") != "Container":
                continue
            # An absent default is filled in from max by the API server.
            value = lookup(limit, "default", resource)
            given = Quantity.parse_or_none(lookup(limit, "max", resource) if value is None else value)
            if given is not None and not given.is_zero:
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
def memory_unlimited(pod: PodSpec, world: World) -> Iterator[Hit | Skip]:
    """A container has no memory limit.

    A leak or an attack fills the node's memory, and the kernel ends other pods for it. A limit on the whole pod
    and, for pods yet to be made, a default from the namespace's LimitRange count. A limit of 0 is none to the
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
    yet to be made, a default from the namespace's LimitRange count. A limit of 0 is none to the runtime.
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
