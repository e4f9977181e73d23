"""One event of the API server's audit log, typed: who asked for what, and what became of it.

Source: k8s.io/apiserver, pkg/apis/audit/v1/types.go. Logs are shortened and enriched on their way: every field may be
absent or of a wrong type, and reads as absent then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from iocaudit.core.partial import lacking, lacks_of
from iocaudit.core.shape import Json, integer, mapping, strings, text

API_VERSIONS = frozenset(f"audit.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_TRUNCATED = "audit.k8s.io/truncated"
_AUTHENTICATION = "authentication.kubernetes.io/"
_AUTHENTICATION_FLAT = "authentication_kubernetes_io_slash_"
_DECISION = "authorization.k8s.io/decision"
_LONG_RUNNING = frozenset({"exec", "attach", "portforward", "proxy"})


class LinePlace(NamedTuple):
    """Where something stands in a log. Lines count from 1; of a compressed file they are those inside."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class AuditUser(NamedTuple):
    """Who asks. The name is empty where the log does not say.

    ``extra`` is what authentication told beside the name: the pod and the node that a token is bound to, the
    credential's id. Some platforms spell its keys with ``_slash_`` for ``/`` and ``_`` for ``.``: they are read alike.
    """

    username: str
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = {}

    def told(self, key: str) -> str:
        """The first value of ``authentication.kubernetes.io/KEY`` in ``extra``; empty where there is none."""
        values = self.extra.get(f"{_AUTHENTICATION}{key}") or self.extra.get(f"{_AUTHENTICATION_FLAT}{key}") or ("",)
        return values[0]


class RequestTarget(NamedTuple):
    """What is asked for. ``namespace`` is empty for cluster scope, ``name`` where the server makes one."""

    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""

    @property
    def whole(self) -> str:
        """The resource with its subresource: ``pods/exec``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One request, once it was answered. ``code`` is the HTTP status, None where the log does not say.

    ``user`` is who asked; ``impersonated`` the one in whose name, where there is one. The objects are None where the
    log does not hold them; ``json_patch`` is a request that is a list. ``wrapper`` says in what the event arrived.
    ``knows_groups`` and ``knows_dry_run`` are False where this sort of log never says. ``user_agent`` is the client's
    to choose, and so are all of ``source_ips`` but the last.
    """

    place: LinePlace
    wrapper: str
    audit_id: str
    stage: str
    verb: str
    uri: str
    user: AuditUser
    impersonated: AuditUser | None
    target: RequestTarget
    code: int | None
    message: str
    request_object: Json | None
    response_object: Json | None
    received: datetime | None
    completed: datetime | None
    annotations: Mapping[str, str]
    json_patch: list[Any] | None = None
    knows_groups: bool = True
    knows_dry_run: bool = True
    level: str = ""
    source_ips: tuple[str, ...] = ()
    user_agent: str = ""

    @property
    def source_ip(self) -> str:
        """The address that the API server saw itself: those before it are headers, which the client writes."""
        return self.source_ips[-1] if self.source_ips else ""

    @property
    def is_refused(self) -> bool:
        """Whether authentication or authorization turned it away."""
        return self.code in (401, 403) or (self.code is None and self.annotations.get(_DECISION) == "forbid")

    @property
    def went_on(self) -> bool:
        """Whether it was allowed and did not fail; where the log does not say, it did not."""
        if self.annotations.get(_DECISION) == "forbid":
            return False
        return self.code < 400 if self.code is not None else self.stage != "Panic"

    @property
    def requester(self) -> AuditUser:
        """In whose name it was asked: what admission sees."""
        return self.impersonated or self.user

    @property
    def is_dry_run(self) -> bool:
        """Whether it was only tried. Source: ``dryRun`` of the API's create, update, patch and delete options."""
        if "dryRun" not in self.uri:
            return False
        try:
            return bool(parse_qs(urlsplit(self.uri).query).get("dryRun"))
        except ValueError:
            return False

    @property
    def is_connection(self) -> bool:
        """Whether it opens a connection into a pod, a service or a node."""
        return self.target.subresource in _LONG_RUNNING

    @property
    def is_truncated(self) -> bool:
        """Whether the API server cut the objects out, as the event was too large for its backend."""
        return self.annotations.get(_TRUNCATED) == "true"

    @property
    def when(self) -> datetime | None:
        """When it was answered, else when it arrived."""
        return self.completed or self.received

    @property
    def is_answered(self) -> bool:
        """Whether what became of the request is known: a connection counts from its start; logs may leave it out."""
        if self.stage == "ResponseStarted":
            return self.is_connection
        return self.stage in ("ResponseComplete", "Panic", "")


def is_event(raw: Mapping[str, object]) -> bool:
    """Whether this is an event as the API server writes it."""
    if raw.get("kind") == "Event" and text(raw.get("apiVersion")) in API_VERSIONS:
        return True
    return "auditID" in raw and "verb" in raw and "stage" in raw


def read_event(raw: Json, place: LinePlace, wrapper: str) -> AuditEvent:
    """The event that the API server wrote."""
    lacks = lacks_of(raw)
    status = mapping(raw.get("responseStatus"))
    return AuditEvent(
        place=place,
        wrapper=wrapper,
        audit_id=text(raw.get("auditID")),
        stage=text(raw.get("stage")),
        verb=text(raw.get("verb")).lower(),
        uri=text(raw.get("requestURI")),
        user=_user(raw.get("user")) or AuditUser(""),
        impersonated=_user(raw.get("impersonatedUser")),
        target=target_of(raw),
        code=integer(status.get("code")),
        message=text(status.get("message")),
        request_object=whole_object(raw.get("requestObject"), lacks),
        response_object=whole_object(raw.get("responseObject"), lacks),
        received=moment(raw.get("requestReceivedTimestamp")),
        completed=moment(raw.get("stageTimestamp")),
        annotations=texts(raw.get("annotations")),
        json_patch=patch if isinstance(patch := raw.get("requestObject"), list) else None,
        level=text(raw.get("level")),
        source_ips=tuple(strings(raw.get("sourceIPs"))),
        user_agent=text(raw.get("userAgent")),
    )


def _user(value: object) -> AuditUser | None:
    user = mapping(value)
    name, groups = text(user.get("username")), tuple(strings(user.get("groups")))
    extra = {key: tuple(strings(values)) for key, values in mapping(user.get("extra")).items()}
    return AuditUser(name, groups, extra) if name or groups else None


def target_of(raw: Mapping[str, object]) -> RequestTarget:
    """What the event of that JSON is about."""
    ref = mapping(raw.get("objectRef"))
    return RequestTarget(
        text(ref.get("apiGroup")),
        text(ref.get("apiVersion")),
        text(ref.get("resource")),
        text(ref.get("subresource")),
        text(ref.get("namespace")),
        text(ref.get("name")),
        text(ref.get("uid")),
    )


def whole_object(value: object, lacks: str) -> Json | None:
    """An object of an event; where the event was not read whole, neither was this."""
    if not isinstance(value, dict) or not value:
        return None
    return lacking(value, lacks_of(value) or lacks)


def texts(value: object) -> dict[str, str]:
    """The strings of a map."""
    return {key: one for key, one in mapping(value).items() if isinstance(one, str)}


def moment(value: object) -> datetime | None:
    """A time as logs write it; without an offset it is in UTC. None where it cannot be read."""
    if not isinstance(value, str) or not value:
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
