"""The numbers at the end of every output, and what could not be read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core.report import Report
from iocaudit.core.severity import Severity


class UnreadableDocument(NamedTuple):
    """A document that could not be read. ``line`` counts from 1; ``reason`` says what to do."""

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


@dataclass(slots=True)
class ReadingSummary:
    """How the input was read. ``other_kinds`` counts Kubernetes documents of kinds no check looks at."""

    files: int = 0
    documents: int = 0
    not_kubernetes: int = 0
    other_kinds: int = 0
    unjudged: Mapping[str, int] = field(default_factory=dict)
    """How many objects there were of each kind that no check at all looks at, as ``Kind.group``."""
    errors: list[UnreadableDocument] = field(default_factory=list)
    baselined: int = 0
    notes: list[str] = field(default_factory=list)
    """What is to be said beside the report, such as waivers that waived nothing."""


def summary_of(report: Report, reading: ReadingSummary) -> dict[str, Any]:
    """``hits`` are all that nothing accepts; everything else that is counted by severity or check are ``causes``."""
    causes = report.causes
    by_severity = Counter(causes.values())
    by_check = Counter(cause.check for cause in causes)
    return {
        "files": reading.files,
        "documents": reading.documents,
        "audited": report.audited,
        "notKubernetes": reading.not_kubernetes,
        "otherKinds": reading.other_kinds,
        "unjudged": dict(sorted(reading.unjudged.items())),
        "unreadable": len(reading.errors),
        "causes": len(causes),
        "hits": len(report.found) + len(report.implied),
        "baselined": reading.baselined,
        "waived": len(report.waived),
        "bySeverity": {severity.label: by_severity[severity] for severity in reversed(Severity)},
        "byCheck": dict(sorted(by_check.items())),
        "skipped": len(report.skipped),
        "faults": len(report.faults),
    }
