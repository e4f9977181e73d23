"""What options of several subcommands have in common: words in any case, lists with commas, which cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from iocaudit.core.severity import Severity

_Function = TypeVar("_Function", bound=Callable[..., object])
SEVERITIES = tuple(severity.label for severity in reversed(Severity))


def words(choices: Iterable[str]) -> click.Choice[str]:
    """One of these words, in capitals or not."""
    return click.Choice(list(choices), case_sensitive=False)


def split_commas(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...] | None
) -> tuple[str, ...]:
    """The values of an option that may be given several times, each of which may be several with commas between."""
    return tuple(word for value in given or () for part in value.split(",") if (word := part.strip()))


def _check_ids(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids that a shell offers; in a list with commas, for its last word."""
    from iocaudit.engine.catalogue import indexed_catalogue  # late: only a shell's completion asks

    before, comma, last = incomplete.rpartition(",")
    return [
        CompletionItem(before + comma + check.id, help=check.title)
        for check in indexed_catalogue()
        if check.id.startswith(last)
    ]


def check_ids(name: str, variable: str, what: str) -> Callable[[_Function], _Function]:
    """An option that takes ids of checks."""
    return click.option(
        name,
        variable,
        multiple=True,
        metavar="ID,…",
        callback=split_commas,
        shell_complete=_check_ids,
        help=f"{what} May be repeated.",
    )


def check_argument(function: _Function) -> _Function:
    """The argument that names checks."""
    return click.argument("checks", nargs=-1, metavar="[CHECK]...", shell_complete=_check_ids)(function)


def severity_option(what: str) -> Callable[[_Function], _Function]:
    """``--severity``, the lowest that is shown."""
    return click.option("--severity", "lowest", type=words(SEVERITIES), help=what)


def connection_options(function: _Function) -> _Function:
    """``--context`` and ``--kubeconfig``: which cluster is meant."""
    for option in (
        click.option("--context", metavar="NAME", help="The context of the kubeconfig."),
        click.option(
            "--kubeconfig",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="The kubeconfig  [default: KUBECONFIG, or ~/.kube/config]",
        ),
    ):
        function = option(function)
    return function


rego_option = click.option(
    "--rego",
    multiple=True,
    type=click.Path(allow_dash=False),
    metavar="FOLDER",
    help="Rules in Rego: each *.rego file with deny or violation. May be repeated.",
)
policies_option = click.option(
    "--policy", "policy_files", multiple=True, metavar="FILE", help="The rules that the AuditPolicies in it declare."
)


def files_or_cluster(paths: tuple[str, ...], cluster: bool, context: str | None, kubeconfig: Path | None) -> None:
    """Wrong usage where both or neither are asked about, or a cluster is described that is not asked."""
    if cluster == bool(paths):
        raise click.UsageError("give PATHs to files, - for standard input, or --cluster (and not both)")
    no_connection_without_cluster(cluster, context, kubeconfig)


def no_connection_without_cluster(cluster: bool, context: str | None, kubeconfig: Path | None) -> None:
    """Wrong usage where a cluster is described that is not asked."""
    if not cluster and (context or kubeconfig):
        raise click.UsageError(f"{'--context' if context else '--kubeconfig'} goes with --cluster")


color_option = click.option(
    "--color",
    type=words(("auto", "always", "never")),
    default="auto",
    show_default=True,
    help="When to use colour; auto: on a terminal; NO_COLOR and FORCE_COLOR override it.",
)
