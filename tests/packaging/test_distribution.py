"""The wheel and the source archive: made without a network, complete, and usable where there is no clone."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import iocaudit
from devcluster.binaries import ensure
from tests.packaging.dockerfile import ROOT, context

MANIFESTS = ROOT / "manifests"
PACKAGES = ("iocaudit", "admission", "checks", "manifests")
Json = dict[str, Any]
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      hostNetwork: true
      containers:
      - {name: app, image: "hooli.com/web:1"}
"""
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:unauthenticated"}]
"""


@dataclass(frozen=True)
class Installed:
    """The wheel in a virtual environment of its own; what it depends on is that of the tests' environment."""

    program: Path

    def run(self, *argv: str, text: str = "", code: int = 0) -> str:
        # From a folder without sources, and without the variables that could lead to some.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [self.program, *argv], cwd="/", env=environment, input=text, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == code, f"{argv} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what ``python -m build`` makes: the archive from a clone, the wheel from the archive."""
    folder = tmp_path_factory.mktemp("archives")
    build(copy_of_the_sources(folder / "src"), folder / "dist")
    return folder / "dist"


@pytest.fixture(scope="module")
def installed(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*command, str(wheel(archives))], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Named in a .pth file it is searched, but the .pth files in it are not read: the clone's own one stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    where = [str(python), "-c", "import iocaudit, admission, checks; print(iocaudit, admission, checks)"]
    loaded = subprocess.run(where, cwd="/", check=True, capture_output=True, text=True).stdout
    assert loaded.count(str(site)) == 3
    return Installed(folder / "bin" / "iocaudit")


def copy_of_the_sources(folder: Path) -> Path:
    """What the builder of the image sees, which is what a wheel is made of."""
    folder.mkdir()
    for name in context():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def build(source: Path, target: Path, *options: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def wheel(folder: Path) -> Path:
    (found,) = folder.glob("*.whl")
    return found


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        # RECORD lists the other files in the order they were found in.
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def test_archive_is_complete(archives: Path, tmp_path: Path) -> None:
    """From the archive comes the very wheel that comes from a clone."""
    build(copy_of_the_sources(tmp_path / "src"), tmp_path / "dist", "--wheel")
    assert contents(wheel(tmp_path / "dist")) == contents(wheel(archives))
    (archive,) = archives.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_wheel_holds_every_file_of_the_packages_and_no_other(archives: Path) -> None:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *PACKAGES],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {f"iocaudit/{name}" if name.startswith("manifests/") else name for name in files}
    expected.remove("iocaudit/manifests")
    assert {name for name in contents(wheel(archives)) if ".dist-info/" not in name} == expected


def test_prints_what_kustomize_makes_of_the_folder(installed: Installed) -> None:
    command = [str(ensure().kubectl), "kustomize", str(MANIFESTS)]
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert in_order(installed.run("manifests")) == in_order(made)


def in_order(text: str) -> list[Json]:
    documents = [document for document in yaml.safe_load_all(text) if document]
    return sorted(documents, key=lambda d: (d["kind"], d["metadata"].get("namespace", ""), d["metadata"]["name"]))


def test_scans_with_the_schema_and_the_roles_it_brought(installed: Installed) -> None:
    text = f"{DEPLOYMENT}---\n{BINDING}"
    report = json.loads(installed.run("scan", "-o", "json", "-", text=text, code=1))
    assert {"host-network", "anonymous-binding"} <= {found["check"] for found in report["findings"]}
    # A role that is not in the files: it is known from the table of Kubernetes' own roles.
    assert not report["skipped"]
    schema = json.loads((ROOT / "iocaudit/sinks/report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)


def test_explains_and_lists_its_checks(installed: Installed) -> None:
    listed = installed.run("checks")
    assert "host-network" in listed
    assert "hostNetwork" in installed.run("explain", "host-network")


def test_is_a_plugin_of_kubectl(installed: Installed) -> None:
    path = f"{installed.program.parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(ensure().kubectl), "iocaudit", "top", "--help"]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("Usage: kubectl iocaudit top "), done.stderr
    assert done.returncode == 0


def test_says_its_version_everywhere(installed: Installed, archives: Path) -> None:
    assert iocaudit.__version__ in installed.run("--version")
    assert wheel(archives).name == f"iocaudit-{iocaudit.__version__}-py3-none-any.whl"


def test_doors_start(installed: Installed) -> None:
    for door in ("webhook", "operator"):
        assert f"Usage: iocaudit {door}" in installed.run(door, "--help")
