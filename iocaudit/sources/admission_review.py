"""An AdmissionReview of admission.k8s.io/v1 taken apart: who asks what, of which object.

Source: the API reference of AdmissionReview. ``object`` is null on DELETE, ``oldObject`` on CREATE and CONNECT;
``name`` is empty with generateName.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.shape import Json, mapping, strings, text

API_VERSION = "admission.k8s.io/v1"
_CONNECTIONS = {kind.plural: kind for kind in CONNECTIONS}


class ReviewError(IocauditError):
    """The body is no AdmissionReview v1 request; says what is wrong with it."""


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
                resource.forget_pods()


def read_review(body: bytes) -> Review:
    """Read a request; raises ReviewError with the reason."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ReviewError(f"the body is not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("kind") != "AdmissionReview" or raw.get("apiVersion") != API_VERSION:
        raise ReviewError(f"the body is no AdmissionReview of {API_VERSION}")
    asked = raw.get("request")
    if not isinstance(asked, dict):
        raise ReviewError("request: missing or not an object")
    uid = asked.get("uid")
    if not isinstance(uid, str) or not uid:
        raise ReviewError("request.uid: missing or not a string")
    try:
        operation = Operation(text(asked.get("operation")))
    except ValueError:
        raise ReviewError(f"request.operation: must be one of {', '.join(Operation)}") from None
    user = mapping(asked.get("userInfo"))
    request = Request(
        operation=operation,
        username=text(user.get("username")),
        groups=tuple(strings(user.get("groups"))),
        subresource=text(asked.get("subResource")),
        namespace=text(asked.get("namespace")) or None,
        name=text(asked.get("name")),
        dry_run=asked.get("dryRun") is True,
    )
    connection = _connection(asked) if operation is Operation.CONNECT else None
    return Review(
        uid=uid,
        request=request,
        resource=_resource(asked, "object", request, connection),
        old=_resource(asked, "oldObject", request, None),
        kind_name=text(mapping(asked.get("kind")).get("kind")),
    )


def _connection(asked: Json) -> Kind | None:
    plural = f"{text(mapping(asked.get('resource')).get('resource'))}/{text(asked.get('subResource'))}"
    return _CONNECTIONS.get(plural)


def _resource(asked: Json, field: str, request: Request, connection: Kind | None) -> Resource | None:
    raw: Any = asked.get(field)
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise ReviewError(f"request.{field}: not an object")
    kind = mapping(asked.get("kind"))
    if not raw.get("kind") or not raw.get("apiVersion"):
        group, version = text(kind.get("group")), text(kind.get("version"))
        raw = {**raw, "kind": text(kind.get("kind")), "apiVersion": f"{group}/{version}" if group else version}
    resource = Resource(raw, ADMISSION, kind=connection)
    if not resource.name:
        resource.name = request.name
    if resource.namespace is None and (resource.kind is None or resource.kind.namespaced):
        resource.namespace = request.namespace
    return resource
