"""Which files a command line names."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator

from iocaudit.core.errors import IocauditError
from iocaudit.sources.documents import Unreadable

_SUFFIXES = (".yaml", ".yml", ".json")
MOST_BYTES = 64 * 1024 * 1024
"""The largest file that is read; the API server's own limit for one object is 3 MiB."""


class InputError(IocauditError):
    """A path of the command line cannot be read; names it and the reason."""


def expand(paths: Iterable[str]) -> Iterator[str]:
    """The files behind the given paths, folders walked in order of names; ``-`` stays itself.

    In a folder only manifests count (.yaml, .yml, .json) and hidden folders are left out; a file that is named
    is always read. Raises InputError for a path that is not there.
    """
    for path in paths:
        if path == "-":
            yield path
        elif os.path.isdir(path):
            yield from _walk(path)
        elif os.path.exists(path):
            yield path
        else:
            raise InputError(f"{path}: no such file or folder")


def _walk(folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot read this folder: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield os.path.join(parent, name)


def size_of(path: str) -> int | None:
    """How many bytes a file has; None where it can be read only once, or not at all."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_bytes(path: str) -> bytes | Unreadable:
    """The bytes of one file (``-``: standard input), or why they cannot be had."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with open(path, "rb") as stream:
                data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        return Unreadable(None, f"cannot be read: {error.strerror}")
    if len(data) > MOST_BYTES:
        return Unreadable(None, f"larger than {MOST_BYTES // (1024 * 1024)} MiB: split it")
    return data
