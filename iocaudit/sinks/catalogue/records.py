"""The checks as JSON, for programs: ``catalogue.schema.json`` beside this file is the schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from iocaudit.core.check import Check
from iocaudit.engine.presets import denying
from iocaudit.knowledge.controls import controls_of
from iocaudit.sinks.catalogue.page import example_parameters


def render(checks: Iterable[Check]) -> str:
    return orjson.dumps([record(check) for check in checks], option=orjson.OPT_INDENT_2).decode() + "\n"


def record(check: Check) -> dict[str, Any]:
    """Everything a declaration says."""
    doc = check.doc
    return {
        "id": check.id,
        "aliases": list(check.aliases),
        "title": doc.title,
        "why": doc.why,
        "fix": doc.fix,
        "sources": doc.sources,
        "severity": check.severity.label,
        "worst": check.worst.label,
        "deniedBy": [preset.value for preset in denying(check)],
        "iocs": [int(ioc) for ioc in check.iocs],
        "group": check.group,
        "profile": check.profile,
        "kinds": [str(kind) for kind in check.looks_at],
        "needs": [str(kind) for kind in check.needs],
        "uses": [str(kind) for kind in check.uses],
        "inAudits": [str(kind) for kind in check.in_audits],
        "inFiles": [str(kind) for kind in check.in_files],
        "auditOnly": check.audit_only,
        "admissionOnly": check.admission_only,
        "operations": sorted(check.operations) if not check.audit_only else [],
        "controls": [
            {
                "framework": control.framework.key,
                "edition": control.edition,
                "id": control.id,
                "title": control.title,
                "url": control.link,
            }
            for control in controls_of(check.controls)
        ],
        "parameters": [
            {
                "name": parameter.name,
                "description": parameter.description,
                "schema": dict(parameter.schema),
                "default": parameter.default,
                "strictDefault": parameter.default if parameter.strict is None else parameter.strict,
                "required": parameter.required,
                "unless": list(parameter.unless),
            }
            for parameter in check.parameters
        ],
        "examples": {
            "bad": doc.bad,
            "good": doc.good,
            "parameters": example_parameters(check, doc) if doc.policy else {},
        },
    }
