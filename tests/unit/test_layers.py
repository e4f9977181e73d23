"""What the contracts cannot say: which imports are of the standard library, and that each package has a layer."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = {
    "iocaudit/core": ("iocaudit.core",),
    "iocaudit/knowledge": ("iocaudit.core", "iocaudit.knowledge"),
    "checks": ("iocaudit.core", "iocaudit.knowledge", "checks"),
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("folder", PURE)
def test_the_pure_packages_import_the_standard_library_and_each_other_alone(folder: str) -> None:
    allowed = PURE[folder]
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = [
        (str(file.relative_to(ROOT)), name)
        for file in files
        for name in imported(file)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not any(name == one or name.startswith(f"{one}.") for one in allowed)
    ]
    assert wrong == []


def test_every_package_stands_in_the_layers_and_on_the_page_of_the_architecture() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["name"].startswith("One corridor"))
    named = {name.strip() for row in layers for name in row.split("|")}
    packages = {f"iocaudit.{file.parent.name}" for file in (ROOT / "iocaudit").glob("*/__init__.py")}
    assert named == packages | {"admission", "checks"}
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    table = page.partition("## Imports go one way")[2].partition("Inside `knowledge`")[0]
    assert [row.split("|")[2].strip() for row in table.splitlines() if row.startswith("| ") and row[2].isdigit()] == [
        ", ".join(f"`{name.strip().removeprefix('iocaudit.')}`" for name in row.split("|")) for row in reversed(layers)
    ]
    assert [name for name in sorted(packages) if f"`{name.replace('.', '/')}`" not in page] == []
