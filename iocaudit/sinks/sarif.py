"""SARIF 2.1.0 (OASIS), as code scanning services read it.

Beyond the schema it keeps to what GitHub's code scanning asks for: at most 25,000 results a run and 20 tags a rule,
a place with a line for each result, paths below the working folder relative to it.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from iocaudit import __version__
from iocaudit.core.check import Check
from iocaudit.core.identity import SCHEME
from iocaudit.core.links import DOCUMENTATION, check_url
from iocaudit.core.report import IgnoredHit, Report, ReportedHit, WaivedHit
from iocaudit.core.severity import Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.sinks.escape import json_text, visible
from iocaudit.sinks.implied import implies
from iocaudit.sinks.summary import ReadingSummary, gate

_LEVEL = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
# The numbers code scanning services sort by ("security-severity", CVSS-like).
MOST_RESULTS = 25_000
_MOST_TEXT = 1024
_MOST_RELATED = 20
_BASE = "%SRCROOT%"
_SCORE = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}


def as_sarif(report: Report, reading: ReadingSummary, checks: Iterable[Check]) -> dict[str, Any]:
    """One run with the rules of its results, one result a hit, and what went wrong as notifications."""
    results, left_out = _most_severe(report.found)
    parts = report.parts()
    waived = report.waived[: MOST_RESULTS - len(results)]
    left_out += len(report.waived) - len(waived)
    ignored = report.ignored[: MOST_RESULTS - len(results) - len(waived)]
    left_out += len(report.ignored) - len(ignored)
    used = {found.check for found in results} | {one.found.check for one in waived}
    used |= {one.found.check for one in ignored}
    rules = sorted((check for check in checks if check.id in used), key=lambda check: check.id)
    index = {check.id: number for number, check in enumerate(rules)}
    notifications = [_notification("error", str(error), error.file, error.line) for error in reading.errors]
    for fault in report.faults:
        notifications.append(
            _notification("error", f"{fault.check}: {fault.subject}: {fault.error}", _file(fault), _line(fault))
        )
    for skipped in report.skipped:
        said = ": ".join(str(part) for part in (skipped.check, skipped.subject, skipped.reason) if part)
        notifications.append(_notification("note", said, _file(skipped), _line(skipped)))
    notes = [*filter(None, [gate(report, reading)]), *reading.notes]
    notifications += (_notification("note", note, None, None) for note in notes)
    if left_out:
        notifications.append(
            _notification(
                "warning",
                f"{left_out} more results, of the lowest severities, are left out: code scanning services refuse more "
                f"than {MOST_RESULTS}; all are in the JSON output",
                None,
                None,
            )
        )
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "iocaudit",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "informationUri": DOCUMENTATION,
                        "rules": [_rule(check) for check in rules],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": not (reading.errors or report.faults),
                        "toolExecutionNotifications": notifications,
                    }
                ],
                "originalUriBaseIds": {_BASE: {"description": {"text": "The folder the scan was started in."}}},
                "columnKind": "unicodeCodePoints",
                "results": [
                    *(_result(found, index, parts.get(id(found), ())) for found in results),
                    *(_waived(one, index) for one in waived),
                    *(_ignored(one, index) for one in ignored),
                ],
            }
        ],
    }


def _most_severe(found: list[ReportedHit]) -> tuple[list[ReportedHit], int]:
    """As many as may be, the most severe ones, in their order; and how many are left out."""
    left_out = len(found) - MOST_RESULTS
    if left_out <= 0:
        return found, 0
    ranked = sorted(range(len(found)), key=lambda number: -found[number].severity)
    return [found[number] for number in sorted(ranked[:MOST_RESULTS])], left_out


def _file(entry: Any) -> str | None:
    return entry.origin.file if entry.origin else None


def _line(entry: Any) -> int | None:
    return entry.origin.line if entry.origin else None


def _rule(check: Check) -> dict[str, Any]:
    doc = check.doc
    return {
        "id": check.id,
        "shortDescription": {"text": doc.title},
        "fullDescription": {"text": clip(" ".join(doc.why.split()) or doc.title, _MOST_TEXT)},
        "help": {"text": doc.fix or doc.title},
        "helpUri": check_url(check.id),
        "defaultConfiguration": {"level": _LEVEL[check.severity]},
        "properties": {
            "tags": ["security", "kubernetes", *(f"ioc-{int(ioc)}" for ioc in check.iocs)],
            "precision": "high",
            "security-severity": _SCORE[check.severity],
            **({"controls": dict(sorted(check.controls.items()))} if check.controls else {}),
        },
    }


def _location(file: str | None, line: int | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    return [{"physicalLocation": {"artifactLocation": _artifact(file), "region": {"startLine": line or 1}}}]


def _artifact(file: str) -> dict[str, Any]:
    """The URI of a file: relative where it lies below the working folder, else absolute."""
    path = os.path.relpath(file) if os.path.isabs(file) else os.path.normpath(file)
    if path.split(os.sep, 1)[0] == os.pardir:
        return {"uri": "file://" + _quoted(os.path.abspath(file))}
    return {"uri": _quoted(path), "uriBaseId": _BASE}


def _quoted(path: str) -> str:
    return quote(path.replace(os.sep, "/").encode("utf-8", "surrogateescape"))


def _notification(level: str, message: str, file: str | None, line: int | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"level": level, "message": {"text": visible(message)}}
    if locations := _location(file, line):
        entry["locations"] = locations
    return entry


def _result(found: ReportedHit, index: dict[str, int], parts: Sequence[ReportedHit] = ()) -> dict[str, Any]:
    """``parts`` are the hits that it implies: places that are related, and no results of their own."""
    said = filter(None, (found.message, found.fix and f"Fix: {found.fix}", implies(found, parts)))
    ref = found.subject
    locations = _location(found.origin.file, found.origin.line) or [{}]
    locations[0]["logicalLocations"] = [
        {
            "name": visible(ref.name),
            "fullyQualifiedName": visible(f"{ref.api_version}/{ref.kind}/{ref.namespace or ''}/{ref.name}"),
            "kind": "resource",
        }
    ]
    return {
        "ruleId": found.check,
        "ruleIndex": index[found.check],
        "level": _LEVEL[found.severity],
        "message": {"text": visible(" ".join(said))},
        "locations": locations,
        "partialFingerprints": {
            f"iocauditHit/{SCHEME}": found.fingerprint,
            f"iocauditFinding/{SCHEME}": found.finding_fingerprint,
        },
        **_fixes(found),
        **_related(parts),
        "properties": {
            "severity": found.severity.label,
            "path": visible(found.hit.place),
            **({"byShape": True} if found.origin.by_shape else {}),
        },
    }


def _related(parts: Sequence[ReportedHit]) -> dict[str, Any]:
    related = [
        {**location, "message": {"text": visible(f"{part.check}: {part.message}")}}
        for part in parts[:_MOST_RELATED]
        for location in _location(part.origin.file, part.origin.line)
    ]
    return {"relatedLocations": related} if related else {}


def _fixes(found: ReportedHit) -> dict[str, Any]:
    """What to put into the file; nothing where the repair is unknown, or the text does not allow it."""
    suggestion, file = found.suggestion, found.origin.file
    if suggestion is None or file is None or not suggestion.changes:
        return {}
    replacements = [
        {
            "deletedRegion": {
                "startLine": change.start_line,
                "startColumn": change.start_column,
                "endLine": change.end_line,
                "endColumn": change.end_column,
            },
            **({"insertedContent": {"text": change.text}} if change.text else {}),
        }
        for change in suggestion.changes
    ]
    risk = "" if suggestion.safe else " It may break the workload: try it first."
    return {
        "fixes": [
            {
                "description": {"text": visible(f"{found.fix}{risk}".strip())},
                "artifactChanges": [{"artifactLocation": _artifact(file), "replacements": replacements}],
            }
        ]
    }


def _waived(waived: WaivedHit, index: dict[str, int]) -> dict[str, Any]:
    """A result that services show as dismissed, with who accepted it and why."""
    why = visible(f"waiver {waived.waiver} until {waived.expires}: {waived.reason}")
    return {
        **_result(waived.found, index),
        "suppressions": [{"kind": "external", "status": "accepted", "justification": why}],
    }


def _ignored(ignored: IgnoredHit, index: dict[str, int]) -> dict[str, Any]:
    """A result that services show as dismissed where it stands, with the reason."""
    return {
        **_result(ignored.found, index),
        "suppressions": [{"kind": "inSource", "status": "accepted", "justification": visible(ignored.reason)}],
    }


def render(report: Report, reading: ReadingSummary, checks: Iterable[Check]) -> str:
    text = orjson.dumps(as_sarif(report, reading, checks), option=orjson.OPT_INDENT_2)
    return json_text(text.decode()) + "\n"
