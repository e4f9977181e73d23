"""The summaries: one AuditReport a namespace, and one ClusterAuditReport."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from iocaudit.controller.kept import Kept
from iocaudit.core.moments import rfc3339
from iocaudit.core.report import Finding
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json, mapping, text
from iocaudit.sinks.custom_resources import API_VERSION, cut, target

NAME = "iocaudit"
REFRESH = timedelta(minutes=10)
"""How old ``lastSweep`` of the cluster's report may get before it is rewritten for its own sake."""

_WORST, _REASONS = 10, 20


@dataclass(slots=True)
class Summary:
    """Counts of one namespace, or of the cluster."""

    severities: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    iocs: Counter[str] = field(default_factory=Counter)
    subjects: dict[tuple[str, str], list[Severity]] = field(default_factory=dict)
    audited: int = 0
    skipped: int = 0
    faults: int = 0
    reasons: Counter[tuple[bool, str, str]] = field(default_factory=Counter)
    not_configured: set[str] = field(default_factory=set)
    waived: int = 0

    def count(self, finding: Finding) -> None:
        """Count a finding: one that waivers cover whole apart, and nowhere else."""
        if finding.is_waived:
            self.waived += 1
            return
        self.severities[finding.severity.label] += 1
        self.checks[finding.check] += 1
        for ioc in finding.iocs:
            self.iocs[str(int(ioc))] += 1
        place = (finding.subject.namespace or "", target(finding.subject))
        self.subjects.setdefault(place, []).append(finding.severity)

    def cover(self, kept: Kept) -> None:
        """Count an audited object and what of it could not be evaluated."""
        self.audited += 1
        self.skipped += len(kept.skipped)
        self.faults += len(kept.faults)
        for skipped in kept.skipped:
            self.reasons[(False, skipped.check or "", skipped.reason)] += 1
        for fault in kept.faults:
            self.reasons[(True, fault.check, fault.error)] += 1
        self.not_configured.update(kept.not_configured)

    def missed(self, reason: str) -> None:
        """Count a whole kind that could not be listed."""
        self.skipped += 1
        self.reasons[(False, "", reason)] += 1

    def content(self, policies: Iterable[str]) -> Json:
        """The report without its time, sorted and bounded."""
        worst = sorted(self.subjects.items(), key=lambda item: (-max(item[1]), -_weight(item[1]), item[0]))
        reasons = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        return {
            "severities": {level.label: self.severities[level.label] for level in sorted(Severity, reverse=True)},
            "waived": self.waived,
            "checks": dict(sorted(self.checks.items())),
            "iocs": dict(sorted(self.iocs.items(), key=lambda item: int(item[0]))),
            "coverage": {
                "audited": self.audited,
                "skipped": self.skipped,
                "faults": self.faults,
                "reasons": [
                    {
                        **({"check": check} if check else {}),
                        "reason": cut(reason, 512),
                        "count": count,
                        "fault": fault,
                    }
                    for (fault, check, reason), count in reasons[:_REASONS]
                ],
                "notConfigured": sorted(self.not_configured),
            },
            "worst": [
                {
                    "target": name,
                    **({"namespace": namespace} if namespace else {}),
                    "severity": max(severities).label,
                    "findings": len(severities),
                }
                for (namespace, name), severities in worst[:_WORST]
            ],
            "policies": list(policies),
        }


def _weight(severities: list[Severity]) -> int:
    return sum(10 ** int(severity) for severity in severities)


def report_body(namespace: str | None, content: Mapping[str, Any]) -> Json:
    """The resource that carries a report: namespaced where there is a namespace."""
    metadata = {"name": NAME} if namespace is None else {"name": NAME, "namespace": namespace}
    kind = "ClusterAuditReport" if namespace is None else "AuditReport"
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "report": dict(content)}


def report_write(namespace: str | None, content: Json, before: Mapping[str, Any] | None, now: datetime) -> Json | None:
    """The body to store; None where what is stored says the same.

    The time of the sweep alone is no change of a namespace's report, or every sweep would write them all;
    the cluster's report is rewritten for its time's sake after ``REFRESH``.
    """
    if before is not None:
        known = dict(mapping(before.get("report")))
        since = text(known.pop("lastSweep", None))
        if known == content and not (namespace is None and _stale(since, now)):
            return None
    body = report_body(namespace, {**content, "lastSweep": rfc3339(now)})
    version = text(mapping(mapping(before).get("metadata")).get("resourceVersion")) if before else ""
    if version:
        body["metadata"]["resourceVersion"] = version
    return body


def _stale(since: str, now: datetime) -> bool:
    try:
        return now - datetime.fromisoformat(since) >= REFRESH
    except (ValueError, TypeError):
        return True
