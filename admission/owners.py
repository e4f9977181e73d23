"""The stored templates behind what a controller makes, verified by uid and selector.

Without them, draining a node would kill what ran before a policy came, and a waiver for a Deployment would let no
pod of it through. An ownerReference alone proves nothing: only the cluster's own controllers are believed, each for
what it makes, and only for owners that are really there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from iocaudit.core.kinds import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
    Kind,
)
from iocaudit.core.label_selector import selects
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, lookup, mapping, mappings, text

Get = Callable[[Kind, str | None, str], Json]

_MANAGER = "system:kube-controller-manager"
"""Every controller's name where the manager was not told to use a ServiceAccount for each."""
_CONTROLLERS: Mapping[Kind, Mapping[Kind, str]] = {
    POD: {
        REPLICA_SET: "replicaset",
        STATEFUL_SET: "statefulset",
        DAEMON_SET: "daemon-set",
        JOB: "job",
        REPLICATION_CONTROLLER: "replication",
    },
    REPLICA_SET: {DEPLOYMENT: "deployment"},
    JOB: {CRON_JOB: "cronjob"},
}
"""What is made, of which owners, and the controller that makes it."""
_DEEPEST = 3


def is_made_by_controller(resource: Resource, request: Request) -> bool:
    """Whether one of the cluster's controllers creates this, and it is what that controller makes."""
    made = _CONTROLLERS.get(resource.kind) if resource.kind is not None else None
    return (
        made is not None
        and request.operation is Operation.CREATE
        and not request.subresource
        and any(_is_controller(request.username, name) for name in made.values())
    )


def _is_controller(username: str, name: str) -> bool:
    return username in (_MANAGER, f"system:serviceaccount:kube-system:{name}-controller")


def controller_reference(resource: Resource) -> Json | None:
    """The ownerReference that names the controller, as claimed."""
    return next((r for r in mappings(resource.metadata.get("ownerReferences")) if r.get("controller") is True), None)


def stored_owners(resource: Resource, username: str, get: Get) -> Iterator[Resource]:
    """The owners as the API server has them, nearest first, as far as uid and selector agree.

    The first has to be of the kind that the user is the controller of; the others' references are stored already.
    Raises what ``get`` raises.
    """
    current = resource
    for depth in range(_DEEPEST):
        found = _stored_owner(current, None if depth else username, get)
        if found is None:
            return
        yield found
        current = found


def _stored_owner(resource: Resource, username: str | None, get: Get) -> Resource | None:
    reference = controller_reference(resource)
    if reference is None or resource.kind is None:
        return None
    claimed = (reference.get("apiVersion"), reference.get("kind"))
    made = _CONTROLLERS.get(resource.kind, {})
    kind = next((kind for kind in made if (kind.api_version, kind.name) == claimed), None)
    if kind is None or (username is not None and not _is_controller(username, made[kind])):
        return None
    raw = {**get(kind, resource.namespace, text(reference.get("name")))}
    raw.setdefault("apiVersion", kind.api_version)
    raw.setdefault("kind", kind.name)
    owner = Resource(raw, CLUSTER)
    if not owner.uid or owner.uid != text(reference.get("uid")):
        return None
    if kind is CRON_JOB:  # it has none: a Job is told from others by its reference alone
        return owner
    selector = mapping(lookup(raw, "spec", "selector"))
    wanted = {"matchLabels": selector} if kind is REPLICATION_CONTROLLER else selector
    return owner if selector and selects(wanted, resource.labels) else None
