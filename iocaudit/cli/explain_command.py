"""``iocaudit explain CHECK``: a check's page in the terminal."""

from __future__ import annotations

import sys

import click

from iocaudit.cli.params import check_argument, color_option, policies_option, rego_option
from iocaudit.cli.select import known_check
from iocaudit.core.check import OWN_PREFIX
from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import installed_catalogue

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
@rego_option
@policies_option
@color_option
def command(
    checks: tuple[str, ...], ioc: str | None, rego: tuple[str, ...], policy_files: tuple[str, ...], color: str
) -> int:
    """Explain checks: what each flags and why, a bad and a good manifest, the fix, parameters and controls.

    A check is named by its id, or by one that it had before.
    """
    if not checks and ioc is None:
        raise click.UsageError("name a check, or give --ioc (iocaudit checks lists the checks)")
    from iocaudit.scanning.rules import catalogue_with
    from iocaudit.sinks.blocks.terminal import show
    from iocaudit.sinks.catalogue.index import all_iocs, of_ioc  # late: after usage is known good
    from iocaudit.sinks.catalogue.page import page, published
    from iocaudit.sinks.look import look_of

    catalogue = catalogue_with(installed_catalogue(), rego, policy_files)
    found = list(dict.fromkeys(known_check(catalogue, name) for name in checks))
    pages = []
    if ioc is not None:
        pages.append(list(all_iocs(catalogue) if ioc == _ALL else of_ioc(IoC(int(ioc)), catalogue)))
    own = [check for check in found if check.id.startswith(OWN_PREFIX) or check.asks]
    pages += [[*page(check, catalogue), *([] if check in own else [published(check)])] for check in found]
    look = look_of(sys.stdout, color)
    for index, blocks in enumerate(pages):
        if index:
            click.echo("\n" + "-" * 72 + "\n")
        show(blocks, look=look)
    return 0
