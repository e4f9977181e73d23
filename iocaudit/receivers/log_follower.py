"""Follows the API server's audit log file, across rotation and restarts.

Where the file was read up to stands in the same commit as what was read of it: nothing is lost or counted twice. The
file itself is the buffer: where nothing can be stored, nothing is read.

The API server renames a file that is full and begins another (lumberjack); other tools copy it and cut it off. Both are
noticed: by the file's inode and its first bytes, and by a size that is less than what was read.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import orjson

from iocaudit.decoding.objects import NotJsonError, decode
from iocaudit.receivers.body import read_entries
from iocaudit.receivers.journal import Journal, JournalFullError, NewBatch
from iocaudit.receivers.senders import LOG_SENDER
from iocaudit.signals.signal import SignalSource
from iocaudit.supervision.part import Stop

_log = logging.getLogger(__name__)

MOST_READ: Final = 1 << 20
LONGEST_LINE: Final = 16 << 20
_HEAD = 256
_NAP, _FULL_NAP = 0.5, 5.0
_BEGIN, _END = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[', b"]}"


class LogPosition(NamedTuple):
    """How far a file was read. ``head`` is a digest of its first bytes: inodes are given to other files again."""

    inode: int
    head: str
    offset: int


class LogFollower:
    """`run` is its thread; ``stored`` is told of each commit, ``unreadable`` of each line that is not JSON."""

    def __init__(
        self,
        path: Path,
        journal: Journal,
        stored: Callable[[], None] = lambda: None,
        unreadable: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        lost: Callable[[str], None] = lambda _what: None,
    ) -> None:
        """``lost`` is told in words of what will never be read."""
        self._path, self._journal = path, journal
        self._stored, self._unreadable, self._clock = stored, unreadable, clock
        self._lost = lost
        self._fact = f"log:{path}"
        self._file: BinaryIO | None = None
        self._offset = 0
        self._begins = ""
        self._skipping = False
        self._said = ""

    def run(self, life: Stop) -> None:
        """Follow until told to end. A file that is not there yet is waited for."""
        try:
            while not life.is_set():
                try:
                    nap = 0.0 if self.step() else _NAP
                except JournalFullError as error:
                    self._tell(f"cannot be stored: {error}")
                    nap = _FULL_NAP
                except OSError as error:
                    self._tell(f"cannot be read: {error.strerror or error}")
                    self.close()
                    nap = _NAP
                if nap and life.wait(nap):
                    return
        finally:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def step(self) -> bool:
        """Store what is next; whether there was something. Raises OSError, JournalFullError."""
        if self._file is None:
            self._open()
        file = self._file
        assert file is not None
        if self._offset and _head(file) != self._begins:  # it was cut off and written anew
            self._offset, self._skipping = 0, False
        file.seek(self._offset)
        data = file.read(MOST_READ)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == MOST_READ:
            data += file.read(LONGEST_LINE - MOST_READ)
            end = data.rfind(b"\n") + 1
        if end:
            self._store(data[:end])
            return True
        if len(data) >= LONGEST_LINE:
            self._skip(len(data))
            return True
        return self._follow(data)

    def _open(self) -> None:
        """The file that was read last where it is still there, under whatever name; else the one that is written."""
        known = self._known()
        if known is not None and (found := self._found(known)) is not None:
            self._file, self._offset, self._begins = found.open("rb"), known.offset, known.head
            return
        if known is not None:
            said = f"{self._path}: the file that was read last is gone; what it held since is lost"
            _log.warning("%s", said)
            self._lost(said)
        self._file, self._offset = self._path.open("rb"), 0

    def _known(self) -> LogPosition | None:
        kept = self._journal.facts().get(self._fact)
        return LogPosition(*orjson.loads(kept)) if kept is not None else None

    def _found(self, known: LogPosition) -> Path | None:
        for path in self._files():
            try:
                with path.open("rb") as file:
                    state = os.fstat(file.fileno())
                    if state.st_ino == known.inode and state.st_size >= known.offset and _head(file) == known.head:
                        return path
            except OSError:
                continue  # it went away meanwhile, or is a folder
        return None

    def _files(self) -> list[Path]:
        """The file and those that it was renamed to."""
        pattern = f"{glob.escape(self._path.stem)}*"
        others = [path for path in self._path.parent.glob(pattern) if path.suffix != ".gz" and path != self._path]
        return [self._path, *sorted(others)]

    def _next(self, state: os.stat_result) -> Path:
        """The file after one that was read to its end: several may have been begun since."""
        found = []
        for path in self._files():
            with contextlib.suppress(OSError):
                other = path.stat()
                if other.st_ino != state.st_ino and other.st_mtime_ns >= state.st_mtime_ns:
                    found.append((other.st_mtime_ns, path == self._path, path))
        return min(found)[2] if found else self._path

    def _follow(self, rest: bytes) -> bool:
        """At the end of a file: go on with the next where there is one. ``rest`` is a line that is not whole."""
        file = self._file
        assert file is not None
        size = os.fstat(file.fileno()).st_size
        if size < self._offset:  # it was cut off
            self._offset, self._skipping = 0, False
            return size > 0
        try:
            is_written = os.stat(self._path).st_ino == os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return False  # between a rename and the next file
        if is_written:
            return False
        if rest:
            self._store(rest + b"\n", length=len(rest))
        following = self._next(os.fstat(file.fileno()))
        self.close()
        self._file, self._offset, self._skipping = following.open("rb"), 0, False
        return True

    def _skip(self, length: int) -> None:
        self._unreadable()
        self._tell(f"a line is longer than {LONGEST_LINE} bytes, and is passed over")
        self._skipping = True
        self._keep([], length)

    def _store(self, data: bytes, *, length: int | None = None) -> None:
        """Store whole lines; those that are not JSON are counted, and cost no other."""
        lines = data.split(b"\n")[:-1]
        if self._skipping:
            lines, self._skipping = lines[1:], False
        events = []
        for line in lines:
            if not line.strip():
                continue
            try:
                if not isinstance(decode(line), dict):
                    raise NotJsonError("it is not an object")
            except NotJsonError as error:
                self._unreadable()
                self._tell(f"a line is not an event: {error}")
                continue
            events.append(line)
        batches = []
        if events:
            body = _BEGIN + b",".join(events) + _END
            identities = [entry.identity for entry in read_entries(SignalSource.AUDIT, body)]
            batches.append(NewBatch(SignalSource.AUDIT, LOG_SENDER.name, self._clock(), body, identities))
        self._keep(batches, len(data) if length is None else length)

    def _keep(self, batches: list[NewBatch], length: int) -> None:
        file = self._file
        assert file is not None
        offset = self._offset + length
        position = LogPosition(os.fstat(file.fileno()).st_ino, _head(file), offset)
        self._journal.append(batches, {self._fact: orjson.dumps(list(position))})
        self._offset, self._begins = offset, position.head
        if batches:
            self._said = ""
            self._stored()

    def _tell(self, problem: str) -> None:
        if problem != self._said:
            _log.error("%s: %s", self._path, problem)
        self._said = problem


def _head(file: BinaryIO) -> str:
    """A digest of the first bytes, as far as they are one line: more may be appended to what is shorter."""
    file.seek(0)
    return hashlib.sha256(file.read(_HEAD).partition(b"\n")[0]).hexdigest()[:32]
