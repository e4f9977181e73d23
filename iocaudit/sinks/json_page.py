"""The page about the JSON report, from its schema: what each field means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.sinks.blocks.blocks import Block, Grid, Heading, Line, Paragraph, Span, code, prose

_SCHEMA = "../iocaudit/sinks/report.schema.json"
_PARTS = {
    "finding": "A hit: an entry of `findings`",
    "waived": "A waived hit: an entry of `waived`",
    "ignored": "An ignored hit: an entry of `ignored`",
    "notEvaluated": "What was not evaluated: an entry of `skipped` and `faults`",
    "subject": "`subject`",
    "operation": "An operation of `patch`",
    "summary": "`summary`",
}
"""The definitions in the order that they are told, with their headings."""


def json_page(schema: Mapping[str, Any]) -> Iterator[Block]:
    """The report as a whole, then each of its parts.

    Raises ValueError for a definition without a heading, KeyError for a field without a description.
    """
    yield Heading(1, prose("The JSON report"))
    yield Paragraph(
        (
            Span(
                "What `iocaudit scan -o json` writes: UTF-8, one document a run, with these fields. Fields may be "
                "added; none changes its meaning. The same as a JSON schema: "
            ),
            Span("report.schema.json", "code", _SCHEMA),
            Span("."),
        )
    )
    yield _fields(schema)
    for name in sorted(schema["$defs"], key=list(_PARTS).index):
        yield Heading(2, prose(_PARTS[name]))
        yield _fields(schema["$defs"][name])


def _fields(of: Mapping[str, Any]) -> Grid:
    required = set(of.get("required", ()))
    rows = []
    for name, field in of["properties"].items():
        told = field["description"]
        optional = "" if name in required or "absent" in told else " Absent where it does not apply."
        rows.append((code(name), _type(field), prose(told + optional)))
    return Grid(("field", "type", "what it is"), tuple(rows))


def _type(field: Mapping[str, Any]) -> Line:
    if "$ref" in field:
        return prose("object")
    if "enum" in field:
        return prose(" or ".join(f"`{json.dumps(value)}`" for value in field["enum"]))
    if "const" in field:
        return code(json.dumps(field["const"]))
    types = field.get("type", "any")
    return prose(" or ".join(types) if isinstance(types, list) else types)
