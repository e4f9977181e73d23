"""``iocaudit engines``: the programs that evaluate rules in Rego and CEL: which there are, and how one is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import click

from iocaudit.cli.groups import CommandGroup
from iocaudit.cli.params import words
from iocaudit.engine.languages.evaluator import EngineMissingError
from iocaudit.engine.languages.programs import compile_program, find_program, look_for, reported_version
from iocaudit.engine.languages.sources import Engine, shipped
from iocaudit.sinks.columns import columns

_INSTALL = "iocaudit engines install"


class _EngineRow(NamedTuple):
    program: str
    version: str
    where: str
    state: str


@click.group("engines", cls=CommandGroup, invoke_without_command=True)
@click.option("-o", "--output", type=words(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(context: click.Context, output: str) -> int:
    """List the programs that evaluate rules in Rego and CEL, or install them.

    Each is looked for on PATH, then in the cache folder ($IOCAUDIT_CACHE, else ~/.cache/iocaudit). Exit code: 2 if one
    is missing.
    """
    if context.invoked_subcommand is not None:
        return 0
    rows = [row for engine in shipped() for row in _rows(engine)]
    if output == "json":
        click.echo(json.dumps({"engines": [row._asdict() for row in rows]}, indent=2))
    else:
        click.echo(columns(("PROGRAM", "VERSION", "WHERE", "STATE"), rows), nl=False)
    missing = [engine for engine in shipped() if not any(not found.refused for found in look_for(engine))]
    if missing:
        names = " and ".join(engine.program for engine in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise EngineMissingError(f"{names} {verb} not installed: {_INSTALL} {' '.join(missing)}")
    return 0


def _rows(engine: Engine) -> Iterator[_EngineRow]:
    used = False
    for found in look_for(engine):
        reported = reported_version(found.path)
        version = reported.version if reported is not None else ""
        state = f"refused: {found.refused}" if found.refused else "found as well" if used else "in use"
        used |= not found.refused
        yield _EngineRow(engine.program, version, f"{found.place}: {found.path}", state)
    if not used:
        yield _EngineRow(engine.program, "", "", f"missing: {_INSTALL} {engine}")


@command.command("install")
@click.argument("names", nargs=-1, metavar="[opa] [cel]", type=words([engine.value for engine in Engine]))
def install_command(names: tuple[str, ...]) -> int:
    """Compile the programs into the cache folder with Go, all or those that are named.

    Needs Go on PATH, and the network once for the modules. One that is in the cache folder already stays as it is. The
    image of the auditor holds both. Exit code: 2 if one could not be compiled.
    """
    for engine in [Engine(name) for name in names] or shipped():
        path = compile_program(engine)
        reported = reported_version(path)
        version = f" {reported.version}" if reported is not None else ""
        click.echo(f"{engine.program}{version} is installed: {path}")
        if (found := find_program(engine)) != path:
            click.echo(f"note: {found} comes first, since it is on PATH", err=True)
    return 0
