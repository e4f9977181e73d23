"""What a sender posts to the operator: numbered deltas of what it counted, from one source, as JSON.

The posts of a sender and source are numbered from 1. It sends a number again, unchanged, until the operator says that
it is stored, and only then the next: so a number seen twice is the same post. A sender whose numbers begin anew takes
another name.

A webhook of a version before names no source: its posts are of denied attempts, and are taken as they were. An operator
of a version before does not know the field and leaves it alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from iocaudit.core.identity import BOUNDS
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.would_be_denied import RolloutPost
from iocaudit.evidence.key import DENIED_ATTEMPT, MOST_KEYS, POLICY_CHANGE, RUNTIME, EvidenceKey, EvidenceTally
from iocaudit.evidence.post_fields import PostError, post_integer, post_map, post_seconds, post_text
from iocaudit.evidence.rollout_post import read_rollouts, rollouts_json
from iocaudit.records.incident import IncidentFormatError, IncidentRecord, incident_content, read_incident

MOST_ENTRIES = MOST_KEYS + 256
"""Entries of one post: the map's keys, and one ``other`` a check."""
LONGEST: Mapping[str, int] = {**BOUNDS, "message": 1024, "fix": 1024}
"""Characters of each field; those of the finding's schema or fewer."""
MOST_INCIDENTS = 32
"""Incidents of one post."""
ATTEMPTS = "attempts"
"""The source of a webhook replica's posts: denied attempts and changes of policies. Other sources post sightings."""
_TYPES = {ATTEMPTS: (DENIED_ATTEMPT, POLICY_CHANGE)}
_SOURCE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_REPLICA = re.compile(r"[A-Za-z0-9.-]{1,128}")
_CHECK = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Post:
    """``last`` says that the replica goes away and that nothing will follow."""

    replica: str
    number: int
    attempts: Mapping[EvidenceKey, EvidenceTally]
    last: bool = False
    rollouts: RolloutPost | None = None
    source: str = ATTEMPTS
    incidents: tuple[IncidentRecord, ...] = ()

    @property
    def sender(self) -> str:
        """Whose numbers these are: a replica has a row of them for each source."""
        return self.replica if self.source == ATTEMPTS else f"{self.replica}/{self.source}"

    @property
    def has_attempts(self) -> bool:
        """Whether it is of what was asked of the webhook, and not of what was seen at run time."""
        return self.source == ATTEMPTS


def to_bytes(post: Post, sent: float | None = None) -> bytes:
    """The body, sent at a moment by the replica's clock; `read_post` gives the same post back."""
    rollouts = {} if post.rollouts is None else {"rollouts": rollouts_json(post.rollouts, sent)}
    incidents = {"incidents": [incident_content(one) for one in post.incidents]} if post.incidents else {}
    return orjson.dumps(
        {
            **rollouts,
            **incidents,
            "replica": post.replica,
            "source": post.source,
            "number": post.number,
            "last": post.last,
            "attempts": [
                {
                    **attempt._asdict(),
                    "count": tally.count,
                    "first": tally.first,
                    "last": tally.last,
                    "severity": tally.severity.label,
                    "iocs": [int(ioc) for ioc in tally.iocs],
                    "message": tally.message,
                    "fix": tally.fix,
                }
                for attempt, tally in post.attempts.items()
            ],
        }
    )


def read_post(body: bytes, now: float | None = None) -> Post:
    """Read a body that arrives at ``now``. Everything has to be there and within its bounds; raises PostError."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PostError(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise PostError("the body is not a JSON object")
    replica = raw.get("replica")
    if not isinstance(replica, str) or not _REPLICA.fullmatch(replica):
        raise PostError("replica: must be 1 to 128 letters, digits, dots and dashes")
    source = raw.get("source", ATTEMPTS)
    if not isinstance(source, str) or not _SOURCE.fullmatch(source):
        raise PostError("source: must be 1 to 32 small letters, digits and dashes, a letter first")
    types = _TYPES.get(source, (RUNTIME,))
    last = raw.get("last")
    if not isinstance(last, bool):
        raise PostError("last: must be true or false")
    entries = raw.get("attempts")
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise PostError(f"attempts: must be a list of at most {MOST_ENTRIES}")
    attempts: dict[EvidenceKey, EvidenceTally] = {}
    for place, entry in enumerate(entries):
        attempt, tally = _entry(entry, f"attempts[{place}]", types)
        if attempt in attempts:
            raise PostError(f"attempts[{place}]: is listed twice")
        attempts[attempt] = tally
    if source != ATTEMPTS and "rollouts" in raw:
        raise PostError(f"rollouts: only posts of source {ATTEMPTS} may have them")
    rollouts = read_rollouts(raw.get("rollouts"), now)
    incidents = _incidents(raw.get("incidents", []), source)
    return Post(replica, post_integer(raw, "number", "number"), attempts, last, rollouts, source, incidents)


def _incidents(raw: Any, source: str) -> tuple[IncidentRecord, ...]:
    if not isinstance(raw, list) or len(raw) > MOST_INCIDENTS:
        raise PostError(f"incidents: must be a list of at most {MOST_INCIDENTS}")
    if raw and source == ATTEMPTS:
        raise PostError(f"incidents: posts of source {ATTEMPTS} may not have them")
    try:
        found = tuple(read_incident(one, f"incidents[{place}]") for place, one in enumerate(raw))
    except IncidentFormatError as error:
        raise PostError(str(error)) from error
    if len({one.name for one in found}) != len(found):
        raise PostError("incidents: one is listed twice")
    return found


def _entry(entry: Any, where: str, types: tuple[str, ...]) -> tuple[EvidenceKey, EvidenceTally]:
    entry = post_map(entry, where)
    check = post_text(entry, "check", where, LONGEST)
    if not _CHECK.fullmatch(check):
        raise PostError(f"{where}.check: not the id of a check")
    kind, name = post_text(entry, "kind", where, LONGEST), post_text(entry, "name", where, LONGEST)
    if not kind:
        raise PostError(f"{where}.kind: empty")
    namespace = None if entry.get("namespace") is None else post_text(entry, "namespace", where, LONGEST)
    if namespace == "":
        raise PostError(f"{where}.namespace: empty; null is cluster scope")
    of = entry.get("type")
    if of not in types:
        raise PostError(f"{where}.type: must be one of {', '.join(types)}")
    attempt = EvidenceKey(
        check,
        post_text(entry, "group", where, LONGEST),
        kind,
        namespace,
        name,
        post_text(entry, "user", where, LONGEST),
        of,
    )
    try:
        severity = Severity.parse(post_text(entry, "severity", where, LONGEST))
    except ValueError as error:
        raise PostError(f"{where}.severity: {error}") from error
    iocs = entry.get("iocs")
    if not isinstance(iocs, list) or not all(type(ioc) is int and ioc in set(IoC) for ioc in iocs):
        raise PostError(f"{where}.iocs: must be a list of numbers from 1 to 10")
    first, last = post_seconds(entry, "first", where), post_seconds(entry, "last", where)
    if first > last:
        raise PostError(f"{where}.first: later than last")
    return attempt, EvidenceTally(
        post_integer(entry, "count", f"{where}.count"),
        first,
        last,
        severity,
        tuple(dict.fromkeys(IoC(ioc) for ioc in iocs)),
        post_text(entry, "message", where, LONGEST),
        post_text(entry, "fix", where, LONGEST),
    )
