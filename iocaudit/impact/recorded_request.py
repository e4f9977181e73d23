"""A request of the audit log as the webhook would have been asked about it.

Of what was stored the response is the best witness: it has what the API server and mutating webhooks filled in.
"""

from __future__ import annotations

from enum import StrEnum

from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.partial import lacking, lacks_of
from iocaudit.core.request import Operation
from iocaudit.core.shape import Json, mapping, text
from iocaudit.impact.applied_patch import applied
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.session import connection_options
from iocaudit.sources.admission_review import Review, ReviewError, review_of

_CREATED, _FAILED = 201, 400
_REFUSALS = frozenset({401, 403})
_APISERVER = "system:apiserver"
_API_SERVERS_OWN = frozenset(
    {
        ("", "namespaces"),
        ("", "services"),
        ("flowcontrol.apiserver.k8s.io", "flowschemas"),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
        *(
            ("rbac.authorization.k8s.io", plural)
            for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
        ),
    }
)
"""What the API server writes itself; a matchCondition keeps it from the webhook (``core.guard``)."""


class NotJudgedReason(StrEnum):
    """Why it is not known what the webhook would have answered to a request."""

    NO_OBJECT = "the log does not hold the object (level Metadata): log at level RequestResponse"
    CUT_OUT = "the API server cut the object out, as the event was too large for its audit backend"
    PATCH_ALONE = "a patch, without the object that came of it: log at level RequestResponse"
    OTHER_OBJECT = "the answer holds another form of the object than was asked for (its metadata, a table or a status)"
    NOT_BEFORE = (
        "a change that would be denied if it brought what the object has: the log does not hold what was before"
    )
    NO_OWNER = "made by a controller of an owner that the log does not hold: it may have run before"
    NO_USER = "the log does not say who asked, and policies and controllers are told apart by that"
    NO_WORLD = "a check looks up other objects, and the policy says onIncomplete: deny: give PATHs or --cluster"
    UNREADABLE = "the object cannot be read"


class RefusedBy(StrEnum):
    """Who refused a request, as its answer says."""

    US = "iocaudit"
    OTHER_ADMISSION = "other admission control"
    AUTHORIZATION = "authorization"
    OTHER = "the API server, for another reason"


def operation_of(event: AuditEvent, kind: Kind) -> Operation:
    """What admission calls it. A patch that makes an object is a CREATE."""
    if kind in CONNECTIONS:
        return Operation.CONNECT
    if event.verb in ("delete", "deletecollection"):
        return Operation.DELETE
    if event.target.subresource:
        return Operation.UPDATE
    return Operation.CREATE if event.verb == "create" or event.code == _CREATED else Operation.UPDATE


def is_failed(event: AuditEvent, operation: Operation) -> bool:
    """Whether it was refused or went wrong. Behind a proxy the code is that of whatever answered there."""
    if event.code is None:
        return event.stage == "Panic"
    if operation is Operation.CONNECT and event.target.subresource == "proxy":
        return event.code in _REFUSALS
    return event.code >= _FAILED


def refused_by(event: AuditEvent) -> RefusedBy:
    """Who refused it. Source: the messages of k8s.io/apiserver, pkg/admission/plugin/webhook/errors."""
    if event.annotations.get("authorization.k8s.io/decision") == "forbid":
        return RefusedBy.AUTHORIZATION
    said = event.message
    if said.startswith("admission webhook ") and " denied the request" in said:
        return (
            RefusedBy.US
            if said.split('"')[1:2] and said.split('"')[1].endswith(".iocaudit.io")
            else (RefusedBy.OTHER_ADMISSION)
        )
    if "denied request" in said or "violates PodSecurity" in said or "is forbidden: exceeded quota" in said:
        return RefusedBy.OTHER_ADMISSION
    return RefusedBy.AUTHORIZATION if event.code in _REFUSALS and " cannot " in said else RefusedBy.OTHER


def is_api_servers_own(event: AuditEvent) -> bool:
    """Whether the API server wrote it for itself."""
    target = event.target
    return event.requester.username == _APISERVER and (target.group, target.resource) in _API_SERVERS_OWN


def object_of(event: AuditEvent, kind: Kind, before: Json | None) -> tuple[Json, bool] | NotJudgedReason:
    """The object that a request made or changed, and whether that is how it was stored; else why there is none."""
    response, request = event.response_object, event.request_object
    if response is not None and _is_of(response, kind):
        return response, True
    if response is not None and before is not None and text(response.get("kind")) == "PartialObjectMetadata":
        return _with_metadata(before, response), True
    if event.verb in ("create", "update") and request is not None and _is_of(request, kind):
        return request, False
    patch = event.json_patch or request if event.verb == "patch" else None
    if patch is not None and before is not None and (patched := applied(before, patch)) is not None:
        return patched, False
    if event.is_truncated:
        return NotJudgedReason.CUT_OUT
    if response is not None:
        return NotJudgedReason.OTHER_OBJECT
    return NotJudgedReason.PATCH_ALONE if patch is not None else NotJudgedReason.NO_OBJECT


def _is_of(raw: Json, kind: Kind) -> bool:
    """Whether this is an object of the kind; clouds leave the name of the kind out at times."""
    named = text(raw.get("kind"))
    return named == kind.name if named else "metadata" in raw or "spec" in raw


def _with_metadata(before: Json, partial: Json) -> Json:
    return lacking({**before, "metadata": partial.get("metadata")}, lacks_of(before))


def review_of_event(
    event: AuditEvent, kind: Kind, operation: Operation, raw: Json | None, before: Json | None
) -> Review | NotJudgedReason:
    """What the webhook would have been asked."""
    target, user = event.target, event.requester
    version = target.version or kind.version
    asked: Json = {
        "uid": event.audit_id or "-",
        "operation": operation,
        "kind": {"group": kind.group, "version": version, "kind": kind.name},
        "resource": {"group": target.group, "version": version, "resource": target.resource},
        "subResource": target.subresource,
        "name": target.name or text(mapping(mapping(raw).get("metadata")).get("name")),
        "namespace": target.namespace,
        "userInfo": {"username": user.username, "groups": list(user.groups)},
        "object": raw,
        "oldObject": before,
    }
    try:
        return review_of(asked)
    except ReviewError:
        return NotJudgedReason.UNREADABLE


def connection_of(event: AuditEvent, kind: Kind) -> Json:
    """The options of a connection, which stand in the address. Source: PodExecOptions and its siblings."""
    return {"apiVersion": kind.api_version, "kind": kind.name, **connection_options(event)}
