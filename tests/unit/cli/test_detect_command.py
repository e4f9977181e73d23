"""``iocaudit detect``: what it reads, its exit codes, and what it says of what it could not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iocaudit.cli.detect_command import NoSignalError, command
from tests.support.audit_events import event, line

STATUS = {"requestObject": None, "responseObject": None, "responseStatus": {"code": 101}}
EXEC = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"}
SESSION = line(event(1, objectRef=EXEC, requestURI="/exec?command=sh", **STATUS))
MINER = line(event(2, objectRef=EXEC, requestURI="/exec?command=xmrig", **STATUS))
READ = line(event(3, verb="list", requestObject=None, responseObject=None, responseStatus={"code": 200}))


def run(folder: Path, *lines: bytes, options: tuple[str, ...] = ()) -> Result:
    path = folder / "audit.log"
    path.write_bytes(b"".join(lines))
    return CliRunner().invoke(command, [str(path), *options], standalone_mode=False)


@pytest.mark.parametrize(
    ("lines", "options", "code"),
    [
        ((READ,), (), 0),
        ((SESSION,), (), 0),
        ((SESSION,), ("--fail-on", "medium"), 1),
        ((MINER,), (), 1),
        ((READ, b"nonsense\n"), (), 3),
        ((MINER, b"nonsense\n"), (), 1),
        ((b"",), ("--allow-empty",), 0),
    ],
)
def test_exit_codes(tmp_path: Path, lines: tuple[bytes, ...], options: tuple[str, ...], code: int) -> None:
    result = run(tmp_path, *lines, options=options)
    assert result.exception is None, result.exception
    assert result.return_value == code


@pytest.mark.parametrize("lines", [(), (b"nonsense\n",), (b'{"kind": "Pod"}\n',)])
def test_an_input_without_a_signal_is_an_error(tmp_path: Path, lines: tuple[bytes, ...]) -> None:
    error = run(tmp_path, *lines).exception
    assert isinstance(error, NoSignalError)
    assert "there is no signal in the input" in str(error)


def test_what_could_not_be_read_is_said(tmp_path: Path) -> None:
    result = run(tmp_path, READ, b"nonsense\n", b'{"kind": "Pod"}\n')
    assert f"not read: {tmp_path}/audit.log:2: not JSON" in result.stderr
    assert "1 line is JSON, but not a signal" in result.stderr


def test_low_ones_are_shown_on_request(tmp_path: Path) -> None:
    secret = line(event(4, verb="get", objectRef={"resource": "secrets", "name": "db", "namespace": "shop"}, **STATUS))
    assert "1 sighting of a lower severity (--severity low shows them)" in run(tmp_path, secret).stdout
    assert "secret-read" in run(tmp_path, secret, options=("--severity", "low")).stdout


def test_json_holds_the_same(tmp_path: Path) -> None:
    content = json.loads(run(tmp_path, MINER, options=("-o", "json")).stdout)
    assert content["sightings"][0]["rule"] == "miner-in-session"
    assert content["summary"]["signals"] == 1


def test_standard_input() -> None:
    result = CliRunner().invoke(command, ["-"], input=MINER, standalone_mode=False)
    assert result.return_value == 1
    twice = CliRunner().invoke(command, ["-", "-"])
    assert twice.exit_code == 2
