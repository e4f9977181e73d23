"""Evidence as the bodies of findings: counted up in place, and copied when its namespace goes.

Each finding remembers the last post of each sender that is in its count, in the same object and so in
the same write. That makes counting idempotent no matter who does it: a post that comes again, after a restart, to
another leader or to two at a time, is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from iocaudit.core.identity import name_suffix
from iocaudit.core.moments import rfc3339
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, integer, mapping, mappings, text
from iocaudit.core.wording import counted as counted_words
from iocaudit.evidence.key import DENIED_ATTEMPT, EVIDENCE, POLICY_CHANGE, RUNTIME, EvidenceKey, EvidenceTally
from iocaudit.knowledge.clipping import clip
from iocaudit.records.finding import DENIED, RECORDED, SEEN, finding_body, rank
from iocaudit.sinks.escape import visible

_STATES = {DENIED_ATTEMPT: DENIED, POLICY_CHANGE: RECORDED, RUNTIME: SEEN}
MOST_REPLICAS = 32
"""Senders a finding remembers; the one that has been silent for longest is forgotten first."""


class Delta(NamedTuple):
    """What one post says about one attempt."""

    replica: str
    number: int
    tally: EvidenceTally


def attempt_of(body: Mapping[str, Any]) -> EvidenceKey:
    """The attempt that a stored finding is about."""
    finding = mapping(body.get("finding"))
    subject = mapping(finding.get("subject"))
    return EvidenceKey(
        text(finding.get("check")),
        text(subject.get("group")),
        text(subject.get("kind")),
        text(subject.get("namespace")) or None,
        text(subject.get("name")),
        text(finding.get("user")),
        text(finding.get("type")) or DENIED_ATTEMPT,
    )


def marks(body: Mapping[str, Any]) -> dict[str, int]:
    """The number of each replica's last post that is in the count; the longest silent first."""
    return {
        text(one.get("name")): integer(one.get("number")) or 0
        for one in mappings(mapping(body.get("finding")).get("replicas"))
    }


def fresh(deltas: Iterable[Delta], body: Mapping[str, Any]) -> list[Delta]:
    """The deltas that a finding's count does not hold yet, by number."""
    known = marks(body)
    left = sorted(deltas, key=lambda delta: delta.number)
    return [delta for delta in left if delta.number > known.get(delta.replica, 0)]


def empty(namespace: str | None, attempt: EvidenceKey, title: str) -> Json:
    """The finding of what was counted never; `counted` makes it one that can be stored."""
    subject: Json = {"group": attempt.group, "kind": attempt.kind, "name": attempt.name}
    if attempt.namespace is not None:
        subject["namespace"] = attempt.namespace
    content = {
        "check": attempt.check,
        "title": clip(title, 256),
        "severity": Severity.LOW.label,
        "target": _target(attempt, namespace),
        "subject": subject,
        "state": _STATES.get(attempt.type, RECORDED),
        "type": attempt.type,
        "hitCount": 0,
        "count": 0,
        "user": attempt.user,
        "replicas": [],
    }
    return finding_body(namespace, attempt.finding, content)


def counted(body: Mapping[str, Any], deltas: Iterable[Delta]) -> Json:
    """The finding with these deltas in its count, each at most once; the same content where it holds them all."""
    new = fresh(deltas, body)
    finding = dict(mapping(body.get("finding")))
    if new:
        said = new[0].tally
        for delta in new[1:]:
            said = said.plus(delta.tally)
        known = marks(body)
        for delta in new:
            known.pop(delta.replica, None)
            known[delta.replica] = delta.number
        count = (integer(finding.get("count")) or 0) + said.count
        before = _severity(finding) if finding.get("count") else said.severity
        worst = max(before, said.severity)
        finding |= {
            "severity": worst.label,
            "rank": rank(worst),
            "iocs": sorted(int(ioc) for ioc in said.iocs),
            "ioc": ",".join(str(int(ioc)) for ioc in sorted(said.iocs)),
            "message": clip(visible(_message(attempt_of(body), count, said.message)), 2048),
            "fix": clip(visible(said.fix), 2048),
            "count": count,
            "firstSeen": _earlier(text(finding.get("firstSeen")), said.first),
            "lastSeen": _later(text(finding.get("lastSeen")), said.last),
            "replicas": [{"name": name, "number": number} for name, number in known.items()][-MOST_REPLICAS:],
        }
        if finding.get("type") == RUNTIME:
            # All of these are one write.
            finding["suppressed"] = (integer(finding.get("suppressed")) or 0) + said.count - 1
    return _rebuilt(body, finding)


def copied(body: Mapping[str, Any]) -> Json:
    """A namespaced finding as a ClusterIocFinding that names the namespace.

    The copy is named after the very object (its uid), so copying it twice makes one, and what happened in two
    namespaces of one name stays apart.
    """
    metadata, finding = mapping(body.get("metadata")), dict(mapping(body.get("finding")))
    subject = mapping(finding.get("subject"))
    namespace = text(subject.get("namespace")) or text(metadata.get("namespace"))
    finding["target"] = clip(f"{text(subject.get('kind'))}/{namespace}/{text(subject.get('name'))}", 512)
    which = name_suffix("buried-attempt", text(metadata.get("name")), namespace, text(metadata.get("uid")))
    return finding_body(
        None, f"{text(finding.get('check'))}-{EVIDENCE.get(attempt_of(body).type, 'denied')}-{which}", finding
    )


def _rebuilt(body: Mapping[str, Any], finding: Json) -> Json:
    metadata = mapping(body.get("metadata"))
    fresh_body = finding_body(text(metadata.get("namespace")) or None, text(metadata.get("name")), finding)
    version = text(metadata.get("resourceVersion"))
    if version:
        fresh_body["metadata"]["resourceVersion"] = version
    return fresh_body


def _target(attempt: EvidenceKey, namespace: str | None) -> str:
    where = f"{attempt.namespace}/" if attempt.namespace is not None and namespace is None else ""
    return clip(f"{attempt.kind}/{where}{attempt.name}", 512)


def _message(attempt: EvidenceKey, count: int, said: str) -> str:
    if attempt.type == RUNTIME:
        if attempt.is_other:
            return f"{counted_words(count, 'more sighting')}, counted together for lack of room; the last: {said}"
        return said if count == 1 else f"{counted_words(count, 'sighting')}; the last: {said}"
    if attempt.is_other:
        requests = "request" if count == 1 else "requests"
        return f"{count} more denied {requests}, counted together for lack of room; the last: {said}"
    times = "once" if count == 1 else f"{count} times"
    user = attempt.user or "an unknown user"
    if attempt.type == POLICY_CHANGE:
        return f"{user} weakened the guard {times}: {said}"
    return f"{user} was denied {times}: {said}"


def _severity(finding: Json) -> Severity:
    try:
        return Severity.parse(text(finding.get("severity")))
    except ValueError:
        return Severity.LOW


def _stamp(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def _earlier(known: str, seconds: float) -> str:
    found = _stamp(seconds)
    return min(known, found) if known else found


def _later(known: str, seconds: float) -> str:
    return max(known, _stamp(seconds))
