"""The stored template behind a pod that a controller makes, verified by uid and selector.

Without it, draining a node would kill what ran before a policy came. An ownerReference alone proves nothing:
only the cluster's own controllers are believed, and only for an owner that is really there.
"""

from __future__ import annotations

from collections.abc import Callable

from iocaudit.core.kinds import DAEMON_SET, JOB, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET, Kind
from iocaudit.core.label_selector import selects
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, lookup, mapping, mappings, text

Get = Callable[[Kind, str | None, str], Json]

_CONTROLLERS = frozenset(
    {"system:kube-controller-manager"}
    | {
        f"system:serviceaccount:kube-system:{name}-controller"
        for name in ("replicaset", "statefulset", "daemon-set", "job", "replication")
    }
)
_OWNERS = {kind.name: kind for kind in (REPLICA_SET, STATEFUL_SET, DAEMON_SET, JOB, REPLICATION_CONTROLLER)}


def is_made_by_controller(resource: Resource, request: Request) -> bool:
    """Whether this is a pod that one of the cluster's controllers creates."""
    return (
        request.operation is Operation.CREATE
        and not request.subresource
        and resource.kind_name == "Pod"
        and request.username in _CONTROLLERS
    )


def controller_reference(resource: Resource) -> Json | None:
    """The ownerReference that names the controller, as claimed."""
    return next((r for r in mappings(resource.metadata.get("ownerReferences")) if r.get("controller") is True), None)


def stored_owner(resource: Resource, get: Get) -> Resource | None:
    """The owner as the API server has it, if its uid and selector agree; raises what ``get`` raises."""
    reference = controller_reference(resource)
    if reference is None:
        return None
    kind = _OWNERS.get(text(reference.get("kind")))
    if kind is None or text(reference.get("apiVersion")) != kind.api_version:
        return None
    raw = {**get(kind, resource.namespace, text(reference.get("name")))}
    raw.setdefault("apiVersion", kind.api_version)
    raw.setdefault("kind", kind.name)
    owner = Resource(raw, CLUSTER)
    if owner.uid != text(reference.get("uid")):
        return None
    selector = mapping(lookup(raw, "spec", "selector"))
    wanted = {"matchLabels": selector} if kind is REPLICATION_CONTROLLER else selector
    return owner if selector and selects(wanted, resource.labels) else None
