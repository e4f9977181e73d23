"""Connections to iocaudit-cel for threads: each is used by one at a time, and closed where an answer does not come."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from iocaudit.core.shape import Json
from iocaudit.engine.languages.cel.frames import FrameReader, framed
from iocaudit.engine.languages.evaluator import EngineError

_PIECE: Final = 256 * 1024
_MOST_IDLE: Final = 16


class LateAnswerError(EngineError):
    """It may be busy with the question, or not be well: it is worth asking which."""

    def __init__(self) -> None:
        super().__init__("no answer came in time")


class CelConnections:
    """Those to one socket. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._closed = False

    def ask(self, message: Json, seconds: float) -> Json:
        """The reply to a message, which is given up at the other side where it takes longer.

        Raises EngineError.
        """
        until = time.monotonic() + seconds
        number = next(self._ids)
        frame = framed({**message, "id": number, "milliseconds": max(1, int(seconds * 1000))})
        with self._lent(until) as connection:
            try:
                connection.settimeout(_left(until))
                connection.sendall(frame)
                reader = FrameReader()
                while True:
                    connection.settimeout(_left(until))
                    piece = connection.recv(_PIECE)
                    if not piece:
                        raise EngineError("iocaudit-cel ended before it answered")
                    for reply in reader.feed(piece):
                        if reply.get("id") == number:
                            return reply
                        raise EngineError("an answer came to another question")
            except TimeoutError as error:
                raise LateAnswerError from error
            except OSError as error:
                raise EngineError(f"iocaudit-cel cannot be asked: {error.strerror or error}") from error

    @contextlib.contextmanager
    def _lent(self, until: float) -> Iterator[socket.socket]:
        """A connection, which is kept for the next where all went well."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connected(until)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if not self._closed and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _connected(self, until: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(until))
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            raise EngineError(f"iocaudit-cel cannot be asked: {error.strerror or error}") from error
        return connection

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _left(until: float) -> float:
    """Seconds until then. Raises EngineError where there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise LateAnswerError
    return left
