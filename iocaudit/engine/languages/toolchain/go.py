"""Go: the toolchain on this machine, its caches, and one program compiled by it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from iocaudit.engine.languages.toolchain.cachefolder import cache_folder, locked, remove_tree
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import BuildError
from iocaudit.engine.languages.toolchain.logged import run_logged
from iocaudit.engine.languages.toolchain.version import Version

_CACHES = ("GOCACHE", "GOMODCACHE")
_PROBE_SECONDS = 60


@dataclass(frozen=True)
class GoProgram:
    """A main package to compile: in the folder of its module, with its linker flags and build tags."""

    name: str
    module: Path
    package: str
    linker_flags: str
    tags: str = ""


def work_folder() -> Path:
    """What is only needed while compiling: Go's caches, and Go itself if it had to be installed."""
    return cache_folder() / "go-build"


def needed_go(module: Path) -> Version:
    """The oldest toolchain that may build a module. Raises BuildError where its go.mod does not say."""
    return module_go_version((module / "go.mod").read_text(encoding="utf-8"))


def module_go_version(go_mod: str) -> Version:
    """The ``go`` line of a go.mod: the oldest toolchain that may build the module."""
    match = re.search(r"^go (\S+)", go_mod, re.MULTILINE)
    version = Version.find(match[1]) if match else None
    if version is None:
        raise BuildError("go.mod has no 'go' line: add one, such as 'go 1.26.0'")
    return version


def go_on_path(needed: Version, progress: ConsoleProgress) -> Path | None:
    """The Go toolchain on PATH, if it is new enough; notes one that is not."""
    on_path = shutil.which("go")
    if on_path is None:
        return None
    found = go_version(Path(on_path))
    if found is not None and found >= needed:
        return Path(on_path)
    progress.note(f"{on_path} is Go {found or 'of unknown version'}, {needed} is needed: passed over")
    return None


def go_version(go: Path) -> Version | None:
    """The version of the toolchain at ``go`` itself, or None if it does not run."""
    said = go_variable(go, "GOVERSION")
    return Version.find(said) if said is not None else None


def go_variable(go: Path, variable: str) -> str | None:
    """What ``go env`` says of a variable, or None if the toolchain at ``go`` does not run."""
    try:
        return subprocess.run(
            [go, "env", variable],
            # Away from any go.mod, and "local", so Go does not answer for a toolchain it would download.
            cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@contextmanager
def building(progress: ConsoleProgress, what: str) -> Iterator[None]:
    """Be the one process that compiles: a second one waits, and does not compete for the same caches."""
    with locked(cache_folder() / "tools" / ".build.lock", progress, what):
        yield


@contextmanager
def go_caches(go: Path, *, borrow: bool) -> Iterator[dict[str, str]]:
    """The variables of Go's build and module caches, for as long as something is compiled.

    Those that the user has set stay. With ``borrow``, Go's own folders are used where there are any, since
    someone here writes Go. Else they are folders of ours, gigabytes, which are removed at the end; after a failed build
    they stay, and the next try goes on where this one stopped.
    """
    chosen: dict[str, str] = {}
    for variable in _CACHES:
        if os.environ.get(variable):
            continue
        theirs = go_variable(go, variable) if borrow else None
        if not theirs or not Path(theirs).is_dir():
            folder = work_folder() / variable.lower()
            folder.mkdir(parents=True, exist_ok=True)
            chosen[variable] = str(folder)
    yield chosen
    remove_tree(work_folder())


def go_build(
    go: Path,
    program: GoProgram,
    target: Path,
    caches: dict[str, str],
    progress: ConsoleProgress,
    what: str,
    otherwise: str,
) -> None:
    """Compile one program. Raises NoNetworkError or BuildError; ``otherwise`` as in ``run_logged``."""
    command = [
        str(go),
        "build",
        "-mod=readonly",
        *(["-modcacherw"] if "GOMODCACHE" in caches else []),
        "-trimpath",
        "-buildvcs=false",
        *([f"-tags={program.tags}"] if program.tags else []),
        f"-ldflags={program.linker_flags}",
        f"-o={target}",
        program.package,
    ]
    environment = {**os.environ, **caches, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    # Left over from the user's shell, these would change what is built. -p only says how much at a time.
    flags = environment.pop("GOFLAGS", "").split()
    if kept := [flag for flag in flags if flag.startswith("-p=")]:
        environment["GOFLAGS"] = " ".join(kept)
    for variable in ("GOOS", "GOARCH", "GOEXPERIMENT"):
        environment.pop(variable, None)
    run_logged(command, progress=progress, what=what, cwd=program.module, environment=environment, otherwise=otherwise)
