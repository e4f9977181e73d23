"""The stored templates behind what a controller makes, verified by uid and selector.

Without them, draining a node would kill what ran before a policy came, and a waiver for a Deployment would let no
pod of it through. An ownerReference alone proves nothing: only the cluster's own controllers are believed, each for
what it makes, and only for owners that are really there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from iocaudit.core.controllers import CONTROLLERS, is_controller
from iocaudit.core.kinds import CRON_JOB, REPLICATION_CONTROLLER, Kind
from iocaudit.core.label_selector import selects
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, lookup, mapping, text

Get = Callable[[Kind, str | None, str], Json]

_DEEPEST = 3


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


def _stored_owner(resource: Resource, username: str | None, get: Get) -> Resource | None:
    reference = resource.controller
    if reference is None or resource.kind is None:
        return None
    claimed = (reference.get("apiVersion"), reference.get("kind"))
    made = CONTROLLERS.get(resource.kind, {})
    kind = next((kind for kind in made if (kind.api_version, kind.name) == claimed), None)
    if kind is None or (username is not None and not is_controller(username, made[kind])):
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
