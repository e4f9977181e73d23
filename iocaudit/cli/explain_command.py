"""``iocaudit explain CHECK``: a check's page in the terminal."""

import click

from iocaudit.cli.select import known_check
from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import builtin_catalogue


@click.command("explain")
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@click.option("--ioc", type=click.IntRange(1, len(IoC)), help="What an indicator of compromise is, and its checks.")
def command(checks: tuple[str, ...], ioc: int | None) -> int:
    """Explain checks: what each flags and why, a bad and a good manifest, the fix, parameters and controls.

    A check is named by its id, or by one that it had before.
    """
    if not checks and ioc is None:
        raise click.UsageError("name a check, or give --ioc NUMBER (iocaudit checks lists the checks)")
    from iocaudit.sinks.catalogue.index import of_ioc  # late: after usage is known good
    from iocaudit.sinks.catalogue.page import page
    from iocaudit.sinks.catalogue.terminal import show

    catalogue = builtin_catalogue()
    found = list(dict.fromkeys(known_check(catalogue, name) for name in checks))
    pages = [list(of_ioc(IoC(ioc), catalogue))] if ioc is not None else []
    pages += [list(page(check, catalogue)) for check in found]
    for index, blocks in enumerate(pages):
        if index:
            click.echo("\n" + "-" * 72 + "\n")
        show(blocks)
    return 0
