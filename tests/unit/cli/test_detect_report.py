"""What recorded signals show, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from iocaudit.cli.detect_report import as_json, as_table
from iocaudit.core.severity import Severity
from iocaudit.detecting.run import DetectOutcome, detect
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from tests.support.audit_events import event, line

CATALOGUE = builtin_catalogue()
EXEC = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"}


def outcome(folder: Path, user: str = "alice", command: str = "xmrig") -> DetectOutcome:
    raw = event(
        1,
        user={"username": user},
        objectRef=EXEC,
        requestURI=f"/exec?command={command}",
        responseStatus={"code": 101},
        requestObject=None,
        responseObject=None,
    )
    path = folder / "log"
    path.write_bytes(line(raw))
    return detect([str(path)], CATALOGUE, read_policies([], CATALOGUE))


def test_the_table(tmp_path: Path) -> None:
    text = as_table(outcome(tmp_path), Severity.MEDIUM)
    first, second, *_ = text.splitlines()
    assert first.split() == ["SEVERITY", "IOC", "RULE", "ACCOUNT", "NAMESPACE", "TARGET", "COUNT", "LAST", "WHAT"]
    assert second.split()[:7] == ["critical", "1", "miner-in-session", "alice", "shop", "Pod/web", "1"]
    assert text.splitlines()[-1].startswith("1 signal (1 native), from 2026-11-30T10:00:01Z")


def test_nothing_is_said_to_be_nothing(tmp_path: Path) -> None:
    text = as_table(outcome(tmp_path, command="pg_isready"), Severity.HIGH)
    assert "nothing of severity high was seen\n" in text
    assert "1 sighting of a lower severity" in text


def test_names_from_logs_move_no_cursor(tmp_path: Path) -> None:
    found = outcome(tmp_path, user="al\x1b[2Jice\u202e")
    assert "\x1b" not in as_table(found, Severity.LOW)
    assert "\u202e" not in as_json(found, Severity.LOW)
    assert json.loads(as_json(found, Severity.LOW))["sightings"][0]["account"] == "al\x1b[2Jice\u202e"


def test_a_credential_in_a_command_is_not_shown(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2c3D4" * 4 + "e5F6"
    found = outcome(tmp_path, command=f"curl&command=https://x.example.com/?t={secret}")
    assert secret not in as_table(found, Severity.LOW)
    assert secret not in as_json(found, Severity.LOW)


def test_json_says_what_each_is(tmp_path: Path) -> None:
    content = json.loads(as_json(outcome(tmp_path), Severity.LOW))
    one = content["sightings"][0]
    assert (one["kind"], one["technique"], one["iocs"]) == ("detection", "T1496.001", [1])
    assert one["relatedChecks"]
    assert one["place"].endswith("log:1")
    assert content["faults"] == []
