"""Which files a command line names, and how they are opened.

A folder is read as ``kubectl apply -R -f`` reads it: every file whose name ends like a manifest, hidden ones and
those in hidden folders too, links to files but not to folders. What is left out all the same is named. In a folder
only regular files are opened; a pipe that is named by itself (``<(…)`` of a shell) is read to its end, once.

Source: ExpandPathsToFileVisitors of k8s.io/cli-runtime, which is Go's filepath.Walk.
"""

import os
import stat
import sys
from collections.abc import Iterable
from typing import NamedTuple

from iocaudit.core.errors import IocauditError
from iocaudit.sources.documents import ReadFailure
from iocaudit.sources.excluded import ExcludedPaths

_SUFFIXES = (".yaml", ".yml", ".json")
_KUSTOMIZATION = "Kustomization"
"""kubectl apply does not read it, but it says what files beside it mean."""
_GIT = ".git"
MOST_BYTES = 64 * 1024 * 1024
"""The largest file that is read; the API server's own limit for one object is 3 MiB."""


class InputError(IocauditError):
    """A path of the command line cannot be read; names it and the reason."""


class UnreadPath(NamedTuple):
    """A path that is not read, and why."""

    path: str
    reason: str


class Inputs:
    """The files behind the paths of a command line.

    ``files`` has them in the order of the paths, ``named`` those that were given by themselves, which need not be
    regular; ``left_out`` is what a folder holds and is not read, ``unreadable`` folders that cannot be read.
    """

    def __init__(self, paths: Iterable[str], excluded: ExcludedPaths | None = None) -> None:
        """Raises InputError for a path that is not there. ``-`` stays itself."""
        self._excluded = excluded or ExcludedPaths()
        self.files: list[str] = []
        self.named: set[str] = set()
        self.left_out: list[UnreadPath] = []
        self.unreadable: list[UnreadPath] = []
        for path in paths:
            if path != "-" and not os.path.exists(path):
                raise InputError(f"{path}: no such file or folder")
            if path != "-" and os.path.isdir(path):
                self._walk(path)
                continue
            if path != "-" and self._excluded.leaves_out_named(path):
                continue
            self.files.append(path)
            self.named.add(path)

    @property
    def once(self) -> list[str]:
        """Those that can be read only once: standard input, and what is not a regular file."""
        return [path for path in self.files if path in self.named and (path == "-" or not _is_regular(path))]

    def _walk(self, root: str) -> None:
        real = os.path.realpath(root)
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.unreadable.append(UnreadPath(folder, f"cannot read this folder: {error.strerror}"))
                continue
            kept = [entry for entry in found if not self._is_excluded(entry, root)]
            waiting += reversed([path for entry in kept if (path := self._take(entry, real)) is not None])

    def _is_excluded(self, entry: "os.DirEntry[str]", root: str) -> bool:
        """Whether an entry that would be read or walked is left out; others are not counted."""
        relevant = entry.name.endswith(_SUFFIXES) or os.path.isdir(entry.path)
        return relevant and self._excluded.leaves_out(entry.path, root)

    def _take(self, entry: "os.DirEntry[str]", root: str) -> str | None:
        """Note an entry of a folder; its path where it is a folder to walk."""
        if entry.is_dir(follow_symlinks=False):
            if entry.name != _GIT:
                return entry.path
            if _holds_manifest(entry.path):
                self.left_out.append(UnreadPath(entry.path, "not read: a folder of git, though it holds manifests"))
        elif _is_linked_folder(entry):
            if not _is_within(os.path.realpath(entry.path), root):
                self.left_out.append(UnreadPath(entry.path, "not read: a link to a folder; name that folder as well"))
        elif entry.name.endswith(_SUFFIXES) or entry.name == _KUSTOMIZATION:
            if _may_be_regular(entry):
                self.files.append(entry.path)
            else:
                self.left_out.append(UnreadPath(entry.path, f"not read: {_NOT_REGULAR}"))
        return None


_NOT_REGULAR = "not a regular file, but a pipe, a socket or a device"


def _is_linked_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False


def _may_be_regular(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a regular file, or a link that leads nowhere: that one is an error when it is read."""
    try:
        return entry.is_file() or not os.path.exists(entry.path)
    except OSError:
        return True


def _is_within(path: str, root: str) -> bool:
    """Whether what is at a real path is read anyway, under its own name."""
    inside = os.path.commonpath((path, root)) == root
    return inside and _GIT not in os.path.relpath(path, root).split(os.sep)


def _holds_manifest(folder: str) -> bool:
    return any(name.endswith(_SUFFIXES) for _, _, files in os.walk(folder) for name in files)


def _is_regular(path: str) -> bool:
    return size_of(path) is not None


def size_of(path: str) -> int | None:
    """How many bytes a file has; None where it can be read only once, or not at all."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_bytes(path: str, *, named: bool = False) -> bytes | ReadFailure:
    """The bytes of one file (``-``: standard input), or why they cannot be had.

    ``named``: it was given by itself, so it may be a pipe, which is waited for.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            # A pipe that took a file's place meanwhile would be waited for by a plain open.
            waiting = 0 if named else os.O_NONBLOCK | os.O_NOCTTY
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | waiting), "rb") as stream:
                if not named and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    return ReadFailure(None, f"cannot be read: {_NOT_REGULAR}")
                data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        return ReadFailure(None, f"cannot be read: {error.strerror}")
    if len(data) > MOST_BYTES:
        return ReadFailure(None, f"larger than {MOST_BYTES // (1024 * 1024)} MiB: split it")
    return data


def read_once(paths: Iterable[str]) -> dict[str, bytes]:
    """The bytes of those inputs that cannot be read twice; raises InputError where they cannot be had."""
    given = {}
    for path in Inputs(paths).once:
        data = read_bytes(path, named=True)
        if isinstance(data, ReadFailure):
            raise InputError(f"{'<stdin>' if path == '-' else path}: {data.reason}")
        given[path] = data
    return given
