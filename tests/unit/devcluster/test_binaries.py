import io
from pathlib import Path

import pytest

from devcluster import binaries
from devcluster.binaries import InstalledProgram, choose, search
from devcluster.build import any_go
from devcluster.manifest import load
from iocaudit.engine.languages.sources import Engine
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.version import Version

APISERVER, MANAGER = "kube-apiserver", "kube-controller-manager"


def found(name: str, version: str, source: str = "PATH") -> InstalledProgram:
    parsed = Version.find(version)
    assert parsed is not None
    return InstalledProgram(name, Path("bin", source, name), parsed, source)


def choice(*candidates: InstalledProgram) -> tuple[dict[str, str], str]:
    notes = io.StringIO()
    chosen = choose(load(), candidates, ConsoleProgress(notes))
    return {name: f"{item.version} {item.source}" for name, item in chosen.items()}, notes.getvalue()


def test_nothing_found_means_everything_is_compiled() -> None:
    assert choice() == ({}, "")


def test_a_complete_set_of_an_older_release_is_used_as_it_is() -> None:
    candidates = [found(name, "1.33.2") for name in (APISERVER, MANAGER, "kubectl")]
    chosen, notes = choice(found("etcd", "3.5.1"), *candidates)
    assert set(chosen) == set(binaries.NAMES)
    assert notes == ""


def test_the_first_source_wins() -> None:
    first, second = "KUBEBUILDER_ASSETS", "PATH"
    chosen, _ = choice(found("etcd", "3.5.1", first), found("etcd", "3.6.0", second))
    assert chosen == {"etcd": "3.5.1 KUBEBUILDER_ASSETS"}


def test_an_apiserver_whose_controller_manager_would_be_newer_is_passed_over() -> None:
    # The usual content of KUBEBUILDER_ASSETS: etcd, kube-apiserver and kubectl only.
    chosen, notes = choice(found("etcd", "3.5.1"), found(APISERVER, "1.33.2"), found("kubectl", "1.33.2"))
    assert chosen == {"etcd": "3.5.1 PATH"}
    assert "there is no kube-controller-manager of its release" in notes
    assert "more than one release away from kube-apiserver 1.36.3" in notes


def test_an_apiserver_of_the_compiled_release_is_completed_by_compiling() -> None:
    chosen, _ = choice(found(APISERVER, "1.36.0"))
    assert chosen == {APISERVER: "1.36.0 PATH"}


@pytest.mark.parametrize(
    ("version", "fits"), [("1.34.0", False), ("1.35.9", True), ("1.36.0", True), ("1.37.0", False)]
)
def test_controller_manager_may_be_one_release_older_and_never_newer(version: str, fits: bool) -> None:
    chosen, _ = choice(found(APISERVER, "1.36.3"), found(MANAGER, version))
    assert (MANAGER in chosen) == fits


@pytest.mark.parametrize(
    ("version", "fits"), [("1.34.0", False), ("1.35.9", True), ("1.37.0", True), ("1.38.0", False)]
)
def test_kubectl_is_within_one_release_of_the_apiserver(version: str, fits: bool) -> None:
    chosen, notes = choice(found("kubectl", version))
    assert ("kubectl" in chosen) == fits
    assert ("passed over" in notes) != fits


def program(folder: Path, name: str, prints: str, code: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n", encoding="utf-8")
    path.chmod(0o755)


def test_search_prefers_the_assets_folder_and_says_what_it_passes_over(tmp_path: Path) -> None:
    assets, path = tmp_path / "assets", tmp_path / "path"
    program(assets, APISERVER, "Kubernetes v1.29.9")
    program(assets, "etcd", "etcd Version: 3.5.1")
    program(assets, "kubectl", "boom", code=1)
    program(path, APISERVER, "Kubernetes v1.35.1")
    program(path, "etcd", "etcd Version: 3.6.8")
    notes = io.StringIO()
    environment = {"KUBEBUILDER_ASSETS": str(assets), "PATH": str(path)}
    result = search(load(), ConsoleProgress(notes), environment)
    assert [(item.name, str(item.version), item.source) for item in result] == [
        ("etcd", "3.5.1", "KUBEBUILDER_ASSETS"),
        ("etcd", "3.6.8", "PATH"),
        (APISERVER, "1.35.1", "PATH"),
    ]
    assert f"{assets / APISERVER} (from KUBEBUILDER_ASSETS) is version 1.29.9, below 1.30.0" in notes.getvalue()
    assert f"{assets / 'kubectl'} (from KUBEBUILDER_ASSETS) does not report its version" in notes.getvalue()


def test_ensure_compiles_only_what_was_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "assets", "etcd", "etcd Version: 3.6.8")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    asked: list[list[str]] = []

    def compile_tools(names: list[str], progress: ConsoleProgress) -> dict[str, Path]:
        asked.append(names)
        return {name: tmp_path / "compiled" / name for name in names}

    monkeypatch.setattr(binaries, "compile_tools", compile_tools)
    result = binaries.ensure(ConsoleProgress(io.StringIO()))
    assert asked == [[APISERVER, MANAGER, "kubectl"]]
    assert result.etcd == tmp_path / "assets" / "etcd"
    assert result.kubectl == tmp_path / "compiled" / "kubectl"


def test_every_program_that_evaluates_rules_is_compiled_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is asked for with Go from wherever there is one, and a failure is not passed over."""
    asked: list[Engine] = []

    def compile_program(engine: Engine, progress: ConsoleProgress, *, find_go: object) -> Path:
        assert find_go is any_go
        asked.append(engine)
        return Path("compiled", engine.program)

    monkeypatch.setattr(binaries, "compile_program", compile_program)
    found = binaries.ensure_engines(ConsoleProgress(io.StringIO()))
    assert asked == list(Engine)
    assert found == {engine: Path("compiled", f"iocaudit-{engine}") for engine in Engine}
