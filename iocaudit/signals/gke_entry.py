"""An entry of Google's Cloud Audit Logs as the event of the API server that it was made of.

It names the request by a method (``io.k8s.core.v1.pods.create``) and a resource (``core/v1/namespaces/shop/pods/web``),
knows neither groups nor dry runs, and counts errors as RPCs do.
Source: the reference of AuditLog (google.cloud.audit) and of LogEntry; google.rpc.Code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from iocaudit.core.partial import lacking, lacks_of
from iocaudit.core.request import groups_of
from iocaudit.core.shape import Json, integer, mapping, mappings, text
from iocaudit.signals.audit_event import (
    AuditEvent,
    AuditUser,
    LinePlace,
    RequestTarget,
    moment,
    texts,
    whole_object,
)

WRAPPER = "gke"
_CORE = "core"
_BARE = frozenset({_CORE, "apps", "autoscaling", "batch", "extensions", "policy"})
_OK, _UNKNOWN_ERROR = 200, 500
_CODES = {1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 14: 503, 16: 401}
"""google.rpc.Code as HTTP has it."""
_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection", "get", "list", "watch"})


class _Method(NamedTuple):
    """``io.k8s.apps.v1.deployments.scale.update`` taken apart; ``group`` as the method spells it."""

    group: str
    version: str
    resource: str
    subresource: str
    verb: str


def is_entry(raw: Mapping[str, object]) -> bool:
    """Whether this is an audit log entry of Google Cloud, of whatever service."""
    return isinstance(raw.get("protoPayload"), dict)


def read_entry(raw: Json, place: LinePlace) -> AuditEvent | None:
    """The event in an entry; None where it is not about a request to the API of Kubernetes."""
    payload = mapping(raw.get("protoPayload"))
    method = _method(text(payload.get("methodName"))) or _authorized(payload)
    if method is None:
        return None
    metadata = mapping(payload.get("requestMetadata"))
    lacks = lacks_of(raw)
    operation = mapping(raw.get("operation"))
    runs_on = operation.get("first") is True and operation.get("last") is not True
    username = text(mapping(payload.get("authenticationInfo")).get("principalEmail"))
    code, message = _status(payload)
    when = moment(raw.get("timestamp")) or moment(payload.get("timestamp"))
    return AuditEvent(
        place=place,
        wrapper=WRAPPER,
        audit_id=text(operation.get("id")) or text(raw.get("insertId")),
        stage="ResponseStarted" if runs_on else "ResponseComplete",
        verb=method.verb,
        uri="",
        user=AuditUser(username, groups_of(username) if username else ()),
        impersonated=None,
        target=_target(text(payload.get("resourceName")), method),
        code=code,
        message=message,
        request_object=whole_object(_plain(payload.get("request")), lacks),
        response_object=whole_object(_plain(payload.get("response")), lacks),
        received=when,
        completed=when,
        annotations=texts(raw.get("labels")),
        knows_groups=False,
        knows_dry_run=False,
        source_ips=(caller,) if (caller := text(metadata.get("callerIp"))) else (),
        user_agent=text(metadata.get("callerSuppliedUserAgent")),
    )


def _method(name: str) -> _Method | None:
    """Built-in groups follow ``io.k8s``; those of others stand there in reverse (``io.cert-manager.v1…``)."""
    parts = name.split(".")
    if len(parts) < 4 or parts[-1] not in _VERBS:
        return None
    for index in range(len(parts) - 3, 0, -1):
        version, rest = parts[index], parts[index + 1 : -1]
        if version[:1] == "v" and version[1:2].isdigit() and len(rest) <= 2:
            return _Method(_group(parts[:index]), version, rest[0], rest[1] if rest[1:] else "", parts[-1])
    return None


def _authorized(payload: Mapping[str, object]) -> _Method | None:
    """What was asked of Kubernetes on behalf of another service of Google, by the permission that it took."""
    for one in mappings(payload.get("authorizationInfo")):
        method = _method(text(one.get("permission")))
        if method is not None and text(one.get("permission")).startswith("io.k8s."):
            return method
    return None


def _group(parts: list[str]) -> str:
    """The group that a method spells in reverse; those of the first days had no domain."""
    if parts[:2] == ["io", "k8s"] and len(parts) == 3 and parts[2] in _BARE:
        return parts[2]
    return ".".join(reversed(parts))


def _target(path: str, method: _Method) -> RequestTarget:
    """By the resource's name, which spells groups as they are; what it lacks by the method."""
    group, _, rest = path.partition("/")
    version, _, rest = rest.partition("/")
    parts = rest.split("/") if rest else []
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] == method.resource:
        namespace, parts = parts[1], parts[2:]
    if not parts or parts[0] != method.resource:
        group = method.group
        return RequestTarget("" if group == _CORE else group, method.version, method.resource, method.subresource)
    name = parts[1] if parts[1:] else ""
    subresource = method.subresource or (parts[2] if parts[2:] else "")
    return RequestTarget("" if group == _CORE else group, version, method.resource, subresource, namespace, name)


def _status(payload: Mapping[str, object]) -> tuple[int | None, str]:
    """The HTTP status, and what was said of an error."""
    status, answer = mapping(payload.get("status")), mapping(payload.get("response"))
    code, message = integer(status.get("code")) or 0, text(status.get("message"))
    failed = answer.get("kind") == "Status" or answer.get("status") == "Failure"
    if failed:
        http = integer(answer.get("code"))
        return http or _CODES.get(code, _UNKNOWN_ERROR), message or text(answer.get("message"))
    if code:
        return _CODES.get(code, _UNKNOWN_ERROR), message
    if any(one.get("granted") is False for one in mappings(payload.get("authorizationInfo"))):
        return 403, message
    return _OK, message


def _plain(value: object) -> object:
    """The object without the type that Google puts before it."""
    if not isinstance(value, dict) or "@type" not in value:
        return value
    return lacking({key: one for key, one in value.items() if key != "@type"}, lacks_of(value))
