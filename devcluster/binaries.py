"""Paths of etcd, kube-apiserver, kube-controller-manager and kubectl: found, or else compiled once.

They are looked for in the folder ``$KUBEBUILDER_ASSETS``, then on PATH, then among those compiled before.
``python -m devcluster.binaries`` prints the paths, and those of the programs that evaluate rules, which it compiles as
well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster.build import any_go, compile_tools
from devcluster.manifest import Tool, load
from iocaudit.core.errors import IocauditError
from iocaudit.engine.languages.programs import compile_program
from iocaudit.engine.languages.sources import Engine, shipped
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.version import Version

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")

_PROBE_SECONDS = 20


@dataclass(frozen=True)
class Binaries:
    """Absolute paths of the four programs."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path


@dataclass(frozen=True)
class InstalledProgram:
    """A program seen on this machine, with the version that it reports."""

    name: str
    path: Path
    version: Version
    source: str


def ensure(progress: ConsoleProgress | None = None) -> Binaries:
    """The four programs in versions that fit together; compiles what is not there.

    Raises NoGoError, NoNetworkError or BuildError.
    """
    progress = progress or ConsoleProgress()
    tools = load()
    chosen = choose(tools, search(tools, progress), progress)
    paths = {name: found.path for name, found in chosen.items()}
    paths |= compile_tools([name for name in NAMES if name not in paths], progress)
    return Binaries(*(paths[name] for name in NAMES))


def ensure_engines(progress: ConsoleProgress) -> dict[Engine, Path]:
    """The programs that evaluate rules, compiled into the cache folder from the sources of this clone.

    Raises NoGoError, NoNetworkError or BuildError.
    """
    return {engine: compile_program(engine, progress, find_go=any_go) for engine in shipped()}


def search(
    tools: Mapping[str, Tool], progress: ConsoleProgress, environment: Mapping[str, str] = os.environ
) -> list[InstalledProgram]:
    """Usable programs on this machine, the preferred ones first; notes those that are passed over."""
    found: list[InstalledProgram] = []
    assets = environment.get(ASSETS_VARIABLE)
    for name in NAMES:
        candidates: list[tuple[Path, str]] = []
        if assets:
            candidates.append((Path(assets).expanduser().absolute() / name, ASSETS_VARIABLE))
        on_path = shutil.which(name, path=environment.get("PATH"))
        if on_path:
            candidates.append((Path(on_path).absolute(), "PATH"))
        for path, source in candidates:
            if not path.is_file():
                continue
            version = probe(path, tools[name].probe)
            if version is None:
                progress.note(f"{path} (from {source}) does not report its version: passed over")
            elif version < tools[name].minimum:
                minimum = tools[name].minimum
                progress.note(f"{path} (from {source}) is version {version}, below {minimum}: passed over")
            else:
                found.append(InstalledProgram(name, path, version, source))
    return found


def probe(path: Path, arguments: Sequence[str]) -> Version | None:
    """The version that the program reports, or None if it does not run or reports none."""
    try:
        result = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return Version.find(result.stdout)


def choose(
    tools: Mapping[str, Tool], found: Iterable[InstalledProgram], progress: ConsoleProgress
) -> dict[str, InstalledProgram]:
    """Which found programs to use; what is absent from the answer is to be compiled.

    Keeps to Kubernetes' version skew policy: kube-controller-manager is not newer than kube-apiserver and at
    most one minor release older, kubectl is within one minor release of it.
    """
    candidates = list(found)

    def pick(name: str, minors: range) -> InstalledProgram | None:
        for item in candidates:
            if item.name == name and item.version.major == 1 and item.version.minor in minors:
                return item
        return None

    def manager_range(server: Version) -> range:
        return range(server.minor - 1, server.minor + 1)

    chosen: dict[str, InstalledProgram] = {}
    for item in candidates:
        if item.name == "etcd":
            chosen["etcd"] = item
            break

    compiled = tools["kube-apiserver"].version
    server_version = compiled
    for item in candidates:
        if item.name != "kube-apiserver":
            continue
        fitting = manager_range(item.version)
        manager = pick("kube-controller-manager", fitting)
        if manager is None and tools["kube-controller-manager"].version.minor not in fitting:
            progress.note(
                f"{item.path} (from {item.source}) is version {item.version}, and there is no "
                f"kube-controller-manager of its release: passed over"
            )
            continue
        chosen["kube-apiserver"] = item
        server_version = item.version
        break
    manager = pick("kube-controller-manager", manager_range(server_version))
    if manager is not None:
        chosen["kube-controller-manager"] = manager

    kubectl = pick("kubectl", range(server_version.minor - 1, server_version.minor + 2))
    if kubectl is not None:
        chosen["kubectl"] = kubectl
    else:
        for item in candidates:
            if item.name == "kubectl":
                progress.note(
                    f"{item.path} (from {item.source}) is version {item.version}, more than one release away "
                    f"from kube-apiserver {server_version}: passed over"
                )
    return chosen


def main() -> int:
    """Print one ``name path`` line per program; the exit code is 1 with a message on failure."""
    progress = ConsoleProgress()
    try:
        binaries = ensure(progress)
        engines = ensure_engines(progress)
    except IocauditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    paths = (binaries.etcd, binaries.kube_apiserver, binaries.kube_controller_manager, binaries.kubectl)
    for name, path in zip(NAMES, paths, strict=True):
        print(f"{name} {path}")
    for engine, path in engines.items():
        print(f"{engine.program} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
