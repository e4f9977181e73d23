"""Tests are found from the code: ``iocaudit/<package>/<module>.py`` has ``tests/unit/<package>/test_<module>.py``.

``checks``, ``admission``, ``devcluster`` and the helpers in ``tests/support`` keep their folders there. What does not
follow a module stands in ``layout.toml`` beside this file: test files about a feature that goes through several
modules, and modules that are tested with another. Both lists may only shrink.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = "tests/unit/"
PRODUCT = ("iocaudit", "admission", "checks", "devcluster")
LISTS = tomllib.loads((ROOT / UNIT / "layout.toml").read_text("utf-8"))
FEATURES: list[str] = LISTS["features"]
COVERED: dict[str, str] = LISTS["covered"]
MOST_FEATURES, MOST_COVERED = 59, 250
LOADED_BY_NAME: dict[str, tuple[str, ...]] = {
    "iocaudit/engine/catalogue.py": ("checks/",),
    "iocaudit/cli/main.py": ("iocaudit/cli/",),
    "tests/unit/cli/test_program.py": ("iocaudit/cli/",),
    "tests/packaging/test_own_checks.py": ("iocaudit/own_checks.py", "iocaudit/testing.py"),
    "devcluster/supervisor.py": ("devcluster/supervise.py",),
}
"""What imports modules by their names, as text, or runs them as a program."""
BY_HAND = frozenset({"devcluster/demo.py"})
"""What people run, and look at."""


@cache
def files(*folders: str) -> tuple[str, ...]:
    """The Python files below folders, by their paths in the repository."""
    return tuple(str(path.relative_to(ROOT)) for one in folders for path in sorted((ROOT / one).rglob("*.py")))


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"))


def modules() -> list[str]:
    """The modules that do anything: those that only declare have nothing to test."""
    found = [path for path in files(*PRODUCT) if not path.endswith("/__init__.py") and path not in BY_HAND]
    return [path for path in found if any(isinstance(node, ast.FunctionDef) for node in ast.walk(parsed(path)))]


def unit_files() -> list[str]:
    return [path for path in files("tests/unit") if Path(path).name.startswith("test_")]


def home_of(module: str) -> str:
    """Where the tests of a module are to be."""
    folder, _, name = re.sub("^(iocaudit|tests)/", "", module).rpartition("/")
    return f"{UNIT}{folder}/test_{name}" if folder else f"{UNIT}test_{name}"


@cache
def imported(path: str) -> frozenset[str]:
    """The files of this repository that a file imports, anywhere in it."""
    there = set(files(*PRODUCT, "tests"))
    names = {name.replace(".", "/") for name in _named(parsed(path))}
    return frozenset({f"{name}.py" for name in names} | {f"{name}/__init__.py" for name in names}) & there


def _named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def reached(path: str) -> frozenset[str]:
    """What a file imports, directly or through others."""
    found, left = set[str](), {path}
    while left:
        one = left.pop()
        more = set(imported(one))
        if loaded := LOADED_BY_NAME.get(one):
            more |= {file for file in files(*PRODUCT) if file.startswith(loaded)}
        left |= more - found
        found |= more
    return frozenset(found)


def test_every_test_file_is_named_after_a_module_or_is_about_a_feature() -> None:
    homes = {home_of(path) for path in files(*PRODUCT, "tests/support")}
    lost = [path for path in unit_files() if path not in homes and path not in FEATURES]
    assert not lost, f"name each after the module it tests, or list it in {UNIT}layout.toml: {lost}"


def test_every_module_has_its_tests_or_is_tested_with_another() -> None:
    there = set(unit_files())
    bare = {path: home_of(path) for path in modules() if home_of(path) not in there and path not in COVERED}
    assert not bare, f"modules without tests of their own, and where those are to be: {bare}"


def test_no_entry_is_stale() -> None:
    there, known = set(unit_files()), set(modules())
    homes = {home_of(path) for path in files(*PRODUCT, "tests/support")}
    for feature in FEATURES:
        assert feature in there, f"{feature} is not there any more"
        assert feature not in homes, f"{feature} is named after a module: it needs no entry"
        assert ast.get_docstring(parsed(feature)), f"{feature}: say what it is about"
    for module, tests in COVERED.items():
        assert module in known, f"{module} is not there any more, or only declares"
        assert home_of(module) not in there, f"{module} has tests of its own: it needs no entry"
        assert (ROOT / tests).exists(), f"{tests}, with which {module} is tested, is not there any more"
        assert module in reached(tests), f"{tests} does not reach {module}"


def test_the_lists_only_shrink() -> None:
    """A new module comes with tests of its own. Where an entry goes, lower the number."""
    assert (len(FEATURES), len(COVERED)) == (MOST_FEATURES, MOST_COVERED)


def test_what_two_packages_use_stands_in_support() -> None:
    """A helper beside the tests of a package is for these alone, and ``tests/support`` rests on no tests."""
    for path in files("tests"):
        for used in imported(path):
            if used.startswith(UNIT) and not Path(used).name.startswith("test_"):
                package = "/".join(used.split("/")[:3])
                assert path.startswith(f"{package}/"), f"{path} uses {used}: move it to tests/support"
            if path.startswith("tests/support/") and used.startswith("tests/"):
                assert used.startswith("tests/support/"), f"{path} uses {used}"


def test_the_tests_that_documents_name_are_there() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for name in re.findall(r"tests/[\w/]+\.py", path.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{path.name} names {name}"
