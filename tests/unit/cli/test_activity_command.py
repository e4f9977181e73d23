"""``iocaudit activity``: the table, the same as data, and what it says of logs that hold nothing."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from iocaudit.cli.activity_command import NoActivityError, command
from tests.support.audit_events import Json, event, line
from tests.support.signal_posts import exec_event

SECRET = event(
    2,
    verb="get",
    user={"username": "mallory"},
    objectRef={"resource": "secrets", "namespace": "shop", "name": "keys", "apiVersion": "v1"},
    responseStatus={"code": 200},
    requestObject=None,
    responseObject=None,
)


def run(
    folder: Path, *events: Json, account: str = "mallory", options: tuple[str, ...] = (), more: bytes = b""
) -> Result:
    path = folder / "audit.log"
    path.write_bytes(b"".join(map(line, events)) + more)
    return CliRunner().invoke(command, [account, str(path), *options], standalone_mode=False)


def test_sessions_come_first_then_what_was_read(tmp_path: Path) -> None:
    found = run(tmp_path, SECRET, exec_event(1))
    lines = found.stdout.splitlines()
    assert found.return_value == 0
    assert lines[0].split() == ["SORT", "VERB", "TARGET", "DETAIL", "COUNT", "FIRST", "LAST"]
    assert lines[1].startswith("session")
    assert "bash" in lines[1]
    assert lines[2].startswith("secret read")
    assert "10.0.0.1" in found.stdout
    assert lines[-1] == "mallory: 2 requests, 0 of them reads of other things"


def test_the_same_as_data(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, SECRET, exec_event(1), options=("-o", "json")).stdout)
    assert [(one["sort"], one["target"], one["count"]) for one in found["deeds"]] == [
        ("session", "Pod shop/web-1 (exec)", 1),
        ("secret read", "Secret shop/keys", 1),
    ]
    assert found["places"] == [
        {
            "address": "10.0.0.1",
            "client": "kubectl/v1.36",
            "count": 2,
            "first": "2026-11-30T10:00:01Z",
            "last": "2026-11-30T10:00:02Z",
        }
    ]


def test_logs_that_hold_nothing_of_the_account_are_an_error(tmp_path: Path) -> None:
    found = run(tmp_path, SECRET, account="shop/web")
    assert isinstance(found.exception, NoActivityError)
    assert str(found.exception).startswith(
        "the logs hold nothing of system:serviceaccount:shop:web (1 event read); a ServiceAccount is NAMESPACE/NAME"
    )


def test_a_line_that_cannot_be_read_is_named_and_costs_no_other(tmp_path: Path) -> None:
    found = run(tmp_path, SECRET, more=b"{broken\n")
    assert found.return_value == 3
    assert "not read:" in found.stderr
    assert "audit.log:2" in found.stderr
    assert "secret read" in found.stdout


def test_standard_input_is_read_once() -> None:
    found = CliRunner().invoke(command, ["mallory", "-", "-"])
    assert (found.exit_code, "standard input can be read only once" in found.output) == (2, True)
