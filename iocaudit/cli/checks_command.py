"""``iocaudit checks``: the catalogue as a table, JSON or Markdown."""

import click

from iocaudit.core.severity import IoC, Severity
from iocaudit.engine.catalogue import builtin_catalogue


@click.command("checks")
@click.option("-o", "--output", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True)
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="Only checks of this group.")
@click.option("--profile", type=click.Choice(["default", "strict"]), help="Only checks that this profile adds.")
@click.option(
    "--severity",
    "severities",
    multiple=True,
    type=click.Choice([severity.label for severity in reversed(Severity)]),
    help="Only checks of this severity.",
)
@click.option("--ioc", "iocs", multiple=True, type=click.IntRange(1, len(IoC)), help="Only checks of this IoC.")
def command(
    output: str, groups: tuple[str, ...], profile: str | None, severities: tuple[str, ...], iocs: tuple[int, ...]
) -> int:
    """List the checks: id, severity, IoC, profile, what is flagged.

    An option that is given several times takes any of its values; different options all have to hold.
    """
    from iocaudit.sinks.catalogue.index import in_order  # late: nothing of it is needed for --help

    catalogue = builtin_catalogue()
    for group in groups:
        if group not in catalogue.groups:
            raise click.UsageError(f"there is no group {group!r} (groups: {', '.join(sorted(catalogue.groups))})")
    checks = [
        check
        for check in in_order(catalogue)
        if (not groups or check.group in groups)
        and profile in (None, check.profile)
        and (not severities or check.severity.label in severities)
        and (not iocs or any(int(ioc) in iocs for ioc in check.iocs))
    ]
    if output == "json":
        from iocaudit.sinks.catalogue import records

        click.echo(records.render(checks), nl=False)
    elif output == "markdown":
        from iocaudit.sinks.catalogue.index import table
        from iocaudit.sinks.catalogue.markdown import as_markdown

        click.echo(as_markdown([table(checks)], links=False), nl=False)
    else:
        from iocaudit.sinks.columns import columns

        rows = [
            (c.id, c.severity.label, ",".join(str(int(ioc)) for ioc in c.iocs), c.profile, c.group, c.title)
            for c in checks
        ]
        click.echo(columns(("CHECK", "SEVERITY", "IOC", "PROFILE", "GROUP", "FLAGS"), rows), nl=False)
    return 0
