import io
from pathlib import Path

import pytest

from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import BuildError
from iocaudit.engine.languages.toolchain.go import (
    GoProgram,
    go_build,
    go_caches,
    go_on_path,
    module_go_version,
    work_folder,
)
from iocaudit.engine.languages.toolchain.version import Version


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path / "cache"))
    for variable in ("GOCACHE", "GOMODCACHE", "GOFLAGS"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache"


def go_program(folder: Path, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    go = folder / "go"
    go.write_text(f"#!/bin/sh\nset -e\n{script}", encoding="utf-8")
    go.chmod(0o755)
    return go


def test_the_needed_go_is_read_from_the_module() -> None:
    assert module_go_version("module m\n\ngo 1.26.0\n\ngodebug default=go1.25\n") == Version(1, 26, 0)
    with pytest.raises(BuildError, match="no 'go' line"):
        module_go_version("module m\n")


def test_go_on_path_is_asked_for_its_own_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = go_program(tmp_path / "bin", 'test "$GOTOOLCHAIN" = local && echo go1.26.8\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    notes = io.StringIO()
    assert go_on_path(Version(1, 26), ConsoleProgress(notes)) == go
    assert go_on_path(Version(1, 27), ConsoleProgress(notes)) is None
    assert "is Go 1.26.8, 1.27.0 is needed: passed over" in notes.getvalue()


@pytest.mark.parametrize("there", [True, False])
def test_go_s_own_caches_are_borrowed_where_there_are_any(tmp_path: Path, there: bool) -> None:
    own = tmp_path / "theirs"
    if there:
        own.mkdir()
    go = go_program(tmp_path, f"echo {own}\n")
    with go_caches(go, borrow=True) as caches:
        assert caches == ({} if there else {name: str(work_folder() / name.lower()) for name in caches})
        assert bool(caches) is not there
    assert own.exists() is there
    assert not work_folder().exists()


def test_after_a_failed_build_the_caches_stay(tmp_path: Path) -> None:
    go = go_program(tmp_path, "echo /not/there\n")
    with pytest.raises(BuildError), go_caches(go, borrow=True) as caches:
        raise BuildError("x")
    assert sorted(caches) == ["GOCACHE", "GOMODCACHE"]
    assert all(Path(folder).is_dir() for folder in caches.values())


def test_what_the_shell_has_set_does_not_change_what_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = go_program(tmp_path, f'env > {tmp_path}/env; echo "$@" > {tmp_path}/argv\n')
    for variable, value in {"GOFLAGS": "-mod=mod -p=1", "GOOS": "plan9", "GOARCH": "arm", "GOEXPERIMENT": "x"}.items():
        monkeypatch.setenv(variable, value)
    program = GoProgram("x", tmp_path, "./cmd", "-s -w")
    go_build(go, program, tmp_path / "out", {}, ConsoleProgress(io.StringIO()), "compiling x", "")
    names = dict(line.split("=", 1) for line in (tmp_path / "env").read_text("utf-8").splitlines() if "=" in line)
    assert {name: value for name, value in names.items() if name.startswith(("GO", "CGO"))} == {
        "GOFLAGS": "-p=1", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"
    }  # fmt: skip
    said = (tmp_path / "argv").read_text("utf-8").strip()
    assert said == f"build -mod=readonly -trimpath -buildvcs=false -ldflags=-s -w -o={tmp_path}/out ./cmd"


def test_build_tags_are_handed_on(tmp_path: Path) -> None:
    go = go_program(tmp_path, f'echo "$@" > {tmp_path}/argv\n')
    program = GoProgram("x", tmp_path, "./cmd", "-s", tags="remove_all_sd")
    go_build(go, program, tmp_path / "out", {}, ConsoleProgress(io.StringIO()), "compiling x", "")
    assert "-buildvcs=false -tags=remove_all_sd -ldflags=-s" in (tmp_path / "argv").read_text("utf-8")
