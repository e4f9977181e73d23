"""Shell completion: the scripts, and what they are answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import run


def asked(words: str, number: int) -> list[str]:
    """What a shell is offered for the last of some words."""
    done = subprocess.run(
        [sys.executable, "-m", "iocaudit.cli"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "_IOCAUDIT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)},
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "BASH"])
def test_a_script_is_printed_and_the_shell_takes_it(shell: str, tmp_path: Path) -> None:
    code, said, _ = run("completion", shell)
    assert code == 0
    assert "_IOCAUDIT_COMPLETE" in said
    if program := shutil.which(shell.lower()):
        script = tmp_path / "script"
        script.write_text(said)
        subprocess.run([program, "-n", str(script)], check=True, timeout=60)


def test_another_shell_is_refused() -> None:
    code, _, errors = run("completion", "csh")
    assert (code, "bash" in errors) == (2, True)


@pytest.mark.parametrize(
    ("words", "number", "offered"),
    [
        ("iocaudit sc", 1, ["scan"]),
        ("iocaudit explain runtime", 2, ["runtime-socket-mount"]),
        ("iocaudit scan --check host-pi", 3, ["host-pid"]),
        ("iocaudit scan --skip host-ipc,host-pi", 3, ["host-ipc,host-pid"]),
        ("iocaudit top --check masters", 3, ["masters-group-binding"]),
        ("iocaudit scan --fail-on ne", 3, ["never"]),
        ("iocaudit scan -o sa", 3, ["sarif"]),
        ("iocaudit scan --exclude-n", 2, ["--exclude-namespace"]),
    ],
)
def test_what_fits_is_offered(words: str, number: int, offered: list[str]) -> None:
    assert asked(words, number) == offered


def test_files_are_left_to_the_shell() -> None:
    for words, number in (("iocaudit scan mani", 2), ("iocaudit scan --policy mani", 3)):
        assert asked(words, number) == ["mani"]


def test_the_version_is_told_in_both_ways() -> None:
    assert run("version") == run("--version")
