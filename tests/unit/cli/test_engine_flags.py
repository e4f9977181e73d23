"""Where rules in Rego are evaluated, as webhook and operator are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from admission import main as webhook
from admission.options import WebhookOptions
from iocaudit.cli.operator_command import command as operator_command
from iocaudit.cli.webhook_command import command as webhook_command
from iocaudit.controller import main as operator
from iocaudit.controller.options import OperatorOptions
from iocaudit.live.engine_options import EngineOptions, RegoMode

URL = "https://opa.example:8181"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[EngineOptions]:
    found: list[EngineOptions] = []

    def take(options: WebhookOptions | OperatorOptions) -> None:
        found.append(options.engines)

    monkeypatch.setattr(webhook, "main", take)
    monkeypatch.setattr(operator, "main", take)
    return found


def run(command: Any, *arguments: str) -> tuple[int, str]:
    given = ["--certificates=/tmp"] if command is webhook_command else []
    result = CliRunner().invoke(command, [*given, *arguments], standalone_mode=True)
    return result.exit_code, result.output


@pytest.mark.parametrize("command", [webhook_command, operator_command], ids=["webhook", "operator"])
def test_each_process_has_its_own_opa_unless_it_is_told_otherwise(command: Any, told: list[EngineOptions]) -> None:
    run(command)
    assert [one.rego for one in told] == [RegoMode.EMBEDDED]


def test_of_one_elsewhere_the_operator_loads_it_and_the_webhook_asks(told: list[EngineOptions]) -> None:
    more = ("--rego=remote", f"--opa-url={URL}", "--opa-token-file=/t", "--opa-ca-file=/c")
    for command in (webhook_command, operator_command):
        run(command, *more)
    run(operator_command, *more, "--no-opa-load", "--opa-allow-reaching-out")
    run(webhook_command, *more, "--opa-owner=east")
    same = {"rego": RegoMode.REMOTE, "opa_url": URL, "opa_token_file": Path("/t"), "opa_ca_file": Path("/c")}
    assert told == [
        EngineOptions(**same, loads=False),  # type: ignore[arg-type]
        EngineOptions(**same, loads=True),  # type: ignore[arg-type]
        EngineOptions(**same, loads=False, allow_reaching_out=True),  # type: ignore[arg-type]
        EngineOptions(**same, opa_owner="east"),  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rego=remote",), "--rego remote needs --opa-url"),
        (("--rego=remote", "--opa-url=opa:8181"), "as https://HOST:PORT"),
        ((f"--opa-url={URL}",), "--opa-url is for --rego remote"),
        (("--rego=remote", f"--opa-url={URL}", "--opa-owner=A/b"), "--opa-owner 'A/b': write lower-case words"),
        (("--opa-owner=east",), "--opa-owner is for --rego remote"),
        (("--opa-token-file=/t",), "--opa-token-file is for --rego remote"),
        (("--opa-allow-reaching-out",), "--opa-allow-reaching-out is for --rego remote"),
    ],
)
@pytest.mark.parametrize("command", [webhook_command, operator_command], ids=["webhook", "operator"])
def test_what_does_not_go_together_is_said(
    command: Any, arguments: tuple[str, ...], said: str, told: list[EngineOptions]
) -> None:
    code, output = run(command, *arguments)
    assert (code, told) == (2, [])
    assert said in " ".join(output.split())
