"""What a command says where the packages for clusters are not installed."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from iocaudit.cli.extras import MODULES, advice

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WITHOUT = """
import sys
sys.argv = ["iocaudit", *sys.argv[2:]]
for name in {modules!r}:
    sys.modules[name] = None
from iocaudit.cli.main import main
main()
"""


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_-]", one)[0].lower().replace("_", "-") for one in requirements}


def test_the_modules_are_those_of_the_extras_packages() -> None:
    extra = _names(PROJECT["optional-dependencies"]["cluster"])
    of_extra = {
        module
        for module, packages in packages_distributions().items()
        if extra & {package.lower().replace("_", "-") for package in packages} and not module.startswith("_")
    }
    assert of_extra - {"kubernetes_asyncio"} >= MODULES
    missing = {package for package in extra if not any(
        package in {one.lower().replace("_", "-") for one in packages_distributions().get(module, ())}
        for module in MODULES
    )}  # fmt: skip
    assert not missing
    assert not extra & _names(PROJECT["dependencies"])


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    program = WITHOUT.format(modules=sorted(MODULES))
    return subprocess.run(
        [sys.executable, "-c", program, "-", *argv], capture_output=True, text=True, timeout=60, check=False
    )


def test_what_talks_to_a_cluster_names_the_extra_in_one_line() -> None:
    for argv in (["scan", "--cluster"], ["top"], ["operator"], ["webhook", "--certificates", "/nowhere"]):
        done = _run(*argv)
        assert done.returncode == 2
        assert re.fullmatch(r"iocaudit: this command needs \w+, .*: pip install 'iocaudit\[cluster\]'\n", done.stderr)


def test_files_need_none_of_it(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: []}\n")
    for code, argv in (
        (1, ["scan", str(file)]),
        (0, ["checks"]),
        (0, ["explain", "host-pid"]),
        (0, ["manifests"]),
        (0, ["policy", "explain", "-n", "shop"]),
        (0, ["rbac", "who-can", "get", "pods", str(file)]),
    ):
        done = _run(*argv)
        assert (done.returncode, done.stderr) == (code, "")


def test_a_module_of_nobodys_is_not_explained_away() -> None:
    assert advice(ModuleNotFoundError("No module named 'iocaudit.nowhere'", name="iocaudit.nowhere")) is None
    assert advice(ModuleNotFoundError("No module named 'kubernetes.client'", name="kubernetes.client")) is not None
