"""The programs that evaluate rules: found on PATH or in the cache folder, or compiled into it from their Go sources."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from iocaudit.engine.languages.evaluator import EngineMissingError
from iocaudit.engine.languages.sources import Engine, sources_digest
from iocaudit.engine.languages.toolchain.cachefolder import CACHE_VARIABLE, cache_folder, fill, is_program
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import NoCacheError, NoGoError
from iocaudit.engine.languages.toolchain.go import GoProgram, building, go_build, go_caches, go_on_path, needed_go
from iocaudit.engine.languages.toolchain.version import Version

_PROBE_SECONDS = 20.0
_MOST_OUTPUT = 256 * 1024
_VERSION = re.compile(r"(iocaudit-[a-z]+) (\S+) sources ([0-9a-f]{64})\n?")
_LANGUAGE = {Engine.OPA: "Rego", Engine.CEL: "CEL"}


class ProgramPlace(StrEnum):
    """Where a program was found."""

    PATH = "PATH"
    CACHE = "cache"


@dataclass(frozen=True)
class FoundProgram:
    """A program that was found. ``refused`` is why it is not used; empty where it is."""

    engine: Engine
    path: Path
    place: ProgramPlace
    refused: str = ""


@dataclass(frozen=True)
class ReportedVersion:
    """What a program says about itself: its name, the version of what it is built on, the digest of its sources."""

    name: str
    version: str
    digest: str


def find_program(engine: Engine, *, allow_reaching_out: bool = False) -> Path:
    """The path of the program of an engine.

    ``allow_reaching_out`` takes one from PATH that was made of other sources, or lets rules reach out. Raises
    EngineMissingError with the command that installs it, and with what was found and refused.
    """
    refused: list[str] = []
    for found in look_for(engine, allow_reaching_out=allow_reaching_out):
        if not found.refused:
            return found.path
        refused.append(f"; {found.path} is not used: {found.refused}")
    raise EngineMissingError(
        f"{engine.program}, which evaluates rules in {_LANGUAGE[engine]}, is not installed{''.join(refused)}. "
        f"Install it with: iocaudit engines install {engine}"
    )


def look_for(engine: Engine, *, allow_reaching_out: bool = False) -> list[FoundProgram]:
    """What there is of an engine, in the order in which it is looked for: on PATH, then in the cache folder."""
    found: list[FoundProgram] = []
    if (on_path := shutil.which(engine.program)) is not None:
        path = Path(on_path).absolute()
        found.append(
            FoundProgram(engine, path, ProgramPlace.PATH, "" if allow_reaching_out else _refusal(engine, path))
        )
    try:
        compiled = compiled_path(engine)
    except NoCacheError:
        return found
    if is_program(compiled):
        # Named after the digest of the sources that it was compiled from, here.
        found.append(FoundProgram(engine, compiled, ProgramPlace.CACHE))
    return found


def reported_version(path: Path) -> ReportedVersion | None:
    """What the program at ``path`` says about itself, or None where it does not run or says it in another way."""
    done = _run(path, "version")
    match = _VERSION.match(done.stdout) if done is not None and done.returncode == 0 else None
    return ReportedVersion(match[1], match[2], match[3]) if match is not None else None


def _refusal(engine: Engine, path: Path) -> str:
    """Why a program from PATH is not to be used, or nothing."""
    reported = reported_version(path)
    if reported is None or reported.name != engine.program:
        return f"it does not report name, version and digest as {engine.program} does"
    if engine is Engine.OPA and _reaches_out(path):
        return "it lets rules reach out (it accepts http.send)"
    if reported.digest != sources_digest(engine):
        return f"it was compiled from the sources of another version of iocaudit (digest {reported.digest[:12]})"
    return ""


def _reaches_out(path: Path) -> bool:
    """Whether it takes a rule that sends requests. Partial evaluation compiles it, and never calls such a function."""
    done = _run(path, "eval", "--partial", "--format=json", "http.send(input.request)")
    return done is None or done.returncode == 0 or "undefined function http.send" not in done.stdout


def _run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """What it printed and how it ended; None where it does not run, takes too long or does not stop printing."""
    try:
        process = subprocess.Popen(
            [path, *arguments],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    end = threading.Timer(_PROBE_SECONDS, _end_all, [process])
    end.start()
    assert process.stdout is not None
    try:
        said = process.stdout.read(_MOST_OUTPUT + 1)
        if len(said) > _MOST_OUTPUT:
            _end_all(process)
        code = process.wait()
    except BaseException:
        _end_all(process)
        raise
    finally:
        end.cancel()
        process.stdout.close()
    if len(said) > _MOST_OUTPUT:
        return None
    return subprocess.CompletedProcess(process.args, code, said.decode("utf-8", "replace"))


def _end_all(process: subprocess.Popen[bytes]) -> None:
    """With what it started, which may hold its output open."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def compiled_path(engine: Engine) -> Path:
    """Where the program of these sources is, or will be, in the cache folder."""
    key = f"{sources_digest(engine)[:16]}-{sys.platform}-{platform.machine()}"
    return cache_folder() / "engines" / key / engine.program


def compile_program(
    engine: Engine,
    progress: ConsoleProgress | None = None,
    *,
    find_go: Callable[[Version, ConsoleProgress], Path | None] = go_on_path,
) -> Path:
    """The program in the cache folder, compiled with Go if it is not there yet.

    ``find_go`` is asked for a toolchain of a version or newer, if it has to be compiled. Raises NoGoError,
    NoNetworkError, NoCacheError or BuildError, each with what to do.
    """
    target = compiled_path(engine)
    if is_program(target):
        return target
    try:
        return _compiled(engine, target, progress or ConsoleProgress(), find_go)
    except OSError as error:
        where = error.filename or target.parent
        raise NoCacheError(
            f"{engine.program} cannot be kept in {target.parent} ({where}: {error.strerror or error}): set "
            f"{CACHE_VARIABLE} to a folder that you may write to, with 4 GB of free space"
        ) from error


def _compiled(
    engine: Engine,
    target: Path,
    progress: ConsoleProgress,
    find_go: Callable[[Version, ConsoleProgress], Path | None],
) -> Path:
    with building(progress, f"compiles {engine.program}"):
        if is_program(target):
            return target
        needed = needed_go(engine.sources)
        go = find_go(needed, progress)
        if go is None:
            raise NoGoError(
                f"{engine.program} is compiled with Go {needed} or newer, which is not on PATH: install Go, and run "
                f"'iocaudit engines install {engine}' again, or put {engine.program} from the image on PATH"
            )
        progress.note(f"compiling {engine.program} (once, into {target.parent}; a few minutes)")
        program = GoProgram(engine.program, engine.sources, ".", "-s -w")
        otherwise = f"put {engine.program} from the image on PATH"
        with go_caches(go, borrow=True) as caches:
            fill(
                target,
                valid=is_program,
                make=lambda path: go_build(
                    go, program, path, caches, progress, f"compiling {engine.program}", otherwise
                ),
                progress=progress,
                what=f"compiles {engine.program}",
            )
    return target
