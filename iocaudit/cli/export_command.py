"""``iocaudit export``: the policies in force in the words of something else."""

from __future__ import annotations

import click

from iocaudit.cli.export_vap import command as vap
from iocaudit.cli.groups import CommandGroup


@click.group("export", cls=CommandGroup)
def command() -> None:
    """Write what the policies in force deny in the words of another program."""


command.add_command(vap)
