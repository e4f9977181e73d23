"""Where reports go, and what happens where they cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.running import run

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: "wéb→ü"}
spec: {hostPID: true, containers: [{name: a, image: "example.org/a:1"}]}
"""
ONLY = ("--check", "host-pid")


def test_several_formats_in_one_run(tmp_path: Path) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("json", "sarif", "junit", "github", "table")}
    named = [part for name, file in files.items() for part in ("-o", f"{name.upper()}={file}")]
    code, said, errors = run("scan", "-", *ONLY, *named, stdin=POD)
    assert (code, said) == (1, "")
    assert "1 finding in 1 object: 1 high; 1 object audited; written to" in errors
    alone = {name: run("scan", "-", *ONLY, "-o", name, stdin=POD)[1] for name in ("junit", "github", "table")}
    assert {name: files[name].read_text() for name in alone} == alone
    assert json.loads(files["json"].read_text())["summary"]["causes"] == 1
    assert json.loads(files["sarif"].read_text())["runs"][0]["results"][0]["ruleId"] == "host-pid"


def test_one_goes_to_standard_output_and_the_others_to_files(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    code, said, errors = run("scan", "-", *ONLY, "-o", f"json={file}", "-o", "table", stdin=POD)
    assert (code, errors) == (1, "")
    assert said.startswith("Pod w")
    assert json.loads(file.read_text())["findings"]


def test_output_file_takes_the_place_of_standard_output(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    code, said, errors = run("scan", "-", *ONLY, "-o", "junit", "--output-file", str(file), stdin=POD)
    assert (code, said) == (1, "")
    assert f"written to {file}" in errors
    assert ElementTree.fromstring(file.read_text()).get("failures") == "1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "json", "-o", "sarif"), "only one format goes to standard output"),
        (("-o", "json=a", "-o", "sarif=./a"), "two formats cannot go to one file"),
        (("-o", "json="), "has no file name"),
        (("-o", "yaml"), "'yaml' is not one of table, json"),
        (("-o", "json=no/such/folder"), "there is no folder no/such"),
        (("-o", "json=a", "--output-file", "b"), "--output-file goes with a format without a file name"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_scan(arguments: tuple[str, ...], said: str) -> None:
    code, out, errors = run("scan", "-", *arguments, stdin=POD)
    assert (code, out, said in errors) == (2, "", True), errors


def test_a_dash_is_standard_output() -> None:
    plain = run("scan", "-", *ONLY, "-o", "json", stdin=POD)
    assert run("scan", "-", *ONLY, "-o", "json=-", stdin=POD) == plain
    assert run("scan", "-", *ONLY, "-o", "json", "--output-file", "-", stdin=POD) == plain


def test_a_name_in_an_error_moves_no_cursor(tmp_path: Path) -> None:
    code, _, errors = run("scan", str(tmp_path / "a\x1b[31m\n::error::b.yaml"))
    assert (code, errors.count("\n"), "\x1b" in errors) == (2, 2, False)


def test_a_report_is_written_through_no_link_and_what_was_there_stays(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_text("precious")
    link.symlink_to(precious)
    code, _, errors = run("scan", "-", *ONLY, "-o", f"json={link}", stdin=POD)
    assert (code, "is a link" in errors, precious.read_text()) == (2, True, "precious")
    assert run("scan", "-", *ONLY, "-o", f"json={os.devnull}", stdin=POD)[0] == 1


def program(*arguments: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = f'exec "$0" -m iocaudit.cli "$@" {shell}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable, *arguments],
        input=POD.encode(),
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    "arguments", [("scan", "-"), ("scan", "-", "-o", "json"), ("checks",), ("--help",), ("explain", "host-pid")]
)
@pytest.mark.parametrize(
    ("shell", "reason"),
    [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor"), ("| true", "Broken pipe")],
)
def test_output_that_cannot_be_written_is_one_line_and_2(arguments: tuple[str, ...], shell: str, reason: str) -> None:
    done = _into_a_closed_pipe(*arguments) if shell.startswith("|") else program(*arguments, shell=shell)
    assert done.returncode == 2
    assert done.stderr.decode() == f"iocaudit: cannot write the output: {reason}\n"


def _into_a_closed_pipe(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-m", "iocaudit.cli", *arguments],
            input=POD.encode(),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writing)


def test_a_full_disk_under_an_output_file_is_one_line_and_2() -> None:
    done = program("scan", "-", "-o", "json=/dev/full")
    assert done.returncode == 2
    assert done.stderr.decode() == "iocaudit: cannot write the report to /dev/full: No space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("output", ["table", "json", "sarif", "junit", "github"])
def test_characters_that_the_stream_lacks_are_replaced(encoding: str, output: str) -> None:
    done = program("scan", "-", "-o", output, *ONLY, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (1, b"")
    if output == "table":
        shown = {"ascii": b"w\\xe9b->\\xfc", "latin-1": b"w\xe9b->\xfc", "utf-8": "wéb→ü".encode()}
        assert shown[encoding] in done.stdout
    else:
        done.stdout.decode("utf-8")
