"""promtool, which tests rules for Prometheus: taken from PATH, or else compiled once into the cache folder."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from devcluster.binaries import probe
from devcluster.build import any_go
from iocaudit.engine.languages.toolchain.cachefolder import cache_folder, fill, is_program
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.go import GoProgram, building, go_build, go_caches, needed_go
from iocaudit.engine.languages.toolchain.version import Version

MODULE = Path(__file__).parents[1] / "prometheus"
OLDEST = Version(2, 42, 0)
"""The oldest that is taken from PATH: what Debian 12 has; it knows all that the rules use."""
_PACKAGE = "github.com/prometheus/prometheus/cmd/promtool"
_TAGS = "remove_all_sd"
"""Without the clients of every cloud, which find what to scrape: a third of the time and half of the program."""


def ensure_promtool(progress: ConsoleProgress | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The program. Raises NoGoError, NoNetworkError or BuildError, each with what to do."""
    progress = progress or ConsoleProgress()
    on_path = shutil.which("promtool", path=environment.get("PATH"))
    if on_path is not None:
        version = probe(Path(on_path), ["--version"])
        if version is not None and version >= OLDEST:
            return Path(on_path).absolute()
        progress.note(f"{on_path} is promtool {version or 'of unknown version'}, {OLDEST} is needed: passed over")
    target = compiled_path()
    if not is_program(target):
        progress.note(f"compiling promtool (once, into {target.parent}; about 3 minutes on two cores)")
        _compile(target, progress)
    return target


def compiled_path(module: Path = MODULE) -> Path:
    """Where the program of this version of the module is, or will be."""
    digest = hashlib.sha256()
    for part in (*((module / name).read_bytes() for name in ("go.mod", "go.sum")), _TAGS.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    digest.update(f"{sys.platform} {platform.machine()}".encode())
    return cache_folder() / "tools" / f"promtool-{digest.hexdigest()[:12]}" / "promtool"


def _compile(target: Path, progress: ConsoleProgress) -> None:
    with building(progress, "compiles promtool"):
        if is_program(target):
            return
        go = any_go(needed_go(MODULE), progress)
        program = GoProgram("promtool", MODULE, _PACKAGE, "-s -w", _TAGS)
        with go_caches(go, borrow=True) as caches:
            fill(
                target,
                valid=is_program,
                make=lambda path: go_build(
                    go, program, path, caches, progress, "compiling promtool", "put promtool on PATH"
                ),
                progress=progress,
                what="compiles promtool",
            )
