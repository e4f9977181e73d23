"""``iocaudit version``: the same as ``iocaudit --version``."""

import click

from iocaudit import __version__


@click.command("version")
def command() -> int:
    """Print the version."""
    click.echo(f"iocaudit, version {__version__}")
    return 0
