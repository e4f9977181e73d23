"""``iocaudit checks``: the catalogue as a table or JSON."""

from typing import Any

import click
import orjson

from iocaudit.core.check import Check
from iocaudit.core.check_doc import doc_of
from iocaudit.engine.catalogue import builtin_catalogue


@click.command("checks")
@click.option("-o", "--output", type=click.Choice(["table", "json", "markdown"]), default="table")
def command(output: str) -> int:
    """List the checks: id, severity, IoC, profile, what is flagged."""
    checks = sorted(builtin_catalogue(), key=lambda check: (check.group, check.id))
    if output == "json":
        click.echo(orjson.dumps([as_json(check) for check in checks], option=orjson.OPT_INDENT_2).decode())
    elif output == "markdown":
        click.echo(as_markdown(checks), nl=False)
    else:
        width = max(len(check.id) for check in checks)
        for check in checks:
            iocs = ",".join(str(int(ioc)) for ioc in check.iocs)
            click.echo(f"{check.id:<{width}}  {check.severity.label:<8}  {iocs:<5}  {check.profile:<7}  {check.title}")
    return 0


def as_json(check: Check) -> dict[str, Any]:
    doc = doc_of(check)
    return {
        "id": check.id,
        "title": doc.title,
        "severity": check.severity.label,
        "iocs": [int(ioc) for ioc in check.iocs],
        "group": check.group,
        "profile": check.profile,
        "kinds": [str(kind) for kind in check.looks_at],
        "needs": [str(kind) for kind in (*check.needs, *check.uses)],
        "auditOnly": check.audit_only,
        "admissionOnly": check.admission_only,
        "controls": dict(check.controls),
        "aliases": list(check.aliases),
        "parameters": [
            {
                "name": parameter.name,
                "description": parameter.description,
                "schema": dict(parameter.schema),
                "default": parameter.default,
                "required": parameter.required,
            }
            for parameter in check.parameters
        ],
        "fix": doc.fix,
    }


def as_markdown(checks: list[Check]) -> str:
    """The table of the README."""
    lines = ["| check | severity | IoC | flags |", "|---|---|---|---|"]
    for check in checks:
        iocs = ", ".join(str(int(ioc)) for ioc in check.iocs)
        strict = " (strict)" if check.profile == "strict" else ""
        lines.append(f"| `{check.id}` | {check.severity.label} | {iocs} | {check.title}{strict} |")
    return "\n".join(lines) + "\n"
