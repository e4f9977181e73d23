"""The example package of ``docs/own-checks``, built, installed into an empty environment and used; then broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.packaging.dockerfile import ROOT, Stage
from tests.packaging.test_distribution import build, copy_of_the_sources, wheel

EXAMPLE = ROOT / "docs" / "own-checks"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: app, image: "hooli.com/web:1"}]}
"""


class Environment:
    """A virtual environment with the wheels of the product and of the example, and no source of either on its path."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        venv.create(folder, with_pip=False)
        self.programs = folder / "bin"
        command = [sys.executable, "-m", "pip", "--python", str(self.programs / "python"), "install", "--quiet"]
        subprocess.run([*command, "--no-index", "--no-deps", *map(str, wheels)], check=True)
        (self.site,) = folder.glob("lib/python*/site-packages")
        # What they depend on is that of the tests' environment: named in a .pth file, its own .pth files are not read.
        (self.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    def run(self, *argv: str, text: str = "", folder: str = "/") -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(self.programs / argv[0]), *argv[1:]],
            cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def says(self, *argv: str, text: str = "", code: int = 0) -> str:
        done = self.run("iocaudit", *argv, text=text)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def example_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    build(folder / "src", folder / "dist", "--wheel")
    return wheel(folder / "dist")


@pytest.fixture(scope="module")
def environment(example_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("with-own-checks")
    build(copy_of_the_sources(folder / "src"), folder / "dist", "--wheel")
    return Environment(folder / "venv", [wheel(folder / "dist"), example_wheel])


@pytest.fixture
def module(environment: Environment) -> Iterator[Path]:
    """The installed module, as it was again after the test."""
    path = environment.site / "acme_checks.py"
    text = path.read_text(encoding="utf-8")
    yield path
    path.write_text(text, encoding="utf-8")


def test_its_own_tests_pass(environment: Environment, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = environment.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), folder=str(tmp_path)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_a_scan_has_its_findings_and_explain_its_page(environment: Environment) -> None:
    found = json.loads(environment.says("scan", "-", "-o", "json", "--fail-on", "medium", text=POD, code=1))
    (hit,) = [one for one in found["findings"] if one["check"] == "x-acme-no-quota"]
    assert hit["message"].startswith("Pod shop/web: runs in namespace shop, which has no ResourceQuota")
    assert hit["fix"] == "Have the platform team make a ResourceQuota for the namespace."
    assert len(hit["fingerprint"]) == 32
    assert "x-acme-no-quota" in environment.says("checks")
    page = environment.says("explain", "x-acme-no-quota")
    assert "A workload runs in a namespace without a ResourceQuota" in page
    assert "exemptTeams" in page
    (rule,) = [
        one
        for one in json.loads(environment.says("scan", "-", "-o", "sarif", text=POD))["runs"][0]["tool"]["driver"][
            "rules"
        ]
        if one["id"] == "x-acme-no-quota"
    ]
    assert rule["help"]["text"] == hit["fix"]


def test_a_scan_in_several_processes_has_them_too(environment: Environment, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.yaml").write_text(POD.replace("web,", f"web-{number},"))
    found = json.loads(environment.says("scan", str(tmp_path), "-o", "json", "--jobs", "2"))
    assert sum(one["check"] == "x-acme-no-quota" for one in found["findings"]) == 6


def test_policies_waivers_and_tests_of_policies_name_it(environment: Environment, tmp_path: Path) -> None:
    policy = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "acme"},
        "spec": {"checks": [{"groups": ["acme"], "mode": "deny", "severity": "high"}]},
    }
    test = {
        "apiVersion": "cli.iocaudit.io/v1alpha1",
        "kind": "PolicyTest",
        "policies": [policy],
        "tests": [{"name": "a", "object": yaml.safe_load(POD), "expect": {"denied": {"include": ["x-acme-no-quota"]}}}],
    }
    (tmp_path / "a.policytest.yaml").write_text(yaml.safe_dump(test))
    assert "1 passed" in environment.says("policy", "test", str(tmp_path))


def test_the_manifests_have_its_privileges(environment: Environment) -> None:
    documents = list(yaml.safe_load_all(environment.says("manifests")))
    roles = {one["metadata"]["name"]: one for one in documents if one["kind"] == "ClusterRole"}
    (rule,) = roles["iocaudit-admission-own-checks"]["rules"]
    assert rule == {"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["get", "list", "watch"]}
    bound = [one for one in documents if one["kind"] == "ClusterRoleBinding"]
    assert "iocaudit-admission-own-checks" in {one["roleRef"]["name"] for one in bound}
    assert not [one for one in yaml.safe_load_all(environment.says("manifests", "--crds")) if "Role" in one["kind"]]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("from collections.abc", "import no_such_module\nfrom collections.abc", "No module named 'no_such_module'"),
        ("x-acme-no-quota", "host-pid", "the id 'host-pid' is taken by the product"),
        ("x-acme-no-quota", "acme-no-quota", "has to begin with x-"),
        ('kind("ResourceQuota")', 'kind("Secret")', "needing Secrets is refused"),
        ("@check(", "if False:\n  check(", "holds no check"),
        ("@check(", "@check(7, ", "cannot be imported: TypeError"),
    ],
)
def test_a_broken_one_stops_every_start(environment: Environment, module: Path, old: str, new: str, said: str) -> None:
    text = module.read_text(encoding="utf-8")
    assert old in text
    module.write_text(text.replace(old, new, 1), encoding="utf-8")
    for words in (
        ("scan", "-"),
        ("explain", "host-pid"),
        ("manifests",),
        ("webhook", "--certificates=/no"),
        ("operator",),
    ):
        done = environment.run("iocaudit", *words, text=POD)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert said in done.stderr
        assert "package acme-checks 1.0.0, entry point acme = acme_checks" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_documented_image_has_it(image: Stage, example_wheel: Path, tmp_path: Path) -> None:
    """The steps of the example's Dockerfile, done into a copy of the image's folder."""
    root = image.root.copy(tmp_path / "own-image")
    (root.path / "wheels").mkdir()
    shutil.copy(example_wheel, root.path / "wheels")
    lines = (EXAMPLE / "Dockerfile").read_text(encoding="utf-8").splitlines()
    steps = [json.loads(line.removeprefix("RUN ")) for line in lines if line.startswith("RUN ")]
    said = [root.run(step, environment={"HOME": "/root", **image.environment}) for step in steps]
    assert "A workload runs in a namespace without a ResourceQuota" in said[-1]
    assert lines[-1] == f"USER {image.user}"
