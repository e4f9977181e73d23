"""Baselines over time: reasons stay, and what matches nothing any more is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import run

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {hostPID: true, hostIPC: true, containers: [{name: a, image: "example.org/a:1"}]}
"""
FIXED = POD.replace("hostIPC: true, ", "")
ONLY = ("--check", "host-pid,host-ipc")


def entries(path: Path) -> dict[str, dict[str, Any]]:
    return {entry["check"]: entry for entry in json.loads(path.read_text())["hits"]}


def reasons(path: Path) -> dict[str, str]:
    return {check: entry["reason"] for check, entry in entries(path).items()}


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Two hits, one of them with a reason."""
    path = tmp_path / "known.json"
    code, _, errors = run("scan", "-", *ONLY, "--write-baseline", str(path), stdin=POD)
    assert (code, errors) == (0, f"{path}: 2 hits written\n")
    data = json.loads(path.read_text())
    for entry in data["hits"]:
        entry["reason"] = "debugging" if entry["check"] == "host-pid" else ""
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("also", [False, True])
def test_reasons_stay_where_the_file_is_written_again(known: Path, also: bool) -> None:
    with_baseline = ("--baseline", str(known)) if also else ()
    assert run("scan", "-", *ONLY, *with_baseline, "--write-baseline", str(known), stdin=POD)[0] == 0
    assert reasons(known) == {"host-pid": "debugging", "host-ipc": ""}


def test_reasons_go_into_a_new_file_with_the_old_one(known: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.json"
    assert run("scan", "-", *ONLY, "--baseline", str(known), "--write-baseline", str(new), stdin=FIXED)[0] == 0
    assert reasons(new) == {"host-pid": "debugging"}


def test_entries_that_match_nothing_are_told_and_pruned_on_request(known: Path) -> None:
    code, said, _ = run("scan", "-", *ONLY, "--baseline", str(known), stdin=FIXED)
    assert (code, f"note: {known}: 1 entry no longer matches (--prune removes them)" in said) == (0, True)
    assert len(entries(known)) == 2
    code, said, _ = run("scan", "-", *ONLY, "--baseline", str(known), "--prune", stdin=FIXED)
    assert (code, f"note: {known}: 1 entry that no longer matches was removed" in said) == (0, True)
    assert reasons(known) == {"host-pid": "debugging"}
    assert "no longer" not in run("scan", "-", *ONLY, "--baseline", str(known), stdin=FIXED)[1]


def test_a_check_that_did_not_run_makes_no_entry_stale(known: Path) -> None:
    said = run("scan", "-", "--check", "host-pid", "--baseline", str(known), "--prune", stdin=POD)[1]
    assert "no longer" not in said
    assert len(entries(known)) == 2


@pytest.mark.parametrize("rest", ["---\nkind: [\n", "---\nkind: {{ .Values.kind }}\n"])
def test_nothing_is_pruned_where_not_everything_could_be_judged(known: Path, rest: str) -> None:
    said = run("scan", "-", *ONLY, "--baseline", str(known), "--prune", stdin=FIXED + rest)[1]
    assert "not removed: not everything could be judged" in said
    assert len(entries(known)) == 2


def test_a_waived_hit_is_not_stale(known: Path, tmp_path: Path) -> None:
    waiver = tmp_path / "waiver.yaml"
    waiver.write_text(
        "apiVersion: iocaudit.io/v1alpha1\nkind: IocWaiver\nmetadata: {name: legacy}\n"
        "spec: {checks: [host-ipc], namespaces: [default], owner: us, reason: old, expires: 2999-01-01T00:00:00Z}\n"
    )
    said = run("scan", "-", *ONLY, "--baseline", str(known), "--policy", str(waiver), stdin=POD)[1]
    assert "no longer" not in said


def test_prune_needs_a_baseline(known: Path) -> None:
    for arguments in ((), ("--write-baseline", str(known), "--baseline", str(known))):
        code, _, errors = run("scan", "-", *ONLY, *arguments, "--prune", stdin=POD)
        assert (code, "--prune goes with --baseline" in errors) == (2, True)
