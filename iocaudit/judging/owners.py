"""The stored templates behind what a controller makes, verified by uid and selector.

Without them, draining a node would kill what ran before a policy came, and a waiver for a Deployment would let no
pod of it through. An ownerReference alone proves nothing: only the cluster's own controllers are believed, each for
what it makes, and only for owners that are really there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from iocaudit.core.kinds import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
    Kind,
)
from iocaudit.core.label_selector import selects
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, integer, lookup, mapping, mappings, text
from iocaudit.knowledge.controllers import CONTROLLERS, is_controller

Get = Callable[[Kind, str | None, str], Json]

_DEEPEST = 3
_COUNTED: Mapping[Kind, tuple[str, ...]] = {
    DAEMON_SET: ("desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled"),
    DEPLOYMENT: ("replicas", "terminatingReplicas"),
    JOB: ("active", "terminating", "succeeded", "failed"),
    REPLICATION_CONTROLLER: ("replicas",),
    REPLICA_SET: ("replicas", "terminatingReplicas"),
    STATEFUL_SET: ("replicas",),
}
"""What of a status counts pods. Those of a Job also when they have ended, as it makes them one after another; of a
DaemonSet the nodes that it is for, as a rollout on one node, or new nodes, would find it without pods."""
_PLACING = ("nodeSelector", "affinity", "tolerations", "nodeName")
"""What of a pod says which nodes a DaemonSet is for."""
_ROLLING = frozenset({"NewReplicaSetCreated", "ReplicaSetUpdated"})
"""Reasons of a Deployment's condition Progressing from the new ReplicaSet to the end of its rollout."""


def is_made_by_controller(resource: Resource, request: Request) -> bool:
    """Whether one of the cluster's controllers creates this, and it is what that controller makes."""
    made = CONTROLLERS.get(resource.kind) if resource.kind is not None else None
    return (
        made is not None
        and request.operation is Operation.CREATE
        and not request.subresource
        and any(is_controller(request.username, name) for name in made.values())
    )


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


def may_be_adopted(resource: Resource, old: Resource | None, request: Request) -> bool:
    """Whether a request makes an object count as what an owner has, though that owner's controller did not make it.

    Controllers adopt what their selector fits, and believe an ownerReference that someone wrote, of whatever
    apiVersion. Source: kubernetes, pkg/controller/controller_utils.go, PodControllerIndexKey, and ClaimObject.
    """
    if request.operation not in (Operation.CREATE, Operation.UPDATE) or request.subresource:
        return False
    if _claimed_kind(resource) is None or is_made_by_controller(resource, request):
        return False
    return old is None or _claim(old) != _claim(resource)


def claimed_owner(resource: Resource, get: Get) -> Resource | None:
    """The owner that an object names as its controller, whatever its selector; None where there is none of that uid.

    Raises what ``get`` raises.
    """
    reference, kind = resource.controller, _claimed_kind(resource)
    if reference is None or kind is None:
        return None
    raw = {**get(kind, resource.namespace, text(reference.get("name")))}
    raw.setdefault("apiVersion", kind.api_version)
    raw.setdefault("kind", kind.name)
    owner = Resource(raw, CLUSTER)
    return owner if owner.uid and owner.uid == text(reference.get("uid")) else None


def _claim(resource: Resource) -> tuple[str, str, str]:
    """Kind, name and uid of the controller that an object names."""
    reference = resource.controller or {}
    return (text(reference.get("kind")), text(reference.get("name")), text(reference.get("uid")))


def _claimed_kind(resource: Resource) -> Kind | None:
    """The kind of the owner that an object names, where its controller is one of the cluster's own."""
    if resource.controller is None or resource.kind is None:
        return None
    name = resource.controller.get("kind")
    return next((kind for kind in CONTROLLERS.get(resource.kind, {}) if kind.name == name), None)


def _stored_owner(resource: Resource, username: str | None, get: Get) -> Resource | None:
    reference, kind = resource.controller, _claimed_kind(resource)
    if reference is None or kind is None or resource.kind is None or reference.get("apiVersion") != kind.api_version:
        return None
    if username is not None and not is_controller(username, CONTROLLERS[resource.kind][kind]):
        return None
    owner = claimed_owner(resource, get)
    if owner is None:
        return None
    if kind is CRON_JOB:  # it has none: a Job is told from others by its reference alone
        return owner
    selector = mapping(lookup(owner.raw, "spec", "selector"))
    wanted = {"matchLabels": selector} if kind is REPLICATION_CONTROLLER else selector
    return owner if selector and selects(wanted, resource.labels) else None


def in_use(made: Resource, owners: Sequence[Resource]) -> list[Resource]:
    """The owners of what a controller makes whose templates run, as their status has it.

    A template that runs nothing is history, or was put aside: what comes of it now comes anew. The status is the
    controllers' to write; no default role lets a user of a namespace do that. A CronJob runs nothing between its
    Jobs: it is in use once it has made one.
    """
    return [owner for owner in owners if _has_pods(owner) or _is_rolled_out(owner, made, owners[0])]


def runs_nothing(owner: Resource) -> bool:
    """Whether what is made of an owner's template now would come anew."""
    return not _has_pods(owner)


def is_placed_anew(resource: Resource, old: Resource | None) -> bool:
    """Whether a DaemonSet that no node is for may get nodes by an update: its way of being scaled up from zero."""
    if old is None or resource.kind is not DAEMON_SET or _has_pods(old):
        return False
    now, before = (mapping(lookup(one.raw, "spec", "template", "spec")) for one in (resource, old))
    return any(now.get(name) != before.get(name) for name in _PLACING)


def _has_pods(owner: Resource) -> bool:
    status = mapping(owner.raw.get("status"))
    if owner.kind is CRON_JOB:
        return any(status.get(name) for name in ("active", "lastScheduleTime", "lastSuccessfulTime"))
    counted = _COUNTED.get(owner.kind, ()) if owner.kind is not None else ()
    return any((integer(status.get(name)) or 0) > 0 for name in counted)


def _is_rolled_out(deployment: Resource, made: Resource, nearest: Resource) -> bool:
    """Whether a rollout of a Deployment that ran is under way: one of them passes through no pods at all.

    Under ``Recreate`` the old pods are gone before the new ReplicaSet is made, by a controller that has seen the
    Deployment as it is then. Source: kubernetes, pkg/controller/deployment, recreate.go and progress.go.
    """
    if deployment.kind is not DEPLOYMENT:
        return False
    status = mapping(deployment.raw.get("status"))
    progress = [one for one in mappings(status.get("conditions")) if one.get("type") == "Progressing"]
    if any(one.get("reason") in _ROLLING for one in progress):
        return True
    new = made if made.kind is REPLICA_SET else nearest
    return (
        text(lookup(deployment.raw, "spec", "strategy", "type")) == "Recreate"
        and integer(lookup(deployment.raw, "spec", "replicas")) != 0
        and status.get("observedGeneration") == deployment.metadata.get("generation")
        and (new is made or new.metadata.get("generation") == 1)
    )
