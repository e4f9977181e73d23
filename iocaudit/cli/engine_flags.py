"""The options of webhook and operator that say where rules in Rego are evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from iocaudit.live.engine_options import EngineOptions

_OWNER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_Command = TypeVar("_Command", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "--rego",
        type=click.Choice(["embedded", "remote"]),
        default="embedded",
        show_default=True,
        help="Evaluate rules in Rego with an OPA that this process starts, or with one that runs elsewhere.",
    ),
    click.option("--opa-url", metavar="URL", help="With --rego remote: where OPA answers, as https://HOST:PORT."),
    click.option(
        "--opa-token-file",
        type=click.Path(path_type=Path),
        help="With --rego remote: file with the token to present; read again whenever it changes.",
    ),
    click.option(
        "--opa-ca-file",
        type=click.Path(path_type=Path),
        help="With --rego remote: file with the certificate authority of OPA.",
    ),
    click.option(
        "--opa-owner",
        metavar="NAME",
        help="With --rego remote: whose rules these are, where several clusters share an OPA; the same for operator "
        "and webhook  [default: iocaudit]",
    ),
    click.option(
        "--opa-allow-reaching-out",
        is_flag=True,
        help="With --rego remote: take an OPA whose rules can call out, such as by http.send.",
    ),
)
_LOAD = click.option(
    "--opa-load/--no-opa-load",
    default=True,
    show_default=True,
    help="With --rego remote: load the rules into OPA. One process of a cluster does; the webhook never does.",
)


def engine_flags(*, loads: bool) -> Callable[[_Command], _Command]:
    """Adds the options to a command, which is handed their values by name; with ``loads`` also whether to load."""

    def add(command: _Command) -> _Command:
        for option in reversed((*_OPTIONS, *((_LOAD,) if loads else ()))):
            command = option(command)
        return command

    return add


def engine_options(
    *,
    rego: str,
    opa_url: str | None,
    opa_token_file: Path | None,
    opa_ca_file: Path | None,
    opa_owner: str | None,
    opa_allow_reaching_out: bool,
    opa_load: bool = False,
) -> EngineOptions:
    """What the values mean. Raises click.UsageError where they do not go together."""
    from iocaudit.live.engine_options import EngineOptions, RegoMode

    mode = RegoMode(rego)
    if mode is RegoMode.REMOTE:
        if not opa_url or not opa_url.startswith(("https://", "http://")):
            raise click.UsageError("--rego remote needs --opa-url with the address of OPA, as https://HOST:PORT")
        if opa_owner is not None and not _OWNER.fullmatch(opa_owner):
            raise click.UsageError(f"--opa-owner {opa_owner!r}: write lower-case words and digits joined by '-'")
    else:
        given = {
            "--opa-url": opa_url,
            "--opa-token-file": opa_token_file,
            "--opa-ca-file": opa_ca_file,
            "--opa-owner": opa_owner,
            "--opa-allow-reaching-out": opa_allow_reaching_out,
        }
        if wrong := [name for name, value in given.items() if value]:
            raise click.UsageError(f"{wrong[0]} is for --rego remote: with embedded, each process starts its own OPA")
    return EngineOptions(
        mode,
        opa_url or "",
        opa_token_file,
        opa_ca_file,
        **({"opa_owner": opa_owner} if opa_owner else {}),
        loads=opa_load,
        allow_reaching_out=opa_allow_reaching_out,
    )
