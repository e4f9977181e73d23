"""Findings and reports as the bodies of our custom resources. Pure: no clock, no API."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.core.report import MOST_HITS, Finding, GroupKey, ReportedHit, WaivedHit
from iocaudit.core.resource import Ref
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, mapping, text
from iocaudit.core.stored_patch import MOST, StoredPatch
from iocaudit.core.yaml_write import block
from iocaudit.knowledge.clipping import clip

CHECK_LABEL = "iocaudit.io/check"
SEVERITY_LABEL = "iocaudit.io/severity"
STATE_LABEL = "iocaudit.io/state"

OPEN, WAIVED, RESOLVED = "Open", "Waived", "Resolved"
DENIED = "Denied"
"""The state of a denied attempt, for good: it happened."""
RECORDED = "Recorded"
"""The state of a policy that was weakened: that it was stays on record, whatever becomes of it."""
SEEN = "Seen"
"""The state of what was seen at run time, for good: it happened."""
POSTURE = "posture"

TIMES = ("firstSeen", "lastChanged", "resolvedAt")
"""The fields that say when; everything else of a finding is its content."""

# The bounds of the schema: a longer value would make the API server refuse the whole finding.
_LONG, _HIT, _TITLE = 2048, 1024, 256
_RENDERED = 4 * MOST
MOST_IMPLIED = 50
"""How many findings that it implies a finding lists; beyond that only the count of hits grows."""
MOST_WAIVERS = 16
"""How many waivers a finding names; each hit names its own."""


def finding_content(finding: Finding, title: str) -> Json:
    """A posture finding without its times: Waived where waivers cover every hit, else Open."""
    worst = finding.hits[0]
    content: Json = {
        "check": finding.check,
        "title": clip(title, _TITLE),
        "severity": finding.severity.label,
        "rank": rank(finding.severity),
        "iocs": sorted(int(ioc) for ioc in finding.iocs),
        "ioc": ",".join(str(int(ioc)) for ioc in sorted(finding.iocs)),
        "target": target(finding.subject),
        "subject": subject(finding.subject),
        "state": WAIVED if finding.is_waived else OPEN,
        "type": POSTURE,
        "message": clip(worst.message, _LONG),
        "fix": clip(worst.fix, _LONG),
        "hitCount": len(finding.hits),
        "hits": [_hit(found, finding.waived.get(found.same_hit)) for found in finding.hits[:MOST_HITS]],
        "verified": finding.verified,
    }
    if finding.waived:
        content["waivedCount"] = len(finding.waived)
        content["waivers"] = _waivers(finding.waived.values())
    if finding.implies:
        content["impliedCount"] = len(finding.implies)
        content["implies"] = _implied(finding.implies)
    if finding.patch is not None:
        content["repair"] = _repair(finding.patch)
    return content


def _repair(found: StoredPatch) -> Json:
    """As text, so ``kubectl patch --type=json`` takes either as it is, and its length has a bound."""
    rendered = block(orjson.loads(found.patch))
    return {
        "safe": found.safe,
        "hits": found.hits,
        "patch": found.patch,
        **({"patchYaml": rendered} if len(rendered) <= _RENDERED else {}),
    }


def _waivers(waived: Iterable[WaivedHit]) -> list[Json]:
    """Each waiver once, by name: until when and why."""
    found = {one.waiver: one for one in waived}
    return [
        {"name": clip(one.waiver, 253), "expires": one.expires, "reason": clip(one.reason, _HIT)}
        for _, one in sorted(found.items())[:MOST_WAIVERS]
    ]


def _implied(implies: Iterable[ReportedHit]) -> list[Json]:
    """Each finding that is told with this one, as it would be called by itself: the worst, and of how many hits."""
    found: dict[GroupKey, Json] = {}
    for one in implies:
        entry = found.setdefault(
            one.group,
            {"check": one.check, "severity": one.severity.label, "target": target(one.subject), "hits": 0},
        )
        entry["hits"] += 1
    return list(found.values())[:MOST_IMPLIED]


def _hit(found: ReportedHit, waived: WaivedHit | None) -> Json:
    return {
        "path": clip(found.hit.path, _HIT),
        "message": clip(found.hit.message, _HIT),
        "evidence": clip(found.hit.evidence, _HIT),
        "fingerprint": found.fingerprint,
        "severity": found.severity.label,
        **({"waiver": clip(waived.waiver, 253)} if waived is not None else {}),
    }


def finding_body(namespace: str | None, name: str, content: Mapping[str, Any]) -> Json:
    """The custom resource that carries this content: namespaced where there is a namespace."""
    metadata: Json = {
        "name": name,
        "labels": {
            CHECK_LABEL: content["check"],
            SEVERITY_LABEL: content["severity"],
            STATE_LABEL: content["state"],
        },
    }
    if namespace is not None:
        metadata["namespace"] = namespace
    return {
        "apiVersion": API_VERSION,
        "kind": "IocFinding" if namespace is not None else "ClusterIocFinding",
        "metadata": metadata,
        "finding": dict(content),
    }


def content_digest(body: Mapping[str, Any]) -> bytes:
    """What changes exactly when the content of a finding changes: its own labels and all but the times."""
    labels = mapping(mapping(body.get("metadata")).get("labels"))
    content = {key: value for key, value in mapping(body.get("finding")).items() if key not in TIMES}
    own = [text(labels.get(label)) for label in (CHECK_LABEL, SEVERITY_LABEL, STATE_LABEL)]
    return hashlib.sha256(orjson.dumps([own, content], option=orjson.OPT_SORT_KEYS)).digest()


def rank(severity: Severity) -> int:
    """1 for critical to 4 for low, so an ascending sort has the worst first."""
    return 5 - int(severity)


def target(ref: Ref) -> str:
    """``Deployment/web``"""
    shown = ref.shown
    return f"{shown.kind}/{shown.name}"


def subject(ref: Ref) -> Json:
    shown = ref.shown
    found = {"apiVersion": shown.api_version, "group": shown.group, "kind": shown.kind, "name": shown.name}
    return {**found, "namespace": shown.namespace} if shown.namespace is not None else found
