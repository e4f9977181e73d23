"""The JSON output: one entry a hit, with ``impliedBy`` where another is its cause; see ``report.schema.json``."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from iocaudit.core.check import Check
from iocaudit.core.links import check_url
from iocaudit.core.repair import Suggestion
from iocaudit.core.report import Fault, Report, ReportedHit, Skipped
from iocaudit.core.resource import Ref
from iocaudit.core.yaml_write import block
from iocaudit.sinks.escape import json_text
from iocaudit.sinks.summary import ReadingSummary, summary_of


def subject_json(ref: Ref) -> dict[str, Any]:
    """``{"apiVersion", "kind", "namespace", "name"}``; an unset namespace stays null."""
    return {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def finding_json(found: ReportedHit, controls: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One hit. With a repair it carries its JSON Patch, the same as YAML, and whether it is safe.

    ``controls`` are the identifiers that its check speaks to, by framework.
    """
    return {
        "check": found.check,
        "severity": found.severity.label,
        "iocs": [int(ioc) for ioc in found.iocs],
        "subject": subject_json(found.subject),
        "path": found.hit.place,
        "message": found.message,
        "evidence": found.hit.evidence,
        "fix": found.fix,
        "file": found.origin.file,
        "line": found.origin.line,
        "fingerprint": found.fingerprint,
        "findingFingerprint": found.finding_fingerprint,
        **({"byShape": True} if found.origin.by_shape else {}),
        "controls": controls or {},
        "url": check_url(found.check),
        **(_suggestion(found.suggestion) if found.suggestion else {}),
    }


def _hit_json(found: ReportedHit, controls: Mapping[str, str] | None, cause: str | None) -> dict[str, Any]:
    """``cause`` is the fingerprint of the hit that implies it."""
    hit = finding_json(found, controls)
    return hit if cause is None else {**hit, "impliedBy": cause}


def _suggestion(suggestion: Suggestion) -> dict[str, Any]:
    patch = list(suggestion.patch)
    return {"patch": patch, "patchYaml": block(patch), "safe": suggestion.safe}


def _not_evaluated(entry: Skipped | Fault, reason: str) -> dict[str, Any]:
    return {
        "check": entry.check,
        "subject": subject_json(entry.subject) if entry.subject else None,
        "reason": reason,
        "file": entry.origin.file if entry.origin else None,
        "line": entry.origin.line if entry.origin else None,
    }


def as_json(report: Report, reading: ReadingSummary, checks: Iterable[Check]) -> dict[str, Any]:
    """The whole report as plain data. ``checks`` are those that ran: their controls stand with their hits."""
    controls = {check.id: dict(sorted(check.controls.items())) for check in checks}
    causes = {id(one.found): one.by.fingerprint for one in report.implied}
    return {
        "findings": [_hit_json(found, controls.get(found.check), causes.get(id(found))) for found in report.hits],
        "waived": [
            {
                **finding_json(one.found, controls.get(one.found.check)),
                "waiver": one.waiver,
                "reason": one.reason,
                "expires": one.expires,
            }
            for one in report.waived
        ],
        "ignored": [
            {**finding_json(one.found, controls.get(one.found.check)), "reason": one.reason} for one in report.ignored
        ],
        "skipped": [_not_evaluated(entry, entry.reason) for entry in report.skipped],
        "notConfigured": [
            {"check": check, "parameters": list(missing)} for check, missing in report.not_configured.items()
        ],
        "faults": [_not_evaluated(entry, entry.error) for entry in report.faults],
        "errors": [{"file": error.file, "line": error.line, "reason": error.reason} for error in reading.errors],
        "notes": list(reading.notes),
        "summary": summary_of(report, reading),
    }


def render(report: Report, reading: ReadingSummary, checks: Iterable[Check]) -> str:
    """The text of the whole report."""
    data = as_json(report, reading, checks)
    try:
        text = orjson.dumps(data, option=orjson.OPT_INDENT_2)
    except TypeError:
        # a file name that is not UTF-8: the only text here that may not be
        text = orjson.dumps(_encodable(data), option=orjson.OPT_INDENT_2)
    return json_text(text.decode()) + "\n"


def _encodable(value: Any) -> Any:
    """The same with every byte that is not UTF-8 spelled out."""
    if isinstance(value, dict):
        return {key: _encodable(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_encodable(child) for child in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
