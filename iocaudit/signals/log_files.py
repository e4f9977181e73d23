"""The lines of logs: plain or compressed, from files and standard input, each bounded; what cannot be read is told."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from iocaudit.core.errors import IocauditError
from iocaudit.decoding.spans import BrokenTextError, elements, end_of_value, members, start_of_value

MOST_LINE_BYTES = 16 * 1024 * 1024
"""An event holds an object of 3 MiB at most twice; escaped in a wrapper each may be twice as long."""
MOST_DOCUMENT_BYTES = 64 * 1024 * 1024
"""A JSON document over several lines is read whole, and its events one by one."""
_CHUNK = 1024 * 1024
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_ENVELOPES = frozenset({b"items", b"events", b"logEvents", b"records", b"Records"})
STANDARD_INPUT = "<stdin>"

ByteCounter = Callable[[int], None]
"""Told how many bytes of a file were read so far."""


class LogError(IocauditError):
    """A log cannot be opened; names it and the reason."""


class _Stream(Protocol):
    """What lines are read from."""

    def readline(self, size: int, /) -> bytes: ...

    def read(self, size: int, /) -> bytes: ...


class LogLine(NamedTuple):
    """A line of a log; ``problem`` says why it could not be read, and ``data`` is empty then."""

    number: int
    data: bytes
    problem: str = ""


def check_readable(path: str) -> None:
    """Raises LogError where a path cannot be a log, before anything is read."""
    if path == "-":
        return
    try:
        found = os.stat(path)
    except OSError as error:
        raise LogError(f"{path}: cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise LogError(f"{path}: a folder; name the log files in it")


def size_of(path: str) -> int:
    """How many bytes a log has; 0 where it is not known."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def is_regular(path: str) -> bool:
    """Whether it can be opened again."""
    return path != "-" and os.path.isfile(path)


def lines_of(path: str, told: ByteCounter = lambda _: None, *, most: int = MOST_LINE_BYTES) -> Iterator[LogLine]:
    """The lines of a log, blank ones left out; a document over several lines gives its events.

    Raises LogError where it cannot be opened; what goes wrong later is a line with a problem.
    """
    try:
        raw: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise LogError(f"{path}: cannot be read: {error.strerror}") from error
    counted = _CountingStream(raw)
    number = 0
    try:
        stream = io.BufferedReader(counted, _CHUNK)
        is_compressed = stream.peek(2)[:2] == _GZIP
        for line in _lines(gzip.GzipFile(fileobj=stream) if is_compressed else stream, most):
            number = line.number
            yield line
            told(counted.done)
    except EOFError:
        yield LogLine(number + 1, b"", "the compressed file ends in the middle")
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        yield LogLine(number + 1, b"", f"the rest of the file cannot be read: {reason}")
    finally:
        if path != "-":
            raw.close()


class _CountingStream(io.RawIOBase):
    """A stream that knows how much of it was read; it leaves closing to its opener."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._raw.read(len(view))
        view[: len(data)] = data
        self.done += len(data)
        return len(data)


def _lines(stream: _Stream, most: int, number: int = 0) -> Iterator[LogLine]:
    """The lines from here on, of which ``number`` were before."""
    first = number == 0
    while True:
        data = stream.readline(most + 1)
        if not data:
            return
        number += 1
        if first:
            first, data = False, data.removeprefix(_BOM)
            if data[:1] == b"[" or data.strip() == b"{":
                yield from _document(data, stream, most)
                return
        if len(data) > most and not data.endswith(b"\n"):
            while (rest := stream.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
            yield LogLine(number, b"", f"longer than {most:,} bytes: write one event a line")
        elif not data.isspace():
            yield LogLine(number, data)


def _document(head: bytes, stream: _Stream, most: int) -> Iterator[LogLine]:
    """The events of one JSON document, as command lines of clouds print them; each at the line where it begins.

    What is not one, or does not end, is read on as lines.
    """
    data = head + stream.read(MOST_DOCUMENT_BYTES - len(head))
    if len(data) == MOST_DOCUMENT_BYTES and stream.read(1):
        mib = MOST_DOCUMENT_BYTES // (1024 * 1024)
        yield LogLine(1, b"", f"a JSON document of more than {mib} MiB: write one event a line, as with jq -c '.[]'")
        return
    number, seen, position = 1, 0, 0
    try:
        for start, end in _events_of(data):
            number += data.count(b"\n", seen, start)
            seen, position = start, end
            yield LogLine(number, data[start:end])
        position = end_of_value(data, start_of_value(data))
    except BrokenTextError as error:
        yield LogLine(number, b"", f"not one JSON object a line, and the JSON document is broken: {error}")
    following = data.find(b"\n", position) + 1
    if following:
        yield from _lines(io.BytesIO(data[following:]), most, data.count(b"\n", 0, following))


def _events_of(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the events of a document stand: the items of a list, or of the list in an envelope."""
    start = start_of_value(data)
    if data[start : start + 1] == b"[":
        yield from elements(data, start)
        return
    for name, begin, _ in list(members(data, start)):
        if name in _ENVELOPES and data[begin : begin + 1] == b"[":
            yield from elements(data, begin)
            return
    yield (start, end_of_value(data, start))
