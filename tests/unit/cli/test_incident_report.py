"""``iocaudit detect --incidents``: one line an incident, its steps, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from iocaudit.cli.detect_command import command
from tests.support.audit_events import Json, event, line
from tests.support.signal_posts import exec_event

SECRETS = {"resource": "secrets", "apiVersion": "v1"}


def run(folder: Path, *events: Json, options: tuple[str, ...] = ()) -> Result:
    path = folder / "audit.log"
    path.write_bytes(b"".join(map(line, events)))
    return CliRunner().invoke(command, [str(path), "--incidents", *options], standalone_mode=False)


def intrusion() -> list[Json]:
    """Mallory runs a miner in a pod, lists Secrets, and someone else opens a shell elsewhere."""
    miner = exec_event(1)
    miner["requestURI"] = "/api/v1/namespaces/shop/pods/web-1/exec?command=xmrig"
    listed = event(
        2,
        verb="list",
        user={"username": "mallory"},
        objectRef=SECRETS,
        responseStatus={"code": 200},
        requestObject=None,
        responseObject=None,
    )
    return [miner, listed, exec_event(3, "other", "bob")]


def test_what_belongs_together_is_one_line(tmp_path: Path) -> None:
    found = run(tmp_path, *intrusion())
    assert found.return_value == 1
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["SEVERITY", "INDICATORS", "TARGET", "ACCOUNT", "SIGNALS", "FIRST", "LAST", "NAME"]
    assert lines[1].split()[:2] == ["critical", "1,4"]
    assert "miner-in-session" in found.stdout
    assert "secrets-listed" in found.stdout
    assert "sighting outside of incidents" in found.stdout
    assert "bob" not in found.stdout


def test_the_same_as_data(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, *intrusion(), options=("-o", "json")).stdout)
    [one] = found["incidents"]
    assert (one["severity"], one["indicators"], one["accounts"]) == ("critical", [1, 4], ["mallory"])
    assert {step["rule"] for step in one["steps"]} >= {"miner-in-session", "secrets-listed"}
    assert found["summary"]["incidents"] == 1
    assert found["summary"]["sightings"] == one["signals"] + found["summary"]["outsideIncidents"]


def test_one_session_alone_is_no_incident(tmp_path: Path) -> None:
    found = run(tmp_path, exec_event(1))
    assert (found.return_value, found.stdout.splitlines()[0]) == (0, "no incident")


def test_those_of_a_lower_severity_are_counted(tmp_path: Path) -> None:
    found = run(tmp_path, exec_event(1, "kube-system"), options=("--severity", "high"))
    assert "no incident of severity high" in found.stdout
    assert "1 incident of a lower severity" in found.stdout
