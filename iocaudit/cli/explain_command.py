"""``iocaudit explain CHECK``: a check's page in the terminal."""

from __future__ import annotations

import sys

import click

from iocaudit.cli.params import check_argument, color_option
from iocaudit.cli.select import known_check
from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import builtin_catalogue

_ALL = "all"


class _IoCType(click.ParamType[str]):
    """The number of an indicator, or all of them."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = str(value).lower()
        if word != _ALL and not (word.isdecimal() and 1 <= int(word) <= len(IoC)):
            self.fail(f"{value!r} is not a number from 1 to {len(IoC)}", param, ctx)
        return word


@click.command("explain")
@check_argument
@click.option(
    "--ioc",
    type=_IoCType(),
    is_flag=False,
    flag_value=_ALL,
    metavar="[NUMBER]",
    help="What an indicator of compromise is, and its checks; without a number the ten of them.",
)
@color_option
def command(checks: tuple[str, ...], ioc: str | None, color: str) -> int:
    """Explain checks: what each flags and why, a bad and a good manifest, the fix, parameters and controls.

    A check is named by its id, or by one that it had before.
    """
    if not checks and ioc is None:
        raise click.UsageError("name a check, or give --ioc (iocaudit checks lists the checks)")
    from iocaudit.sinks.catalogue.index import all_iocs, of_ioc  # late: after usage is known good
    from iocaudit.sinks.catalogue.page import page, published
    from iocaudit.sinks.catalogue.terminal import show
    from iocaudit.sinks.look import look_of

    catalogue = builtin_catalogue()
    found = list(dict.fromkeys(known_check(catalogue, name) for name in checks))
    pages = []
    if ioc is not None:
        pages.append(list(all_iocs(catalogue) if ioc == _ALL else of_ioc(IoC(int(ioc)), catalogue)))
    pages += [[*page(check, catalogue), published(check)] for check in found]
    look = look_of(sys.stdout, color)
    for index, blocks in enumerate(pages):
        if index:
            click.echo("\n" + "-" * 72 + "\n")
        show(blocks, look=look)
    return 0
