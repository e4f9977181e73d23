"""HTTP to one server for an event loop, and no more of it than queries need: POST of JSON over kept connections.

A session of aiohttp takes as long for a query as all checks take for a pod.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from typing import Final, NamedTuple, cast

import httptools

_IDLE: Final = 15.0
"""Seconds after which a connection that nobody used is not used again: what is in between may have forgotten it."""
_MOST_HEAD: Final = 65_536
"""Bytes that the headers of an answer may have."""
_LOST: Final = "it closed the connection"


class HttpReply(NamedTuple):
    """An answer that was read to its end."""

    status: int
    body: bytes


class NotHttpError(Exception):
    """What came is not an answer of HTTP, or is larger than one may be; says which."""


class NotConnectedError(ConnectionError):
    """No connection was made, so nothing was asked."""


class NotSentError(TimeoutError):
    """Time was up before anything was asked."""


class LoopHttp:
    """The connections to one server, at most so many at once. Used by one event loop alone."""

    def __init__(self, host: str, port: int, head: str, *, tls: ssl.SSLContext | None, most: int, largest: int) -> None:
        """``head`` are the headers of each request, each with its end of line; ``largest`` bounds an answer."""
        self._host, self._port, self._head, self._tls, self._largest = host, port, head, tls, largest
        self._slots = asyncio.Semaphore(most)
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._closed = False

    async def post(self, path: str, body: bytes, seconds: float) -> HttpReply:
        """The answer. Where it takes longer, or who asks leaves, the connection is closed: that ends the query.

        Raises TimeoutError, OSError (ssl.SSLError among them), NotHttpError. Nothing is tried again.
        """
        call = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        is_sent = False
        try:
            async with asyncio.timeout(seconds), self._slots:
                connection = self._kept() or await self._connected()
                is_sent = True
                return await self._exchange(connection, call)
        except TimeoutError as error:
            if is_sent:
                raise
            raise NotSentError(str(error)) from error

    def _kept(self) -> _Connection | None:
        oldest = time.monotonic() - _IDLE
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        name = self._host if self._tls is not None else None
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._largest, self._all),
                self._host,
                self._port,
                ssl=self._tls,
                server_hostname=name,
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            raise NotConnectedError(str(error)) from error
        return connection

    async def _exchange(self, connection: _Connection, call: bytes) -> HttpReply:
        try:
            reply = await connection.exchange(call)
        except BaseException:
            connection.close()
            raise
        if connection.is_open and not self._closed:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def close(self) -> None:
        """Close what is open; from the event loop, or once that is closed."""
        self._closed = True
        self._idle.clear()
        for connection in list(self._all):
            # What is awaited elsewhere has begun to close by then.
            with contextlib.suppress(RuntimeError):
                connection.close()


class _Connection(asyncio.Protocol):
    """One request at a time. Methods named ``on_…`` are called by the parser of an answer."""

    def __init__(self, largest: int, all_of_them: set[_Connection]) -> None:
        self._largest, self._all = largest, all_of_them
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[HttpReply] | None = None
        self._keep = True
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0
        self._begin_answer()

    def _begin_answer(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._framed = False
        """Whether the answer says where it ends: else the end of the connection is its own."""
        self._has_head = False

    @property
    def is_open(self) -> bool:
        return self._keep and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, call: bytes) -> HttpReply:
        """Send a request, and read its answer."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise NotConnectedError(_LOST)
        self._begin()
        self._waiting = asyncio.get_running_loop().create_future()
        transport.write(call)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # that of uvloop is one without saying so
        self._all.add(self)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            self.close()  # nothing was asked
            return
        self._received += len(data)
        if self._received > 2 * self._largest + _MOST_HEAD:
            self._fail(NotHttpError(f"its answer is larger than {self._largest} bytes"))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(NotHttpError(f"its answer is not HTTP: {error}"))

    def on_message_begin(self) -> None:
        if self._waiting is None or self._waiting.done():
            self._keep = False  # more than one answer

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002
        self._framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._size += len(body)
        if self._size > self._largest:
            self._fail(NotHttpError(f"its answer is larger than {self._largest} bytes"))

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._begin_answer()  # it follows
            return
        self._keep = self._framed and self._parser.should_keep_alive()
        self._finish(status)

    def _finish(self, status: int) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(HttpReply(status, b"".join(self._parts)))

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._all.discard(self)
        if self._waiting is None or self._waiting.done():
            return
        if error is None and self._has_head and not self._framed:
            self._finish(self._parser.get_status_code())
        else:
            self._fail(error or ConnectionError(_LOST))

    def close(self) -> None:
        """End it without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()
