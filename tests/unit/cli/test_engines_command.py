"""``iocaudit engines`` with the real OPA, with programs that pretend, and without any."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iocaudit.cli import engines_command
from iocaudit.cli.engines_command import command
from iocaudit.core.errors import IocauditError
from iocaudit.engine.languages import programs
from iocaudit.engine.languages.sources import Engine
from tests.support.engines import engine_program


@pytest.fixture(autouse=True)
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a PATH with nothing of ours."""
    program = engine_program(Engine.OPA)
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for module in (engines_command, programs):
        monkeypatch.setattr(module, "shipped", lambda: (Engine.OPA,), raising=False)
    return program


def run(*words: str) -> Result:
    return CliRunner().invoke(command, words, standalone_mode=False)


def test_a_missing_one_is_exit_2_with_the_command_that_installs_it() -> None:
    done = run()
    assert done.stdout.splitlines()[1].split(maxsplit=1) == ["iocaudit-opa", "missing: iocaudit engines install opa"]
    assert isinstance(done.exception, IocauditError)
    assert str(done.exception) == "iocaudit-opa is not installed: iocaudit engines install opa"


def test_one_on_path_is_in_use(nothing_there: Path, tmp_path: Path) -> None:
    (tmp_path / "bin/iocaudit-opa").symlink_to(nothing_there)
    done = run("-o", "json")
    assert done.exception is None
    (row,) = json.loads(done.stdout)["engines"]
    assert row["version"].startswith("1.22.")
    assert (row["where"], row["state"]) == (f"PATH: {tmp_path}/bin/iocaudit-opa", "in use")


def test_one_in_the_cache_is_in_use_where_that_on_path_is_refused(nothing_there: Path, tmp_path: Path) -> None:
    stock = tmp_path / "bin/iocaudit-opa"
    stock.write_text("#!/bin/sh\necho Version: 1.22.4\n", encoding="utf-8")
    stock.chmod(0o755)
    target = programs.compiled_path(Engine.OPA)
    target.parent.mkdir(parents=True)
    shutil.copy(nothing_there, target)
    done = run("-o", "json")
    assert done.exception is None
    first, second = json.loads(done.stdout)["engines"]
    assert first["state"].startswith("refused: it does not report")
    assert (second["where"], second["state"]) == (f"cache: {target}", "in use")
    installed = run("install", "OPA")
    assert installed.stdout.startswith("iocaudit-opa 1.22.")
    assert installed.stdout.endswith(f"is installed: {target}\n")


def test_without_go_it_says_which_is_needed() -> None:
    done = run("install", "opa")
    assert isinstance(done.exception, IocauditError)
    assert str(done.exception).startswith("iocaudit-opa is compiled with Go 1.26.0 or newer, which is not on PATH: ")


def test_an_unknown_one_is_wrong_usage() -> None:
    assert "'lua' is not one of 'opa', 'cel'" in str(run("install", "lua").exception)
