"""The cache folder of compiled programs, and the lock under which exactly one process fills it."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.errors import NoCacheError

CACHE_VARIABLE = "IOCAUDIT_CACHE"

_POLL = 0.5


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """``$IOCAUDIT_CACHE``, else ``iocaudit`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``; absolute.

    Raises NoCacheError where the user has no home folder, as in a container: what others may write to will not do.
    """
    own = environment.get(CACHE_VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME")
    # The XDG specification has relative paths ignored.
    if base and Path(base).is_absolute():
        return Path(base) / "iocaudit"
    try:
        return Path.home() / ".cache" / "iocaudit"
    except RuntimeError as error:
        raise NoCacheError(
            f"this user has no home folder to keep compiled programs in: set {CACHE_VARIABLE} to a folder"
        ) from error


@contextmanager
def locked(path: Path, progress: ConsoleProgress, what: str) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` between processes; says so while another process holds it.

    The kernel drops the lock when its holder dies, so a killed build never blocks the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        since = time.monotonic()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                progress.tick(f"waiting for process {holder}, which {what}", time.monotonic() - since)
                time.sleep(_POLL)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def fill(
    target: Path,
    *,
    valid: Callable[[Path], bool],
    make: Callable[[Path], None],
    progress: ConsoleProgress,
    what: str,
) -> Path:
    """``target``, made at most once over all processes.

    ``make`` writes to the path it is given, beside ``target``; only a finished result is moved into place, so
    that an interrupted ``make`` leaves nothing that looks usable.
    """
    if valid(target):
        return target
    with locked(target.parent / ".lock", progress, what):
        if valid(target):
            return target
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
        # Of processes that were killed: nobody else is at work here while we hold the lock.
        for left_over in target.parent.glob(f".{glob.escape(target.name)}.*.unfinished"):
            _remove(left_over)
        try:
            make(unfinished)
            if target.is_dir():
                remove_tree(target)
            os.replace(unfinished, target)
        finally:
            _remove(unfinished)
    return target


def is_program(path: Path) -> bool:
    """Whether there is a program at ``path``."""
    return path.is_file() and os.access(path, os.X_OK)


def _remove(path: Path) -> None:
    if path.is_dir():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` even where its files are read-only, as Go makes its module cache."""

    def writable_then_again(function: Callable[..., Any], path: str, _error: object) -> None:
        for entry in (os.path.dirname(path), path):
            if os.path.lexists(entry) and not os.path.islink(entry):
                os.chmod(entry, stat.S_IRWXU)
        function(path)

    if folder.exists():
        shutil.rmtree(folder, onerror=writable_then_again)
