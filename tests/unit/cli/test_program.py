"""The installed program: what it prints arrives whole and its exit code counts, though it ends at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("argv", "code"), [(["version"], 0), (["scna"], 2), (["scan", "--cluster", "x.yaml"], 2)])
def test_the_exit_code_counts(argv: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, "-m", "iocaudit.cli", *argv], capture_output=True, timeout=60, check=False)
    assert done.returncode == code
    assert done.stdout or done.stderr


def test_a_long_report_arrives_whole_through_a_pipe_and_in_a_file(tmp_path: Path) -> None:
    pods = "".join(
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\nspec: {{hostPID: true, containers: []}}\n"
        for number in range(400)
    )
    folder = tmp_path / "pods"
    folder.mkdir()
    (folder / "pods.yaml").write_text(pods)
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "iocaudit.cli", "scan", "--check", "host-pid", "--no-config", str(folder)]
    done = subprocess.run([*command, "-o", "json"], capture_output=True, timeout=60, check=False)
    with file.open("wb") as stream:
        assert subprocess.run([*command, "-o", "json"], stdout=stream, timeout=60, check=False).returncode == 1
    assert done.returncode == 1
    assert done.stdout.count(b'"check": "host-pid"') == 400
    assert file.read_bytes() == done.stdout


def test_a_reader_that_goes_away_is_not_an_error_that_is_told() -> None:
    command = f"{sys.executable} -m iocaudit.cli checks | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
