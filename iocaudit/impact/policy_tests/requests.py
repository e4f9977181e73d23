"""The AdmissionReview that a test stands for, as the API server would send it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import CONNECTIONS, NAMESPACE, Kind
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.request import Operation, groups_of
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.shape import Json, mapping, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import Fields
from iocaudit.install.webhook_configuration import OWN_KINDS
from iocaudit.sources.admission_review import API_VERSION, Review, ReviewError, read_review

FIELDS = frozenset({"dryRun", "groups", "name", "namespace", "operation", "serviceAccount", "subResource", "user"})
_TEXTS = ("name", "namespace", "serviceAccount", "subResource", "user")
DEFAULT_USER = "somebody"
"""Who makes a request of which the test does not say it: nobody that a policy names, without any rights."""
_CONNECTIONS: Mapping[str, Kind] = {kind.name: kind for kind in CONNECTIONS}


class RequestError(IocauditError):
    """A test describes a request that no API server sends; says what to write."""


class GivenRequest(NamedTuple):
    """What a file, a test or a case says of the request; None is what it leaves to the one around it."""

    operation: Operation | None = None
    username: str | None = None
    groups: tuple[str, ...] | None = None
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None
    dry_run: bool | None = None

    def within(self, outer: GivenRequest) -> GivenRequest:
        """The same with what the one around it says of all else. Another user does not have the outer one's groups."""
        whole = outer._replace(**{name: value for name, value in self._asdict().items() if value is not None})
        return whole if self.username is None else whole._replace(groups=self.groups)


def read_request(fields: Fields) -> GivenRequest:
    """The request that a map describes."""
    for field in _TEXTS:
        if fields.raw.get(field) == "":
            fields.wrong("must not be empty: give it a value, or leave it out", field)
    username, groups = fields.text("user") or None, fields.strings("groups")
    if account := fields.text("serviceAccount"):
        namespace, slash, name = account.partition("/")
        if not (namespace and slash and name) or "/" in name:
            fields.wrong(f"{account!r} is not NAMESPACE/NAME", "serviceAccount")
        if username is not None:
            fields.wrong("give user or serviceAccount, and not both", "serviceAccount")
        username = f"system:serviceaccount:{namespace}:{name}"
    return GivenRequest(
        fields.choice("operation", Operation),
        username,
        groups,
        fields.text("namespace") or None,
        fields.text("name") or None,
        fields.text("subResource") or None,
        fields.flag("dryRun") if "dryRun" in fields.raw else None,
    )


def review_of(given: GivenRequest, raw: Json, old: Json | None) -> Review:
    """The review of a request for an object, that was ``old`` before. Raises RequestError."""
    group, _, version = text(raw.get("apiVersion")).rpartition("/")
    kind_name = text(raw.get("kind"))
    connection = _CONNECTIONS.get(kind_name) if not group else None
    operation = _operation(given.operation, old, connection)
    if operation is Operation.DELETE:
        raw, old = {}, raw
    subject = Resource(raw or old or {}, ADMISSION, kind=connection)
    kind, metadata = subject.kind, subject.metadata
    inside = ""
    if kind is None:
        inside = text(metadata.get("namespace")) or given.namespace or ""
    elif kind.namespaced:
        inside = _namespace(given.namespace, subject)
    resource, _, subresource = connection.plural.partition("/") if connection else (kind.plural if kind else "", "", "")
    if connection is not None and not given.name:
        raise RequestError(f"request.name is required: the {resource.removesuffix('s')} that somebody connects to")
    username = given.username or DEFAULT_USER
    request: Json = {
        "uid": "policy-test",
        "kind": {"group": group, "version": version, "kind": kind_name},
        "resource": {"group": group, "version": version, "resource": resource},
        "subResource": given.subresource or subresource,
        "name": given.name or text(metadata.get("name")),
        "namespace": text(metadata.get("name")) if kind == NAMESPACE else inside,
        "operation": operation.value,
        "userInfo": {"username": username, "groups": list(groups_of(username, given.groups or ()))},
        "object": _placed(raw, inside) or None,
        "oldObject": _placed(old, inside) if old is not None else None,
        "dryRun": bool(given.dry_run),
    }
    try:
        body = json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request})
        return read_review(body.encode())
    except ReviewError as error:
        raise RequestError(str(error)) from error
    except RecursionError as error:
        raise RequestError("the object nests too deep") from error


def _operation(given: Operation | None, old: Json | None, connection: Kind | None) -> Operation:
    if connection is not None:
        if given not in (None, Operation.CONNECT):
            raise RequestError(f"request.operation: a {connection.name} comes with CONNECT alone")
        return Operation.CONNECT
    if given is Operation.CONNECT:
        raise RequestError(f"request.operation: CONNECT goes with an object that is {' or '.join(_CONNECTIONS)}")
    if given is None:
        return Operation.CREATE if old is None else Operation.UPDATE
    if given is Operation.UPDATE and old is None:
        raise RequestError("an UPDATE needs oldObject, or set, which changes object")
    if given is not Operation.UPDATE and old is not None:
        raise RequestError(f"oldObject goes with UPDATE, not with {given}")
    return given


def _namespace(given: str | None, subject: Resource) -> str:
    own = subject.namespace
    if own and given and own != given:
        raise RequestError(f"request.namespace: the object is in namespace {own}, and not in {given}")
    return own or given or "default"


def _placed(raw: Json, namespace: str) -> Json:
    """The object with the namespace that the API server gives it."""
    metadata = mapping(raw.get("metadata"))
    if not raw or not namespace or metadata.get("namespace"):
        return raw
    return {**raw, "metadata": {**metadata, "namespace": namespace}}


def is_asked(review: Review, catalogue: Catalogue) -> bool:
    """Whether the webhook is registered for the request under some policies: else it is not asked."""
    subject = review.resource or review.old
    if subject is None or subject.kind is None:
        return False
    kind, subresource = subject.kind, review.request.subresource
    rules = OWN_KINDS if subject.group == GROUP else catalogue.admission_rules
    if kind in CONNECTIONS:
        subresource = ""
    return review.request.operation in rules.get(kind, ()) and (not subresource or subresource in kind.subresources)
