"""``iocaudit receivers``: what it is told at start reaches the process."""

from pathlib import Path
from unittest import mock

from click.testing import CliRunner

from iocaudit.cli.receivers_command import command
from iocaudit.receivers.options import ReceiverOptions

REQUIRED = [
    "--certificates",
    "c",
    "--senders",
    "s",
    "--data",
    "d",
    "--operator-url",
    "https://o:8444",
    "--client-ca",
    "a",
]


def given(*more: str) -> ReceiverOptions:
    with mock.patch("iocaudit.receivers.main.main") as main:
        found = CliRunner().invoke(command, [*REQUIRED, *more], standalone_mode=False)
    assert found.exception is None
    options = main.call_args.args[0]
    assert isinstance(options, ReceiverOptions)
    return options


def test_options_reach_the_process() -> None:
    assert given() == ReceiverOptions(Path("c"), Path("s"), Path("d"), "https://o:8444", Path("a"))
    found = given("--token-port", "8446", "--max-mebibytes", "64", "--port", "1", "--drain-seconds", "0")
    assert (found.token_port, found.most_bytes, found.port, found.drain_seconds) == (8446, 64 << 20, 1, 0.0)


def test_each_that_is_needed_is_asked_for() -> None:
    for index in range(0, len(REQUIRED) - 2, 2):
        found = CliRunner().invoke(command, REQUIRED[:index] + REQUIRED[index + 2 :])
        assert (found.exit_code, f"Missing option '{REQUIRED[index]}'" in found.output) == (2, True)


def test_somebody_has_to_be_able_to_send() -> None:
    found = CliRunner().invoke(command, REQUIRED[:-2])
    assert (found.exit_code, "give --client-ca, --token-port or --audit-log" in found.output) == (
        2,
        True,
    )
