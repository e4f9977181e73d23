"""What rules are handed of an object: an AdmissionRequest for it, or for the pod that its template makes."""

from __future__ import annotations

from collections.abc import Sequence

from iocaudit.core.hit import Hit
from iocaudit.core.kinds import NAMESPACE, POD, Kind
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json
from iocaudit.core.world import World
from iocaudit.knowledge.pods.pod import PodSpec

MOST_INVENTORY = 4 * 1024 * 1024
"""Bytes of JSON that the objects which a rule looks up may have: more is sent to no Evaluator."""


class TooLargeError(Exception):
    """The objects that a rule looks up are more than a question may hold; says how much they are."""


def request_for(resource: Resource, old: Resource | None, request: Request | None, world: World) -> Json:
    """The AdmissionRequest for an object: of what stands, one for its creation, without a user.

    An UPDATE of which no old object is known leaves it as it is.
    """
    kind = resource.kind
    operation = request.operation if request is not None else Operation.CREATE
    before = (old or resource).raw if operation is Operation.UPDATE else None
    asked = _request(
        {"group": resource.group, "version": resource.version, "kind": resource.kind_name},
        kind.plural if kind is not None else "",
        request,
        operation,
        world.namespace_of(resource),
        resource.name,
    )
    if request is not None and request.subresource:
        asked["subResource"] = request.subresource
    return {**asked, "object": resource.raw, "oldObject": before}


def pod_request(pod: PodSpec, request: Request | None, world: World) -> Json:
    """The AdmissionRequest for the creation of the pod that a template makes, by the one who writes the template."""
    owner = pod.resource
    name = f"{owner.name}-pod"
    metadata: Json = {"name": name, "generateName": f"{owner.name}-"}
    if owner.namespace:
        metadata["namespace"] = owner.namespace
    if pod.labels:
        metadata["labels"] = dict(pod.labels)
    if pod.annotations:
        metadata["annotations"] = dict(pod.annotations)
    made = {"apiVersion": POD.api_version, "kind": POD.name, "metadata": metadata, "spec": pod.spec}
    kind = {"group": POD.group, "version": POD.version, "kind": POD.name}
    space = owner.namespace or world.default_namespace
    asked = _request(kind, POD.plural, request, Operation.CREATE, space, name)
    return {**asked, "object": made, "oldObject": None}


def _request(
    kind: Json, plural: str, request: Request | None, operation: Operation, namespace: str | None, name: str
) -> Json:
    resource = {"group": kind["group"], "version": kind["version"], "resource": plural}
    return {
        "uid": "",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": name,
        "namespace": namespace or "",
        "operation": operation.value,
        "userInfo": _user(request),
        "dryRun": request is not None and request.dry_run,
        "options": None,
    }


def _user(request: Request | None) -> Json:
    """Who asks, as an AdmissionRequest has it: without what is empty, but for the name and the groups."""
    if request is None:
        return {"username": "", "groups": []}
    found: Json = {"username": request.username, "groups": list(request.groups)}
    if request.user_id:
        found["uid"] = request.user_id
    if request.user_extra:
        found["extra"] = {key: list(values) for key, values in request.user_extra}
    return found


def namespace_of(resource: Resource, world: World) -> Json | None:
    """The Namespace object that an object is in, where it is known."""
    if resource.kind is None or not resource.kind.namespaced:
        return None
    found = world.get(NAMESPACE, None, resource.namespace or world.default_namespace, near=resource, whole=False)
    return found.raw if found is not None else None


def inventory_of(needs: Sequence[Kind], resource: Resource, world: World) -> Json:
    """The objects of the kinds that rules look up, as ``Question.inventory`` has them, in one value while none changes.

    Raises TooLargeError.
    """
    kinds = tuple(needs)
    found = world.memo(("inventory", kinds), kinds, lambda: _inventory(kinds, resource, world), near=resource)
    if isinstance(found, TooLargeError):
        raise found
    return found


def _inventory(kinds: Sequence[Kind], near: Resource, world: World) -> Json | TooLargeError:
    import orjson

    cluster: Json = {}
    namespaces: Json = {}
    size = 0
    for kind in kinds:
        for one in world.all(kind, near=near):
            try:
                size += len(orjson.dumps(one.raw))
            except (TypeError, RecursionError) as error:
                return TooLargeError(f"{one.ref} cannot be written as JSON: {error}")
            # Of a kind that is known by its name alone only its objects say whether it is in namespaces.
            home = world.namespace_of(one) if one.kind is None or one.kind.version else one.namespace
            place = cluster if home is None else namespaces.setdefault(home, {})
            place.setdefault(one.ref.api_version, {}).setdefault(one.kind_name, {})[one.name] = one.raw
    if size > MOST_INVENTORY:
        return TooLargeError(f"the objects it looks up are {size} bytes of JSON, and may be {MOST_INVENTORY}")
    return {"cluster": cluster, "namespace": namespaces}


def in_template(hit: Hit, pod: PodSpec) -> Hit:
    """A hit on the pod that a template makes, where it stands in the template."""
    path = hit.path
    for part, place in (("spec", pod.path), ("metadata", pod.metadata_path)):
        if path == part or path.startswith((f"{part}.", f"{part}[")):
            return hit._replace(path=place + path[len(part) :] if place else path[len(part) :].lstrip("."))
    return hit._replace(path=pod.path)
