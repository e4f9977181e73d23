"""Answers read by bytes, not by objects: how much of one is held, and how many large ones at a time.

What a namespace's editor stores may be 1.5 MB an object (etcd's limit), which the API server writes as up to 9 MB: it
escapes ``<`` as six bytes. Sixty watches and lists must not each hold one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import urllib3

from iocaudit.cluster.errors import UnreachableError

SMALL: Final = 256 * 1024
"""Bytes of text up to which anyone may hold one at any time."""
LARGEST_PAGE: Final = 4 * 1024 * 1024
"""Bytes of a page of more than one object; with more, fewer objects are asked for."""
LARGEST: Final = 12 * 1024 * 1024
"""Bytes of the text of one object, more than an API server can store."""
HEAD: Final = 64 * 1024
"""Bytes kept at both ends of what is larger than that: its identity stands there."""
_AT_A_TIME = 2
_LONGEST_WAIT = 60.0


class LargeTexts:
    """Lets two threads at a time hold a large text and what is decoded of it. A thread that has one gets more."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(_AT_A_TIME)
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        """How many each thread holds."""

    def holder(self) -> Holder:
        return Holder(self)

    def enter(self, thread: int) -> None:
        """Raises UnreachableError where the others take too long."""
        if thread not in self._held and not self._free.acquire(timeout=_LONGEST_WAIT):
            raise UnreachableError(f"no room to read a large answer within {_LONGEST_WAIT:.0f} s")
        with self._lock:
            self._held[thread] = self._held.get(thread, 0) + 1

    def leave(self, thread: int) -> None:
        with self._lock:
            self._held[thread] -= 1
            if self._held[thread]:
                return
            del self._held[thread]
        self._free.release()


class Holder:
    """The part of one answer in that. ``free`` may be called at any time, and by any thread."""

    __slots__ = ("_among", "_thread")

    def __init__(self, among: LargeTexts) -> None:
        self._among = among
        self._thread: int | None = None

    def hold(self, size: int) -> None:
        """Say how many bytes are held by now; waits where that is a large text. Raises UnreachableError."""
        if size > SMALL and self._thread is None:
            thread = threading.get_ident()
            self._among.enter(thread)
            self._thread = thread

    def free(self) -> None:
        """Say that nothing is held any more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._among.leave(thread)


LARGE_TEXTS: Final = LargeTexts()
"""Those of this process."""


def read_whole(response: urllib3.BaseHTTPResponse, holder: Holder, most: int) -> bytes | bytearray | None:
    """The whole answer; None, and the connection closed, where it has more than ``most`` bytes."""
    whole = bytearray()  # it grows in place: pieces that are joined take twice the room
    for chunk in response.stream(SMALL, decode_content=True):
        size = len(whole) + len(chunk)
        if size > most:
            response.close()
            response.release_conn()
            return None
        holder.hold(size)
        whole += chunk
    response.release_conn()
    return whole


def read_ends(response: urllib3.BaseHTTPResponse, most: int) -> tuple[bytes, bytes]:
    """The first and the last ``HEAD`` bytes of an answer of any length; raises UnreachableError beyond ``most``."""
    head, tail, size = b"", b"", 0
    for chunk in response.stream(SMALL, decode_content=True):
        size += len(chunk)
        if size > most:
            response.close()
            response.release_conn()
            raise UnreachableError(f"an answer of more than {most} bytes")
        if len(head) < HEAD:
            head += chunk[: HEAD - len(head)]
        tail = (tail + chunk)[-HEAD:]
    response.release_conn()
    return head, tail


def read_lines(response: urllib3.BaseHTTPResponse, holder: Holder) -> Iterator[tuple[bytearray, bool]]:
    """Each line, and whether that is all of it: of one longer than ``LARGEST`` only the beginning is kept.

    ``holder`` is freed once the next line is asked for.
    """
    line, whole = bytearray(), True
    for chunk in response.stream(SMALL, decode_content=True):
        for number, part in enumerate(chunk.split(b"\n")):
            if number:
                if line.strip():
                    yield line, whole
                holder.free()
                line, whole = bytearray(), True
            if whole:
                holder.hold(len(line) + len(part))
                line += part
                if len(line) > LARGEST:
                    line, whole = line[:HEAD], False
                    holder.free()
