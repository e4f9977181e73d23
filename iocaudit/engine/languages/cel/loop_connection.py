"""A connection to iocaudit-cel for an event loop: many questions at once, answers by their numbers."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Final, cast

from iocaudit.core.shape import Json
from iocaudit.engine.languages.cel.connections import LateAnswerError
from iocaudit.engine.languages.cel.frames import LARGEST, FrameReader, framed
from iocaudit.engine.languages.evaluator import EngineError

_MOST_UNSENT: Final = LARGEST
"""Bytes that wait to be sent: more than that, and iocaudit-cel cannot keep up."""


class LoopConnection(asyncio.Protocol):
    """Used by one event loop alone."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._lost = "the connection was not made"

    @classmethod
    async def opened(cls, path: Path) -> LoopConnection:
        """One that is connected. Raises EngineError."""
        try:
            _, connection = await asyncio.get_running_loop().create_unix_connection(cls, str(path))
        except OSError as error:
            raise EngineError(f"iocaudit-cel cannot be asked: {error.strerror or error}") from error
        return connection

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, message: Json, seconds: float) -> Json:
        """The reply to a message; one that takes longer, or whose asker leaves, is given up at the other side.

        Raises EngineError.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise EngineError(self._lost)
        if transport.get_write_buffer_size() > _MOST_UNSENT:
            raise EngineError("iocaudit-cel does not keep up with what is asked")
        number = next(self._ids)
        frame = framed({**message, "id": number, "milliseconds": max(1, int(seconds * 1000))})
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        transport.write(frame)
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise LateAnswerError from error
        finally:
            if self._waiting.pop(number, None) is not None and not transport.is_closing():
                transport.write(framed({"cancel": number}))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is one without saying so

    def data_received(self, data: bytes) -> None:
        try:
            replies = self._reader.feed(data)
        except EngineError as error:
            self._lost = str(error)
            if self._transport is not None:
                self._transport.abort()
            return
        for reply in replies:
            waiting = self._waiting.pop(reply["id"], None) if isinstance(reply.get("id"), int) else None
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or self._lost == "the connection was not made":
            self._lost = "iocaudit-cel ended before it answered"
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(EngineError(self._lost))
        self._waiting.clear()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
