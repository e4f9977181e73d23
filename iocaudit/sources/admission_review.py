"""An AdmissionReview of admission.k8s.io/v1 taken apart: who asks what, of which object.

Source: the API reference of AdmissionReview. ``object`` is null on DELETE, ``oldObject`` on CREATE and CONNECT;
``name`` is empty with generateName.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.partial import lacking, lacks_of
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.shape import Json, mapping, strings, text
from iocaudit.decoding.objects import NotJsonError, decode, decode_object, member_values, object_at, opened_value
from iocaudit.decoding.spans import opened_members
from iocaudit.knowledge.pods.places import forget_pods

API_VERSION = "admission.k8s.io/v1"
_CONNECTIONS = {kind.plural: kind for kind in CONNECTIONS}


_OBJECTS = (b"object", b"oldObject")


class ReviewError(IocauditError):
    """The body is not an AdmissionReview v1 request; says what is wrong with it.

    ``uid`` is that of the request where one could be cut out: it is answered by a verdict all the same.
    """

    def __init__(self, reason: str, uid: str = "") -> None:
        super().__init__(reason)
        self.uid = uid


class Review(NamedTuple):
    """``resource`` and ``old`` are None where the request carries no such object."""

    uid: str
    request: Request
    resource: Resource | None
    old: Resource | None
    kind_name: str

    def forget_pods(self) -> None:
        """Let both objects be freed as soon as the review is answered."""
        for resource in (self.resource, self.old):
            if resource is not None:
                forget_pods(resource)


def read_review(body: bytes) -> Review:
    """Read a request; raises ReviewError with the reason.

    What of an object cannot be read, it lacks. One that nests deeper than a list would give it, and not too deep for
    the decoder, is whole: what a check cannot walk is that check's fault, which the engine judges.
    """
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError:
        raw = _taken_apart(body)
    if not isinstance(raw, dict) or raw.get("kind") != "AdmissionReview" or raw.get("apiVersion") != API_VERSION:
        raise ReviewError(f"the body is not an AdmissionReview of {API_VERSION}")
    asked = raw.get("request")
    if not isinstance(asked, dict):
        raise ReviewError("request: missing or not an object")
    return review_of(asked)


def review_of(asked: Json) -> Review:
    """The review of a decoded AdmissionRequest; raises ReviewError with the reason."""
    uid = asked.get("uid")
    if not isinstance(uid, str) or not uid:
        raise ReviewError("request.uid: missing or not a string")
    try:
        operation = Operation(text(asked.get("operation")))
    except ValueError:
        raise ReviewError(f"request.operation: must be one of {', '.join(Operation)}", uid) from None
    user = mapping(asked.get("userInfo"))
    request = Request(
        operation=operation,
        username=text(user.get("username")),
        groups=tuple(strings(user.get("groups"))),
        subresource=text(asked.get("subResource")),
        namespace=text(asked.get("namespace")) or None,
        name=text(asked.get("name")),
        dry_run=asked.get("dryRun") is True,
        user_id=text(user.get("uid")),
        user_extra=tuple((key, tuple(strings(value))) for key, value in mapping(user.get("extra")).items()),
    )
    connection = _connection(asked) if operation is Operation.CONNECT else None
    return Review(
        uid=uid,
        request=request,
        resource=_resource(asked, "object", request, connection),
        old=_resource(asked, "oldObject", request, None),
        kind_name=text(mapping(asked.get("kind")).get("kind")),
    )


def _taken_apart(body: bytes) -> Json:
    """A body that holds something a strict decoder refuses, its two objects each read by itself."""
    try:
        parts = member_values(body)
        start, end = parts.get(b"request", (0, 0))
        if body[start : start + 1] != b"{" or not end:
            return decode_object(body)
        asked: Json = {}
        for name, (begin, stop) in member_values(body, start).items():
            is_object = name in _OBJECTS and body[begin : begin + 1] == b"{"
            asked[name.decode("utf-8", "replace")] = (
                object_at(body, begin, stop) if is_object else decode(body[begin:stop])
            )
        shell = decode_object(body[:start] + b"null" + body[end:])
    except NotJsonError as error:
        raise ReviewError(f"the body is not JSON: {error}", _uid(body)) from error
    return {**shell, "request": asked}


def _uid(body: bytes) -> str:
    """The uid of a request in a body that is not JSON, or only the beginning of it."""
    for name, start in opened_members(body):
        if name == b"request":
            return text(opened_value(body, start, b"uid"))
    return ""


def _connection(asked: Json) -> Kind | None:
    plural = f"{text(mapping(asked.get('resource')).get('resource'))}/{text(asked.get('subResource'))}"
    return _CONNECTIONS.get(plural)


def _resource(asked: Json, field: str, request: Request, connection: Kind | None) -> Resource | None:
    raw: Any = asked.get(field)
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise ReviewError(f"request.{field}: not an object", text(asked.get("uid")))
    kind = mapping(asked.get("kind"))
    if not raw.get("kind") or not raw.get("apiVersion"):
        group, version = text(kind.get("group")), text(kind.get("version"))
        named = {**raw, "kind": text(kind.get("kind")), "apiVersion": f"{group}/{version}" if group else version}
        raw = lacking(named, lacks_of(raw))
    resource = Resource(raw, ADMISSION, kind=connection)
    if not resource.name:
        resource.name = request.name
    if resource.namespace is None and (resource.kind is None or resource.kind.namespaced):
        resource.namespace = request.namespace
    return resource
