"""The exit codes that pipelines build on."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from iocaudit.cli.scan_command import exit_code
from iocaudit.core.report import Fault, Report, Skipped
from iocaudit.core.severity import Severity
from iocaudit.sinks.summary import ReadingSummary, UnreadableDocument

BAD = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: [{name: c, image: "example.org/app:1", securityContext: {privileged: true}}]}
"""


def iocaudit(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "iocaudit.cli", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_nothing_bad_is_0() -> None:
    assert iocaudit("scan", "-", stdin="apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n").returncode == 0


def test_a_finding_is_1_and_below_the_threshold_0() -> None:
    assert iocaudit("scan", "-", stdin=BAD).returncode == 1
    report = Report(skipped=[Skipped(None, None, "not read")], audited=1)
    assert exit_code(report, ReadingSummary(), Severity.HIGH) == 0


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("scan", "-"), "apiVersion: v1\nkind: Pod\nmetadata: {name: [\n"),
        (("scan", "no-such-file.yaml"), ""),
        (("scan", "-", "--check", "no-such-check"), BAD),
        (("scan", "-", "--cluster"), BAD),
        (("scan",), ""),
        (("scan", "-", "--context", "a"), BAD),
        (("explain", "no-such-check"), ""),
        (("scan", "-", "--baseline", "no-such-file.json"), BAD),
    ],
)
def test_wrong_usage_and_unreadable_input_are_2_without_a_traceback(arguments: tuple[str, ...], stdin: str) -> None:
    done = iocaudit(*arguments, stdin=stdin)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout + done.stderr


def test_a_fault_is_3_and_a_skipped_only_when_completeness_is_required() -> None:
    faulty = Report(faults=[Fault("a-check", None, "raised")])
    skipped = Report(skipped=[Skipped(None, None, "not read")], audited=1)
    assert exit_code(replace(skipped, audited=0), ReadingSummary(), Severity.HIGH) == 3, "everything was"
    assert exit_code(faulty, ReadingSummary(), Severity.HIGH) == 3
    assert exit_code(skipped, ReadingSummary(), Severity.HIGH, require_complete=True) == 3


def test_unreadable_wins_over_a_fault() -> None:
    reading = ReadingSummary(errors=[UnreadableDocument("a.yaml", 1, "broken")])
    assert exit_code(Report(faults=[Fault("a-check", None, "raised")]), reading, Severity.HIGH) == 2


def test_a_baseline_leaves_out_what_it_lists(tmp_path: Path) -> None:
    known = str(tmp_path / "known.json")
    assert iocaudit("scan", "-", "--write-baseline", known, stdin=BAD).returncode == 0
    done = iocaudit("scan", "-", "--baseline", known, stdin=BAD)
    assert (done.returncode, "in the baseline" in done.stdout) == (0, True)


def test_a_waiver_is_said_and_does_not_count(tmp_path: Path) -> None:
    waiver = tmp_path / "waiver.yaml"
    template = """\
apiVersion: iocaudit.io/v1alpha1
kind: IocWaiver
metadata: {name: legacy}
spec: {checks: [privileged-container], namespaces: [default], owner: us, reason: old, expires: %s}
"""
    waiver.write_text(template % "2999-01-01T00:00:00Z")
    done = iocaudit("scan", "-", "--policy", str(waiver), stdin=BAD)
    assert done.returncode == 0
    assert 'waived: <stdin>:4: privileged-container: Pod a: container "c" runs privileged' in done.stdout
    assert "(by legacy until 2999-01-01T00:00:00Z: old)" in done.stdout
    waiver.write_text(template % "2020-01-01T00:00:00Z")
    done = iocaudit("scan", "-", "--policy", str(waiver), stdin=BAD)
    assert done.returncode == 1
    assert "note: waiver legacy: expired at 2020-01-01T00:00:00Z" in done.stdout
    waiver.write_text(template.replace("[default]", "['*']") % "2999-01-01T00:00:00Z")
    done = iocaudit("scan", "-", "--policy", str(waiver), stdin=BAD)
    assert done.returncode == 2
    assert "spec.namespaces[0]: '*' means everything" in done.stderr


def test_what_runs_does_not_narrow_what_a_policy_or_a_waiver_may_name(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text("""\
apiVersion: iocaudit.io/v1alpha1
kind: AuditPolicy
metadata: {name: all}
spec: {checks: [{ids: [untrusted-registry], parameters: {trusted: [hooli.com/]}}, {ids: [host-pid], mode: warn}]}
---
apiVersion: iocaudit.io/v1alpha1
kind: IocWaiver
metadata: {name: legacy}
spec: {checks: [host-ipc], namespaces: [default], owner: us, reason: old, expires: 2999-01-01T00:00:00Z}
""")
    for narrowing in (("--check", "privileged-container"), ("--skip", "host-ipc", "--skip", "untrusted-registry")):
        done = iocaudit("scan", "-", "--policy", str(file), *narrowing, stdin=BAD)
        assert done.returncode == 1, done.stderr
        assert "waiver legacy" not in done.stdout
    file.write_text(file.read_text().replace("host-pid", "no-such"))
    done = iocaudit("scan", "-", "--policy", str(file), "--check", "privileged-container", stdin=BAD)
    assert (done.returncode, "there is no check 'no-such'" in done.stderr) == (2, True)


def test_checks_and_explain_print() -> None:
    listed = iocaudit("checks").stdout.splitlines()[1].split()[0]
    done = iocaudit("explain", listed)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{listed}\n")
