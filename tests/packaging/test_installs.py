"""What ``pip install`` brings into an empty environment, for files alone and for clusters."""

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.packaging.dockerfile import ROOT
from tests.packaging.test_distribution import build, copy_of_the_sources, wheel

MOST_FOR_FILES = 35_000_000
"""Bytes that ``pip install iocaudit`` may bring, pip itself left out."""
POD = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {hostPID: true, containers: [{name: c, image: c}]}}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    build(copy_of_the_sources(folder / "src"), folder / "dist", "--wheel")
    return wheel(folder / "dist")


def _installed(made: Path, folder: Path, extra: str) -> Path:
    """The folder of the programs of an environment that holds the wheel and what it depends on, nothing else."""
    venv.create(folder, with_pip=False)
    pins = re.findall(
        r"^([A-Za-z0-9_.-]+==[^\s;\\]+(?: ;[^\\]*)?)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    done = subprocess.run(
        [*command, "--constraint", str(constraints), f"{made}{extra}"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def _run(programs: Path, *argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(programs / argv[0]), *argv[1:]],
        cwd="/", env=environment, input=text, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_for_files_little_is_installed(made: Path, tmp_path: Path) -> None:
    programs = _installed(made, tmp_path, "")
    size = _size(tmp_path / "lib")
    assert size <= MOST_FOR_FILES, f"pip install iocaudit brings {size / 1e6:.1f} MB"
    scanned = _run(programs, "iocaudit", "scan", "-o", "json", "-", text=POD)
    assert scanned.returncode == 1, scanned.stderr
    assert "host-pid" in {finding["check"] for finding in json.loads(scanned.stdout)["findings"]}
    assert "host-pid" in _run(programs, "iocaudit", "explain", "host-pid").stdout
    live = _run(programs, "iocaudit", "scan", "--cluster")
    assert (live.returncode, live.stdout) == (2, "")
    assert live.stderr.count("\n") == 1
    assert "pip install 'iocaudit[cluster]'" in live.stderr


def test_for_clusters_everything_is_there(made: Path, tmp_path: Path) -> None:
    programs = _installed(made, tmp_path, "[cluster]")
    loaded = _run(programs, "python", "-c", "import admission.main, iocaudit.controller.main, iocaudit.cli.live")
    assert loaded.returncode == 0, loaded.stderr
    nowhere = _run(programs, "iocaudit", "scan", "--cluster", "--context", "nowhere")
    assert nowhere.returncode == 2
    assert "pip install" not in nowhere.stderr
