"""Namespaces in which nothing bounds what all workloads together take."""

from collections.abc import Iterator

from iocaudit.core.check import check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import LIMIT_RANGE, NAMESPACE, WORKLOADS
from iocaudit.core.kinds.builtin import RESOURCE_QUOTA
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, mapping, mappings
from iocaudit.core.world import World

_BOUNDED = ("cpu", "memory")


@check(
    "namespace-without-quota",
    severity=Severity.LOW,
    iocs=(IoC.RESOURCE_SPIKE,),
    group="resources",
    looks_at=(NAMESPACE,),
    needs=(RESOURCE_QUOTA, LIMIT_RANGE, *WORKLOADS),
    audit_only=True,
    controls={"attack": "T1499", "ms": "MS-TA9040", "owasp": "K01", "nsa": "Resource policies"},
)
def namespace_without_quota(resource: Resource, world: World) -> Iterator[Hit]:
    """A namespace with workloads has no quota on CPU and memory.

    Anyone who may create pods in it may fill the cluster, by mistake or to mine coins. A ResourceQuota on `cpu` and
    `memory` (requests or limits) bounds the namespace as a whole; a LimitRange that gives every container limits
    on both bounds at least each of them. Empty namespaces are left out.

    Bad:

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
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

        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: v1
        kind: ResourceQuota
        metadata: {name: all, namespace: shop}
        spec: {hard: {limits.cpu: "8", limits.memory: 16Gi}}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: shop}
        spec:
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: app, image: "hooli.com/shop/web:1.4"}]}

    Fix: Add a ResourceQuota with `limits.cpu` and `limits.memory`.

    Sources: Kubernetes documentation, Resource Quotas; NSA/CISA Kubernetes Hardening Guide 1.2, Resource policies.
    """
    name = resource.name
    if not any(world.of(kind, name, near=resource) for kind in WORKLOADS):
        return
    bounded: set[str] = set()
    for quota in world.of(RESOURCE_QUOTA, name, near=resource):
        if not _is_scoped(quota):
            hard = mapping(lookup(quota.raw, "spec", "hard"))
            bounded |= {key.removeprefix("requests.").removeprefix("limits.") for key in hard}
    for limit_range in world.of(LIMIT_RANGE, name, near=resource):
        for limit in mappings(lookup(limit_range.raw, "spec", "limits")):
            if limit.get("type") == "Container":
                bounded |= set(mapping(limit.get("default"))) | set(mapping(limit.get("max")))
    missing = [what for what in _BOUNDED if what not in bounded]
    if missing:
        yield Hit("metadata.name", f"has workloads and no quota on {' and '.join(missing)}", ",".join(missing))


def _is_scoped(quota: Resource) -> bool:
    """Whether a quota counts only some of the pods, so the others are without."""
    spec = mapping(quota.raw.get("spec"))
    return bool(spec.get("scopes")) or bool(lookup(spec, "scopeSelector", "matchExpressions"))
