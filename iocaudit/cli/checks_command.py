"""``iocaudit checks``: the catalogue as a table, JSON or Markdown."""

from __future__ import annotations

from collections.abc import Iterable

import click

from iocaudit.cli.groups import hint_of
from iocaudit.cli.params import SEVERITIES, policies_option, rego_option, split_commas, words
from iocaudit.core.check import Check
from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import installed_catalogue

_WIDE = 120
"""From how many columns on profile and group have columns of their own."""


@click.command("checks")
@click.option("-o", "--output", type=words(["table", "json", "markdown"]), default="table", show_default=True)
@click.option("--group", "groups", multiple=True, metavar="GROUP,…", callback=split_commas, help="Only these groups.")
@click.option("--profile", type=words(["default", "strict"]), help="Only checks that this profile adds.")
@click.option("--severity", "severities", multiple=True, type=words(SEVERITIES), help="Only checks of this severity.")
@click.option("--ioc", "iocs", multiple=True, type=click.IntRange(1, len(IoC)), help="Only checks of this IoC.")
@rego_option
@policies_option
@click.option("--unset", is_flag=True, help="Only checks that run once a policy sets a parameter, and which.")
def command(
    output: str,
    groups: tuple[str, ...],
    profile: str | None,
    severities: tuple[str, ...],
    iocs: tuple[int, ...],
    rego: tuple[str, ...],
    policy_files: tuple[str, ...],
    unset: bool,
) -> int:
    """List the checks: id, severity, IoC, profile, what is flagged.

    An option that is given several times takes any of its values; different options all have to hold.
    """
    from iocaudit.scanning.rules import catalogue_with
    from iocaudit.sinks.catalogue.index import in_order  # late: nothing of it is needed for --help

    catalogue = catalogue_with(installed_catalogue(), rego, policy_files)
    wanted = {group.lower() for group in groups}
    for group in sorted(wanted - catalogue.groups):
        raise click.UsageError(f"there is no group {group!r}{hint_of(group, catalogue.groups, 'groups')}")
    checks = [
        check
        for check in in_order(catalogue)
        if (not wanted or check.group in wanted)
        and profile in (None, check.profile)
        and (not severities or check.severity.label in severities)
        and (not iocs or any(int(ioc) in iocs for ioc in check.iocs))
        and (not unset or any(parameter.required for parameter in check.parameters))
    ]
    if output == "json":
        from iocaudit.sinks.catalogue import records

        click.echo(records.render(checks), nl=False)
    elif output == "markdown":
        from iocaudit.sinks.blocks.markdown import as_markdown
        from iocaudit.sinks.catalogue.index import table

        click.echo(as_markdown([table(checks)], links=False), nl=False)
    else:
        _print(checks, unset=unset)
    return 0


def _print(checks: Iterable[Check], *, unset: bool) -> None:
    import sys

    from iocaudit.sinks.columns import columns
    from iocaudit.sinks.look import width_of

    width = width_of(sys.stdout)
    if unset:
        rows = [(check.id, one.name, one.description) for check in checks for one in check.parameters if one.required]
        click.echo(columns(("CHECK", "PARAMETER", "WHAT IT IS"), rows, width), nl=False)
        click.echo("An AuditPolicy sets them: iocaudit explain CHECK shows one for each check.")
        return
    whole = width is None or width >= _WIDE
    listed = []
    for c in checks:
        iocs = ",".join(str(int(ioc)) for ioc in c.iocs)
        strict = "" if whole or c.profile == "default" else f" ({c.profile})"
        listed.append((c.id, c.severity.label, iocs, *((c.profile, c.group) if whole else ()), c.title + strict))
    header = ("CHECK", "SEVERITY", "IOC", *(("PROFILE", "GROUP") if whole else ()), "FLAGS")
    click.echo(columns(header, listed, width), nl=False)
