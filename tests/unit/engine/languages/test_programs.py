"""Where a program is looked for, which is refused, and how one is compiled."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iocaudit.engine.languages import programs
from iocaudit.engine.languages.evaluator import EngineMissingError
from iocaudit.engine.languages.programs import ProgramPlace, compile_program, compiled_path, find_program, look_for
from iocaudit.engine.languages.sources import Engine, sources_digest
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import BuildError, NoCacheError, NoGoError, NoNetworkError
from tests.support.engines import engine_program

DIGEST = sources_digest(Engine.OPA)


@pytest.fixture(autouse=True)
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real program, outside of an empty cache folder and an empty PATH."""
    program = engine_program(Engine.OPA)
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("GOPROXY", "off")
    (tmp_path / "bin").mkdir()
    return program


def on_path(folder: Path, script: str, name: str = "iocaudit-opa") -> Path:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
    path.chmod(0o755)
    return path


def cached(program: Path) -> Path:
    target = compiled_path(Engine.OPA)
    target.parent.mkdir(parents=True)
    shutil.copy(program, target)
    return target


def test_without_any_the_error_has_the_command() -> None:
    with pytest.raises(EngineMissingError) as error:
        find_program(Engine.OPA)
    assert str(error.value) == (
        "iocaudit-opa, which evaluates rules in Rego, is not installed. Install it with: iocaudit engines install opa"
    )


def test_that_on_path_comes_before_that_in_the_cache(real: Path, tmp_path: Path) -> None:
    target = cached(real)
    assert find_program(Engine.OPA) == target
    on = tmp_path / "bin/iocaudit-opa"
    on.symlink_to(real)
    assert find_program(Engine.OPA) == on
    assert [found.place for found in look_for(Engine.OPA)] == [ProgramPlace.PATH, ProgramPlace.CACHE]


def test_a_user_without_a_home_has_no_cache(real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the image: its user has a number, and no name."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("IOCAUDIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(EngineMissingError):
        find_program(Engine.OPA)
    with pytest.raises(NoCacheError, match="set IOCAUDIT_CACHE to a folder"):
        compile_program(Engine.OPA, ConsoleProgress(io.StringIO()))
    (tmp_path / "bin/iocaudit-opa").symlink_to(real)
    assert find_program(Engine.OPA) == tmp_path / "bin/iocaudit-opa"


LETS_OUT = f"""
case "$1" in
version) echo iocaudit-opa 1.22.4 sources {DIGEST};;
*) exit 0;;
esac
"""


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo Version: 1.22.4\n", "it does not report name, version and digest as iocaudit-opa does"),
        ("exit 1\n", "it does not report name, version and digest as iocaudit-opa does"),
        (f"echo iocaudit-cel 0.36.3 sources {DIGEST}\n", "it does not report name"),
        (LETS_OUT, "it lets rules reach out (it accepts http.send)"),
    ],
)
def test_one_on_path_that_does_not_fit_is_refused(tmp_path: Path, real: Path, script: str, why: str) -> None:
    path = on_path(tmp_path, script)
    with pytest.raises(EngineMissingError) as error:
        find_program(Engine.OPA)
    assert f"; {path} is not used: {why}" in str(error.value)
    assert str(error.value).endswith("Install it with: iocaudit engines install opa")
    assert find_program(Engine.OPA, allow_reaching_out=True) == path
    target = cached(real)
    assert find_program(Engine.OPA) == target


def test_one_of_other_sources_is_refused(tmp_path: Path, real: Path) -> None:
    on_path(
        tmp_path, f'case "$1" in version) echo iocaudit-opa 1.22.3 sources {"0" * 64};; *) exec {real} "$@";; esac\n'
    )
    with pytest.raises(EngineMissingError, match="from the sources of another version of iocaudit"):
        find_program(Engine.OPA)


def test_a_program_is_probed_without_our_environment(
    tmp_path: Path, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    on_path(tmp_path, f'test -z "$SECRET" || exit 1\nexec {real} "$@"\n')
    assert find_program(Engine.OPA).parent == tmp_path / "bin"


def go(folder: Path, script: str, version: str = "go1.26.8") -> Path:
    return on_path(folder, f'PATH=/usr/bin:/bin\nif [ "$1" = env ]; then echo {version}; exit; fi\n{script}', "go")


OUTPUT = 'for a in "$@"; do case $a in -o=*) out=${a#-o=};; esac; done\n'


def test_it_is_compiled_once_into_the_cache_folder(tmp_path: Path) -> None:
    go(tmp_path, f'{OUTPUT}echo x >> {tmp_path}/runs\npwd > "$out"\nchmod 755 "$out"\n')
    notes = io.StringIO()
    path = compile_program(Engine.OPA, ConsoleProgress(notes))
    assert path == compile_program(Engine.OPA, ConsoleProgress(notes)) == compiled_path(Engine.OPA)
    assert path.read_text("utf-8") == f"{Engine.OPA.sources}\n"
    assert (tmp_path / "runs").read_text("utf-8") == "x\n"
    assert f"compiling iocaudit-opa (once, into {path.parent}" in notes.getvalue()
    # Gigabytes of Go's own are not left.
    assert not (tmp_path / "cache/go-build").exists()


def test_a_second_process_waits_and_does_not_compile_again(tmp_path: Path) -> None:
    go(tmp_path, f'{OUTPUT}echo x >> {tmp_path}/runs\nsleep 1\necho > "$out"\nchmod 755 "$out"\n')
    text = (
        "from iocaudit.engine.languages.programs import compile_program\n"
        "from iocaudit.engine.languages.sources import Engine\nprint(compile_program(Engine.OPA))\n"
    )
    command = [sys.executable, "-c", text]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert {out for out, _ in said} == {f"{compiled_path(Engine.OPA)}\n"}
    assert sum("waiting for process" in err for _, err in said) == 1
    assert (tmp_path / "runs").read_text("utf-8") == "x\n"


def test_without_go_or_with_an_old_one_the_needed_version_is_named(tmp_path: Path) -> None:
    message = r"iocaudit-opa is compiled with Go 1\.26\.0 or newer, which is not on PATH: install Go, and run 'iocaudit"
    with pytest.raises(NoGoError, match=message):
        compile_program(Engine.OPA, ConsoleProgress(io.StringIO()))
    go(tmp_path, "exit 1\n", "go1.24.1")
    notes = io.StringIO()
    with pytest.raises(NoGoError, match=message):
        compile_program(Engine.OPA, ConsoleProgress(notes))
    assert "is Go 1.24.1, 1.26.0 is needed: passed over" in notes.getvalue()


@pytest.mark.parametrize(
    ("said", "error", "advice"),
    [
        ("go: module lookup disabled by GOPROXY=off", NoNetworkError, "or put iocaudit-opa from the image on PATH"),
        ("main.go:1: syntax error", BuildError, "failed with exit code 1"),
    ],
)
def test_a_failed_build_says_why_and_leaves_no_program(
    tmp_path: Path, said: str, error: type[Exception], advice: str
) -> None:
    go(tmp_path, f'{OUTPUT}echo half > "$out"\necho "{said}"\nexit 1\n')
    with pytest.raises(error, match=advice):
        compile_program(Engine.OPA, ConsoleProgress(io.StringIO()))
    assert not compiled_path(Engine.OPA).exists()
    assert [path.name for path in compiled_path(Engine.OPA).parent.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "script",
    [
        "exec cat /dev/zero\n",
        "cat /dev/zero &\nexec cat /dev/zero\n",
        "sleep 600 &\nexec sleep 600\n",
        "sleep 600\n",
        "exec >&-\nsleep 600\n",
    ],
    ids=["prints", "prints-behind", "hangs-behind", "hangs", "hangs-mute"],
)
def test_one_on_path_that_does_not_end_is_passed_over(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(programs, "_PROBE_SECONDS", 2.0)
    on_path(tmp_path, f"PATH=/usr/bin:/bin\n{script}")
    target = cached(real)
    assert find_program(Engine.OPA) == target
    (on, _) = look_for(Engine.OPA)
    assert "does not report" in on.refused


@pytest.mark.parametrize("folder", ["/proc/iocaudit", "/dev/null/iocaudit"])
def test_a_cache_folder_that_cannot_be_written_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("IOCAUDIT_CACHE", folder)
    with pytest.raises(NoCacheError, match=f"cannot be kept in {folder}.*set IOCAUDIT_CACHE to a folder"):
        compile_program(Engine.OPA, ConsoleProgress(io.StringIO()))
