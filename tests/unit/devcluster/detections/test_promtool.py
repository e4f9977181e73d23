"""promtool comes from PATH where it is new enough, else from the cache folder, where it is compiled once."""

import io
import shutil
from pathlib import Path

import pytest

from devcluster.detections.promtool import MODULE, compiled_path, ensure_promtool
from iocaudit.engine.languages.toolchain.console import ConsoleProgress


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path / "cache"))


def fake(path: Path, version: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho promtool, version {version}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_one_on_path_is_taken(tmp_path: Path) -> None:
    there = fake(tmp_path / "bin" / "promtool", "2.42.0")
    assert ensure_promtool(ConsoleProgress(io.StringIO()), {"PATH": str(there.parent)}) == there


def test_an_old_one_is_passed_over_with_a_word(tmp_path: Path) -> None:
    there = fake(tmp_path / "bin" / "promtool", "2.30.3")
    fake(compiled_path(), "3.15.0")
    said = io.StringIO()
    assert ensure_promtool(ConsoleProgress(said), {"PATH": str(there.parent)}) == compiled_path()
    assert "is promtool 2.30.3, 2.42.0 is needed: passed over" in said.getvalue()


def test_what_is_missing_is_compiled_without_the_clients_of_clouds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(
        "#!/bin/sh\n"
        '[ "$1" = env ] && { [ "$2" = GOVERSION ] && echo go1.99.0; exit 0; }\n'
        f'echo "$@" > {tmp_path}/argv\n'
        'for word; do case $word in -o=*) printf "#!/bin/sh\\n" > "${word#-o=}"; chmod +x "${word#-o=}";; esac; done\n',
        encoding="utf-8",
    )
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    made = ensure_promtool(ConsoleProgress(io.StringIO()), {"PATH": str(go.parent)})
    assert made == compiled_path()
    assert made.read_text("utf-8") == "#!/bin/sh\n"
    said = (tmp_path / "argv").read_text("utf-8")
    assert "-tags=remove_all_sd" in said
    assert said.rstrip().endswith("github.com/prometheus/prometheus/cmd/promtool")


def test_the_place_changes_with_the_module(tmp_path: Path) -> None:
    other = Path(shutil.copytree(MODULE, tmp_path / "module"))
    assert compiled_path(other) == compiled_path()
    with (other / "go.sum").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert compiled_path(other) != compiled_path()
