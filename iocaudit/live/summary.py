"""What a report counts: of one namespace, or of the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from iocaudit.core.report import Finding
from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json
from iocaudit.engine.kept import AuditedObject
from iocaudit.knowledge.clipping import clip
from iocaudit.records.finding import target

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
    hits: int = 0

    def count(self, finding: Finding) -> None:
        """Count a finding: one that waivers cover whole apart, and nowhere else."""
        if finding.is_waived:
            self.waived += 1
            return
        self.severities[finding.severity.label] += 1
        self.hits += len(finding.hits) - len(finding.waived) + len(finding.implies)
        self.checks[finding.check] += 1
        for ioc in finding.iocs:
            self.iocs[str(int(ioc))] += 1
        place = (finding.subject.namespace or "", target(finding.subject))
        self.subjects.setdefault(place, []).append(finding.severity)

    def cover(self, kept: AuditedObject) -> None:
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
            "causes": self.severities.total(),
            "hits": self.hits,
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
                        "reason": clip(reason, 512),
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
