"""What containers ask for, and whether it keeps to a policy's bounds."""

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import LIMIT_RANGE, PODS
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.limit_range import ResourceAmount, effective, written
from iocaudit.knowledge.pods.pod import Container, PodSpec
from iocaudit.knowledge.quantity import Quantity

_CONTROLS = {
    "attack": "T1496.001, T1499",
    "ms": "MS-TA9039, MS-TA9040",
    "owasp": "K01",
    "nsa": "Resource policies",
}
_AMOUNTS = {
    "type": "object",
    "maxProperties": 32,
    "propertyNames": {"maxLength": 253},
    "additionalProperties": {"type": ["string", "integer", "number"]},
}
_RATIO = {"type": ["string", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?$"}


@check(
    "requests-missing",
    severity=Severity.LOW,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=PODS,
    needs=(LIMIT_RANGE,),
    profile="strict",
    controls=_CONTROLS,
    parameters=(
        Parameter(
            "resources",
            {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 32},
            "the resources that a container must ask for",
            default=["cpu", "memory"],
        ),
    ),
)
def requests_missing(pod: PodSpec, world: World, params: Params) -> Iterator[Hit]:
    """A container does not say what it needs.

    Without requests the scheduler packs pods onto nodes that cannot hold them, and those without are the first
    that are killed. A limit without a request is the request too; defaults of a LimitRange and requests of the
    whole pod count. Ephemeral containers cannot have requests.

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
            resources: {requests: {cpu: 100m, memory: 128Mi}}

    Fix: Set `resources.requests` to what the container needs in normal use.

    Sources: Kubernetes documentation, Resource Management for Pods and Containers.
    """
    for resource in params["resources"]:
        if lookup(pod.spec, "resources", "requests", resource) is not None:
            continue
        for container in pod.containers:
            if container.is_ephemeral:
                continue
            amount = effective(container, world, "requests", resource)
            if amount.value is None:
                yield container.hit(amount.field, f"has no {clip(resource)} request", "unset")


@check(
    "limits-above-maximum",
    severity=Severity.MEDIUM,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=PODS,
    needs=(LIMIT_RANGE,),
    controls=_CONTROLS,
    parameters=(
        Parameter(
            "limits",
            _AMOUNTS,
            "the highest limit of each resource, such as {cpu: 2, memory: 4Gi}; a negative one bounds nothing",
            required=True,
            unless=("requests",),
        ),
        Parameter("requests", _AMOUNTS, "the highest request of each resource", required=True, unless=("limits",)),
    ),
)
def limits_above_maximum(pod: PodSpec, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A container's limit or request is above the policy's maximum.

    One container that may take half a node is what a hijacker looks for. Where the policy bounds limits, a
    container without one is above every maximum. Defaults of a LimitRange count.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            resources: {limits: {memory: 64Gi}}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            resources: {limits: {memory: 2Gi}}

    Policy:

        limits: {memory: 4Gi}

    Fix: Lower `resources.limits`, or raise the maximum in the policy for the namespace that needs it.

    Sources: Kubernetes documentation, Resource Management for Pods and Containers; LimitRange.
    """
    for kind in ("limits", "requests"):
        bounds: Mapping[str, Any] = params.get(kind) or {}
        for resource, most in bounds.items():
            maximum = Quantity.parse_or_none(most)
            if maximum is None:
                yield Skip(f"the policy's maximum {clip(str(most))} of {clip(resource)} is not a quantity")
                continue
            if maximum.value < 0:
                continue
            for container in pod.containers:
                if not container.is_ephemeral:
                    amount = effective(container, world, kind, resource)
                    yield from _above(container, amount, kind, resource, maximum)


def _unreadable(container: Container, amount: ResourceAmount, what: str) -> Hit:
    """A hit on what no bound can be held to. The API server refuses it; a template or a chart may still carry it."""
    message = f"has the {clip(what)} {clip(str(amount.value))}, which is not a quantity, so no bound applies"
    return container.hit(amount.field, message, "unreadable")


def _above(container: Container, amount: ResourceAmount, kind: str, resource: str, most: Quantity) -> Iterator[Hit]:
    word = kind.removesuffix("s")
    if amount.value is None:
        if kind == "limits":
            message = f"has no {clip(resource)} limit, where {most} is the maximum"
            yield container.hit(amount.field, message, "unset")
        return
    quantity = amount.quantity
    if quantity is None:
        yield _unreadable(container, amount, f"{resource} {word}")
    elif quantity > most:
        message = f"has the {clip(resource)} {word} {clip(str(amount.value))}, above the maximum {most}"
        yield container.hit(amount.field, message, quantity.canonical)


@check(
    "limit-to-request-ratio",
    severity=Severity.MEDIUM,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=PODS,
    needs=(LIMIT_RANGE,),
    controls=_CONTROLS,
    parameters=(
        Parameter(
            "ratio",
            _RATIO,
            "how many times its request a memory or CPU limit may be",
            required=True,
            unless=("cpuRatio",),
        ),
        Parameter("cpuRatio", _RATIO, "the same for CPU alone", required=True, unless=("ratio",)),
    ),
)
def limit_to_request_ratio(pod: PodSpec, world: World, params: Params) -> Iterator[Hit]:
    """A container may take many times what it asked for.

    The node is packed by requests; what goes beyond them is someone else's. A limit without a request is the
    request too; without a limit there is no ratio that holds. Defaults of a LimitRange count.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            resources: {requests: {memory: 64Mi, cpu: 100m}, limits: {memory: 4Gi, cpu: 100m}}

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            resources: {requests: {memory: 64Mi, cpu: 100m}, limits: {memory: 128Mi, cpu: 200m}}

    Policy:

        ratio: 2

    Fix: Raise `resources.requests` to what the container really uses, or lower `resources.limits`.

    Sources: Kubernetes documentation, LimitRange, maxLimitRequestRatio.
    """
    ratio = params.get("ratio")
    for resource, most in (("memory", ratio), ("cpu", params.get("cpuRatio") or ratio)):
        allowed = Quantity.parse_or_none(most) if most is not None else None
        if allowed is None:
            continue
        for container in pod.containers:
            if container.is_ephemeral:
                continue
            limit = effective(container, world, "limits", resource)
            request = effective(container, world, "requests", resource)
            if limit.value is None:
                yield container.hit(
                    limit.field, f"has no {resource} limit, so no ratio to its request applies", "unset"
                )
                continue
            high, low = limit.quantity, request.quantity
            if high is None:
                yield _unreadable(container, limit, f"{resource} limit")
            elif request.value is not None and low is None:
                yield _unreadable(container, request, f"{resource} request")
            elif low is None or low.is_zero:
                yield container.hit(
                    written(container, "requests", resource).field, f"has no {resource} request", "unset"
                )
            elif high.value > low.value * allowed.value:
                message = f"has a {resource} limit of {high}, more than {allowed} times its request {low}"
                yield container.hit(limit.field, message, f"{high.canonical}/{low.canonical}")
