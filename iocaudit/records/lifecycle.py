"""The life of a finding: Open, Resolved when its object is fixed or gone, removed after a retention time.

What is stored is the only memory: the operator reads its own resources back, compares, and writes what
differs. So a restart, or an end in the middle, loses nothing and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from iocaudit.core.moments import is_past, rfc3339
from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.records.finding import (
    OPEN,
    POSTURE,
    RESOLVED,
    WAIVED,
    content_digest,
    finding_body,
)

RecordKey = tuple[str | None, str]
"""Namespace (None: cluster scope) and name of a finding's resource."""


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """What is known of a finding's resource as it is stored."""

    key: RecordKey
    scope: str | None
    """The namespace that its subject is at home in, which is where it lives; a Namespace is at home in itself."""
    check: str
    group: str
    kind: str
    subject: str
    severity: str
    state: str
    type: str
    verified: bool
    digest: bytes
    version: str
    first_seen: str
    resolved_at: str
    waivers: tuple[str, ...] = ()
    """The waivers that make it Waived; none in another state."""

    @property
    def place(self) -> tuple[str, str, str]:
        return (self.group, self.kind, self.subject)


def stored(body: Mapping[str, object]) -> StoredFinding:
    """Read one of our resources as the API server gives it."""
    metadata, finding = mapping(body.get("metadata")), mapping(body.get("finding"))
    subject = mapping(finding.get("subject"))
    return StoredFinding(
        key=(text(metadata.get("namespace")) or None, text(metadata.get("name"))),
        scope=text(metadata.get("namespace")) or None,
        check=text(finding.get("check")),
        group=text(subject.get("group")),
        kind=text(subject.get("kind")),
        subject=text(subject.get("name")),
        severity=text(finding.get("severity")),
        state=text(finding.get("state")),
        type=text(finding.get("type")) or POSTURE,
        verified=finding.get("verified") is not False,
        digest=content_digest(body),
        version=text(metadata.get("resourceVersion")),
        first_seen=text(finding.get("firstSeen")),
        resolved_at=text(finding.get("resolvedAt")),
        waivers=_waivers(finding) if finding.get("state") == WAIVED else (),
    )


def _waivers(finding: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(text(one.get("name")) for one in mappings(finding.get("waivers")))


class WriteAction(StrEnum):
    CREATE = "create"
    REPLACE = "replace"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Write:
    """One write to make. ``body`` is whole for create and replace; the others read the stored one first."""

    action: WriteAction
    key: RecordKey
    body: Json | None = None
    before: StoredFinding | None = None


def wanted(key: RecordKey, content: Json, before: StoredFinding | None, now: datetime) -> Write | None:
    """The write that makes a finding Open with this content; None where it is stored like that."""
    body = finding_body(*key, content)
    if before is not None and before.digest == content_digest(body):
        return None
    seen = before.first_seen if before is not None and before.state != RESOLVED else ""
    body["finding"] |= {"firstSeen": seen or rfc3339(now), "lastChanged": rfc3339(now)}
    if before is None:
        return Write(WriteAction.CREATE, key, body)
    body["metadata"]["resourceVersion"] = before.version
    return Write(WriteAction.REPLACE, key, body, before)


def unwanted(found: Iterable[StoredFinding], now: datetime, retention: timedelta) -> list[Write]:
    """What becomes of posture findings that no longer hold; evidence is not touched, whatever its age."""
    writes = []
    for one in found:
        if one.type != POSTURE:
            continue
        if one.state != RESOLVED:
            writes.append(Write(WriteAction.RESOLVE, one.key, None, one))
        elif _older(one.resolved_at, now, retention):
            writes.append(Write(WriteAction.REMOVE, one.key, None, one))
    return writes


def resolved(body: Json, now: datetime) -> Json:
    """The stored resource, made Resolved."""
    finding = {k: v for k, v in mapping(body.get("finding")).items() if k != "repair"}
    finding |= {"state": RESOLVED, "resolvedAt": rfc3339(now), "lastChanged": rfc3339(now)}
    return _anew(body, finding)


def _anew(body: Json, finding: Json) -> Json:
    """The stored resource with another content, to be written over that very version."""
    metadata = mapping(body.get("metadata"))
    fresh = finding_body(text(metadata.get("namespace")) or None, text(metadata.get("name")), finding)
    fresh["metadata"]["resourceVersion"] = text(metadata.get("resourceVersion"))
    return fresh


def reopened(body: Json, now: datetime) -> Json:
    """The stored resource, made Open: what covered it does so no more, and nothing newer is known of it."""
    finding = {k: v for k, v in mapping(body.get("finding")).items() if k not in ("waivers", "waivedCount")}
    finding |= {"state": OPEN, "lastChanged": rfc3339(now)}
    finding["hits"] = [{k: v for k, v in hit.items() if k != "waiver"} for hit in mappings(finding.get("hits"))]
    return _anew(body, finding)


def _older(since: str, now: datetime, retention: timedelta) -> bool:
    # A time that cannot be read was not written by us: the finding is as good as expired.
    return is_past(since, retention, now) is not False


__all__ = [
    "OPEN",
    "StoredFinding",
    "Write",
    "WriteAction",
    "reopened",
    "resolved",
    "stored",
    "unwanted",
    "wanted",
]
