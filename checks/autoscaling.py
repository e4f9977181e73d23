"""Autoscalers that scale without an end, or not at all."""

from collections.abc import Iterator

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import DEPLOYMENT, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET, Kind, kind_of
from iocaudit.core.kinds.builtin import HORIZONTAL_POD_AUTOSCALER
from iocaudit.core.kinds.scaling import (
    MACHINE_DEPLOYMENT,
    MACHINE_POOL,
    NODE_POOL,
    OPENSHIFT_MACHINE_SET,
    SCALED_OBJECT,
)
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import integer, lookup, mapping, text
from iocaudit.core.wording import counted
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip

_TARGETS = (DEPLOYMENT, STATEFUL_SET, REPLICA_SET, REPLICATION_CONTROLLER)
_MACHINES = (MACHINE_DEPLOYMENT, MACHINE_POOL, OPENSHIFT_MACHINE_SET)
_NODE_GROUP = {
    MACHINE_DEPLOYMENT: "cluster.x-k8s.io/cluster-api-autoscaler-node-group-",
    MACHINE_POOL: "cluster.x-k8s.io/cluster-api-autoscaler-node-group-",
    OPENSHIFT_MACHINE_SET: "machine.openshift.io/cluster-api-autoscaler-node-group-",
}
_KEDA_MOST = 100  # what KEDA takes where maxReplicaCount is absent


@check(
    "autoscaling-unbounded",
    severity=Severity.MEDIUM,
    iocs=(IoC.RESOURCE_SPIKE, IoC.INBOUND_TRAFFIC),
    group="resources",
    looks_at=(HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT, NODE_POOL, *_MACHINES),
    needs=_TARGETS,
    audit_only=True,
    controls={"attack": "T1499", "ms": "MS-TA9040", "owasp": "K01", "nsa": "Resource policies"},
    parameters=(
        Parameter(
            "ceiling",
            {"type": "integer", "minimum": 1},
            "the highest number of replicas or nodes that still counts as a bound",
            default=1000,
            exempts=True,
        ),
    ),
)
def autoscaling_unbounded(resource: Resource, world: World, params: Params) -> Iterator[Hit]:
    """An autoscaler has no effective ceiling, or does nothing.

    Under a flood an autoscaler without an end turns the attacker's traffic into the owner's bill and starves the
    rest of the cluster. One whose minimum is its maximum, or whose target is not there, does not help when help
    is needed. Judged are HorizontalPodAutoscalers, KEDA ScaledObjects, Karpenter NodePools without `limits`, and
    machine groups that the cluster autoscaler may grow without a maximum.

    Bad:

        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web, namespace: shop}
        spec:
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
          minReplicas: 2
          maxReplicas: 100000
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Good:

        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web, namespace: shop}
        spec:
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
          minReplicas: 2
          maxReplicas: 20
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Fix: Set `maxReplicas` (KEDA: `maxReplicaCount`, Karpenter: `limits`) above the minimum, to what the
    cluster can bear.

    Sources: Kubernetes documentation, Horizontal Pod Autoscaling; KEDA ScaledObject; Karpenter NodePool, limits.
    """
    ceiling: int = params["ceiling"]
    spec = mapping(resource.raw.get("spec"))
    if resource.kind is HORIZONTAL_POD_AUTOSCALER:
        low = integer(spec.get("minReplicas"))
        yield from _replicas("minReplicas", 1 if low is None else low, "maxReplicas", spec.get("maxReplicas"), ceiling)
        yield from _target(resource, world)
    elif resource.kind is SCALED_OBJECT:
        most = spec.get("maxReplicaCount", _KEDA_MOST)
        yield from _replicas(
            "minReplicaCount", integer(spec.get("minReplicaCount")) or 0, "maxReplicaCount", most, ceiling
        )
        yield from _target(resource, world)
    elif resource.kind is NODE_POOL:
        if not any(value is not None for value in mapping(spec.get("limits")).values()):
            yield Hit("spec.limits", "makes nodes without a limit (spec.limits is not set)", "unset")
    elif resource.kind in _NODE_GROUP:
        yield from _node_group(resource, _NODE_GROUP[resource.kind], ceiling)


def _replicas(low_field: str, low: int, high_field: str, given: object, ceiling: int) -> Iterator[Hit]:
    most = integer(given)
    if most is None:
        yield Hit(f"spec.{high_field}", f"has no maximum ({high_field} is not set)", "unset")
    elif most > ceiling:
        yield Hit(
            f"spec.{high_field}",
            f"scales up to {counted(most, 'replica')}, which is not an effective ceiling",
            str(most),
        )
    elif most == low:
        message = f"never scales: {low_field} and {high_field} are both {most}"
        yield Hit(f"spec.{high_field}", message, f"{low}={most}")


def _target(resource: Resource, world: World) -> Iterator[Hit]:
    reference = mapping(lookup(resource.raw, "spec", "scaleTargetRef"))
    # KEDA means a Deployment where nothing is said.
    name, version = text(reference.get("name")), text(reference.get("apiVersion")) or "apps/v1"
    group, _, _ = version.rpartition("/")
    kind: Kind | None = kind_of(group, text(reference.get("kind")) or "Deployment")
    if name and kind in _TARGETS and world.get(kind, world.namespace_of(resource), name, near=resource) is None:
        shown = f"{kind.name} {clip(name)}"
        yield Hit("spec.scaleTargetRef.name", f"scales {shown}, which is not there", f"{kind.name}/{name}")


def _node_group(resource: Resource, prefix: str, ceiling: int) -> Iterator[Hit]:
    annotations = resource.annotations
    if f"{prefix}min-size" not in annotations and f"{prefix}max-size" not in annotations:
        return  # the cluster autoscaler leaves it alone
    written = annotations.get(f"{prefix}max-size")
    most = (
        int(written)
        if isinstance(written, str) and written.isascii() and written.isdigit() and len(written) < 10
        else None
    )
    place = f'metadata.annotations["{prefix}max-size"]'
    if most is None:
        yield Hit(place, "may grow without a maximum (no max-size)", "unset")
    elif most > ceiling:
        yield Hit(place, f"may grow to {counted(most, 'node')}, which is not an effective ceiling", str(most))
