"""``iocaudit completion SHELL``: a script for the shell, which asks the program itself for what fits."""

import click
from click.shell_completion import get_completion_class

from iocaudit.cli.params import words

_PROGRAM = "iocaudit"
_VARIABLE = "_IOCAUDIT_COMPLETE"
"""The variable by which click's scripts ask; it follows from the program's name."""


@click.command("completion")
@click.argument("shell", type=words(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print what completes commands, options, their values and check ids.

    \b
    bash: iocaudit completion bash > ~/.local/share/bash-completion/completions/iocaudit
    zsh:  iocaudit completion zsh > "${fpath[1]}/_iocaudit"
    fish: iocaudit completion fish > ~/.config/fish/completions/iocaudit.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    script = made(ctx.find_root().command, {}, _PROGRAM, _VARIABLE)
    # its own source() would run the shell to ask for its version
    click.echo(script.source_template % script.source_vars(), nl=False)
    return 0
