"""The numbers at the end of every output, and what could not be read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core.report import Report
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted


def place(file: str | None, line: int | None) -> str:
    """``file:line``, the file alone where there is no line, nothing where there is no file."""
    if file is None:
        return ""
    return f"{file}:{line}" if line else file


class UnreadableDocument(NamedTuple):
    """A document that could not be read. ``line`` counts from 1; ``reason`` says what to do."""

    file: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        return f"{place(self.file, self.line)}: {self.reason}"


class SettingsInForce(NamedTuple):
    """The settings file that a scan went by, and what of it makes the gate milder: ``fail-on never``."""

    file: str
    lowers: tuple[str, ...]


@dataclass(slots=True)
class ReadingSummary:
    """How the input was read. ``other_kinds`` counts Kubernetes documents of kinds no check looks at."""

    files: int = 0
    documents: int = 0
    not_kubernetes: int = 0
    other_kinds: int = 0
    unjudged: Mapping[str, int] = field(default_factory=dict)
    """How many objects there were of each kind that no check at all looks at, as ``Kind.group``."""
    excluded: int = 0
    """How many files and folders were left out on request."""
    below: int = 0
    """How many hits are not reported because of their severity, on request."""
    errors: list[UnreadableDocument] = field(default_factory=list)
    baselined: int = 0
    settings: SettingsInForce | None = None
    notes: list[str] = field(default_factory=list)
    """Notes beside the report, such as waivers that waived nothing."""


def is_empty(report: Report, reading: ReadingSummary) -> bool:
    """Whether there was nothing to judge, and nothing that could not be judged: not a single Kubernetes object."""
    return not (report.audited or reading.other_kinds or report.skipped or report.faults or reading.errors)


def empty_input(paths: Sequence[str], reading: ReadingSummary) -> UnreadableDocument:
    """The error that an input without Kubernetes objects is."""
    name = "the input" if len(paths) != 1 else "<stdin>" if paths[0] == "-" else paths[0]
    read = f"{counted(reading.files, 'file')}, {counted(reading.documents, 'document')}"
    left_out = f", {reading.excluded} left out by --exclude" if reading.excluded else ""
    reason = f"no Kubernetes object in it ({read}{left_out}): did the step before fail? (--allow-empty accepts it)"
    return UnreadableDocument(name, None, reason)


def gate(report: Report, reading: ReadingSummary) -> str:
    """What the scanned repository itself had a say in: its settings file, its annotations. Empty for nothing."""
    parts = []
    if reading.settings is not None:
        file, lowers = reading.settings
        parts.append(f"settings of {file}" + (f" lower the gate: {'; '.join(lowers)}" if lowers else " lower nothing"))
    if report.ignored:
        parts.append(f"{counted(len(report.ignored), 'hit')} ignored by annotations")
    return "; ".join(parts)


def headline(report: Report, reading: ReadingSummary) -> str:
    """The one line that sums a report up: ``3 findings in 2 objects: 1 critical, 2 low; 9 objects audited``.

    A finding is one check on one object, and counts where something of it stands by itself.
    """
    parts = []
    causes = report.causes
    if causes:
        numbers = Counter(causes.values())
        counts = ", ".join(f"{numbers[one]} {one.label}" for one in reversed(Severity) if numbers[one])
        hits = len(report.found) + len(report.implied)
        all_hits = f" ({hits} hits)" if hits > len(causes) else ""
        objects = len({cause._replace(check="") for cause in causes})  # overlays of one object are several
        parts.append(f"{counted(len(causes), 'finding')}{all_hits} in {counted(objects, 'object')}: {counts}")
    else:
        parts.append("no findings")
    parts.append(f"{counted(report.audited, 'object')} audited")
    for number, what in (
        (reading.below, "below --severity"),
        (len(report.waived), "waived"),
        (len(report.ignored), "ignored"),
        (reading.baselined, "in the baseline"),
        (reading.excluded, "left out by --exclude"),
        (len(report.skipped), "skipped"),
    ):
        if number:
            parts.append(f"{number} {what}")
    if report.faults:
        parts.append(counted(len(report.faults), "fault"))
    if reading.errors:
        parts.append(f"{len(reading.errors)} unreadable")
    return "; ".join(parts[:2]) + "".join(f", {part}" for part in parts[2:])


def indicators(report: Report) -> str:
    """The findings by indicator of compromise: ``12 inbound traffic (5), 3 outbound traffic (2)``; most first.

    A finding may belong to several.
    """
    counts = Counter(ioc for _, ioc in {(found.cause, ioc) for found in report.found for ioc in found.iocs})
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {ioc.short} ({int(ioc)})" for ioc, number in ranked)


def summary_of(report: Report, reading: ReadingSummary) -> dict[str, Any]:
    """``hits`` are all that nothing accepts; everything else that is counted by severity or check are ``causes``."""
    causes = report.causes
    severities = Counter(causes.values())
    by_check = Counter(cause.check for cause in causes)
    return {
        "files": reading.files,
        "documents": reading.documents,
        "audited": report.audited,
        "notKubernetes": reading.not_kubernetes,
        "otherKinds": reading.other_kinds,
        "unjudged": dict(sorted(reading.unjudged.items())),
        "excluded": reading.excluded,
        "unreadable": len(reading.errors),
        "causes": len(causes),
        "hits": len(report.found) + len(report.implied),
        "belowSeverity": reading.below,
        "baselined": reading.baselined,
        "waived": len(report.waived),
        "ignored": len(report.ignored),
        "settings": reading.settings and {"file": reading.settings.file, "lowers": list(reading.settings.lowers)},
        "bySeverity": {severity.label: severities[severity] for severity in reversed(Severity)},
        "byCheck": dict(sorted(by_check.items())),
        "skipped": len(report.skipped),
        "faults": len(report.faults),
    }
