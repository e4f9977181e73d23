"""``iocaudit explain CHECK``: what, why, bad, good, fix."""

import textwrap

import click

from iocaudit.cli.select import known_check
from iocaudit.core.check import Check
from iocaudit.core.check_doc import doc_of
from iocaudit.engine.catalogue import builtin_catalogue


@click.command("explain")
@click.argument("check")
def command(check: str) -> int:
    """Explain one check: what it flags and why, a bad and a good manifest, and the fix."""
    click.echo(explanation(known_check(builtin_catalogue(), check)))
    return 0


def explanation(check: Check) -> str:
    """The text a terminal shows."""
    doc = doc_of(check)
    parts = [
        f"{check.id}: {doc.title}",
        f"severity {check.severity.label}, profile {check.profile}, IoC "
        + "; ".join(f"{int(ioc)} {ioc.title}" for ioc in check.iocs),
        doc.why,
    ]
    if check.parameters:
        parts.append(
            "Parameters:\n"
            + "\n".join(
                f"  {p.name}{' (required)' if p.required else f' (default {p.default!r})'}: {p.description}"
                for p in check.parameters
            )
        )
    for title, body in (("Bad", doc.bad), ("Good", doc.good), ("Under the parameters", doc.policy)):
        if body:
            parts.append(f"{title}:\n" + textwrap.indent(body.rstrip(), "  "))
    if doc.fix:
        parts.append(f"Fix: {doc.fix}")
    if check.controls:
        parts.append("Controls: " + ", ".join(f"{name} {value}" for name, value in check.controls.items()))
    if doc.sources:
        parts.append(f"Sources: {doc.sources}")
    return "\n\n".join(parts)
