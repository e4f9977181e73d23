"""Groups of commands whose help is not cut and whose errors suggest what is near."""

from __future__ import annotations

from collections.abc import Iterable

import click

from iocaudit.cli.near import near_words


class CommandGroup(click.Group):
    """As click's, with whole sentences in the list of its commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = near_words(args[0], self.list_commands(ctx))
            hint = f" (did you mean {', '.join(near)}?)" if near else f" ({ctx.command_path} --help lists them)"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in found if one is not None])


def hint_of(given: str, known: Iterable[str], plural: str) -> str:
    """``" (did you mean x?)"`` for what is near to a known word, else all of them: ``" (groups: a, b)"``."""
    words = sorted(known)
    near = near_words(given, words)
    return f" (did you mean {', '.join(near)}?)" if near else f" ({plural}: {', '.join(words)})"


def unknown_option(error: click.NoSuchOption) -> click.UsageError:
    """The error of an unknown option, which suggests only what is near."""
    known: list[str] = []
    if error.ctx is not None:
        for parameter in error.ctx.command.get_params(error.ctx):
            known += [name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")]
    near = near_words(error.option_name, known)
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    return click.UsageError(f"there is no option {error.option_name}{hint}", error.ctx)
