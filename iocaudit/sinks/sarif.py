"""SARIF 2.1.0 (OASIS), as code scanning services read it."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import orjson

from iocaudit import __version__
from iocaudit.core.check import Check
from iocaudit.core.check_doc import doc_of
from iocaudit.core.report import Found, Report, Waived
from iocaudit.core.severity import Severity
from iocaudit.sinks.escape import visible
from iocaudit.sinks.summary import ReadingSummary

_LEVEL = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
# The numbers code scanning services sort by ("security-severity", CVSS-like).
_SCORE = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.0"}


def as_sarif(report: Report, reading: ReadingSummary, checks: Iterable[Check]) -> dict[str, Any]:
    """One run with every rule of the catalogue, one result a hit, and what went wrong as notifications."""
    rules = sorted(checks, key=lambda check: check.id)
    index = {check.id: number for number, check in enumerate(rules)}
    notifications = [_notification("error", str(error), error.file, error.line) for error in reading.errors]
    for fault in report.faults:
        notifications.append(
            _notification("error", f"{fault.check}: {fault.subject}: {fault.error}", _file(fault), None)
        )
    for skipped in report.skipped:
        name = f"{skipped.check}: " if skipped.check else ""
        notifications.append(_notification("note", f"{name}{skipped.subject}: {skipped.reason}", _file(skipped), None))
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "iocaudit",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": [_rule(check) for check in rules],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": not (reading.errors or report.faults),
                        "toolExecutionNotifications": notifications,
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [
                    *(_result(found, index) for found in report.found),
                    *(_waived(waived, index) for waived in report.waived),
                ],
            }
        ],
    }


def _file(entry: Any) -> str | None:
    return entry.origin.file if entry.origin else None


def _rule(check: Check) -> dict[str, Any]:
    doc = doc_of(check)
    return {
        "id": check.id,
        "shortDescription": {"text": doc.title},
        "fullDescription": {"text": doc.why or doc.title},
        "help": {"text": doc.fix or doc.title},
        "defaultConfiguration": {"level": _LEVEL[check.severity]},
        "properties": {
            "tags": ["security", "kubernetes", *(f"ioc-{int(ioc)}" for ioc in check.iocs)],
            "security-severity": _SCORE[check.severity],
            **({"controls": dict(sorted(check.controls.items()))} if check.controls else {}),
        },
    }


def _location(file: str | None, line: int | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(file.replace("\\", "/"))}}
    if line:
        physical["region"] = {"startLine": line}
    return [{"physicalLocation": physical}]


def _notification(level: str, message: str, file: str | None, line: int | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"level": level, "message": {"text": visible(message)}}
    if locations := _location(file, line):
        entry["locations"] = locations
    return entry


def _result(found: Found, index: dict[str, int]) -> dict[str, Any]:
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
        "message": {"text": visible(found.message + (f" Fix: {found.fix}" if found.fix else ""))},
        "locations": locations,
        "partialFingerprints": {
            "iocauditHit/v1": found.fingerprint,
            "iocauditFinding/v1": found.finding_fingerprint,
        },
        "properties": {"severity": found.severity.label, "path": visible(found.hit.place)},
    }


def _waived(waived: Waived, index: dict[str, int]) -> dict[str, Any]:
    """A result that services show as dismissed, with who accepted it and why."""
    why = visible(f"waiver {waived.waiver} until {waived.expires}: {waived.reason}")
    return {
        **_result(waived.found, index),
        "suppressions": [{"kind": "external", "status": "accepted", "justification": why}],
    }


def render(report: Report, reading: ReadingSummary, checks: Iterable[Check]) -> str:
    return orjson.dumps(as_sarif(report, reading, checks), option=orjson.OPT_INDENT_2).decode() + "\n"
