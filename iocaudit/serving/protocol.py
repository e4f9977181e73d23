"""uvicorn's HTTP/1.1 protocol with the bounds it lacks: time of headers and body, size of headers, connections.

uvicorn itself arms a timer only between requests: a client that never finishes what it began to send would hold a
connection for ever.
"""

import asyncio
from asyncio import TimerHandle

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from iocaudit.serving.joined_writes import JoinedWrites

HEADER_TIMEOUT = 10.0
"""Seconds from the connection, or from a request's first byte, to the end of its headers."""
BODY_TIMEOUT = 5.0
"""Seconds from the end of a request's headers to the end of its body."""
MAX_HEADER_BYTES = 64 * 1024
MAX_CONNECTIONS = 2048


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers or body are too slow (408), its headers too large (431), or one too many."""

    header_timeout = HEADER_TIMEOUT
    body_timeout = BODY_TIMEOUT
    max_header_bytes = MAX_HEADER_BYTES
    max_connections = MAX_CONNECTIONS

    _header_timer: TimerHandle | None = None
    _body_timer: TimerHandle | None = None
    _in_headers = True
    _in_body = False
    _header_bytes = 0
    _requests = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.max_connections:
            transport.close()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._disarm_body()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        requests = self._requests
        super().data_received(data)
        if self.transport.is_closing():
            return
        # Armed here, not where the request begins: headers that arrive whole, as nearly all do, need no timer.
        if self._in_headers and self._header_timer is None:
            self._arm()
        if self._in_body and self._body_timer is None:
            self._body_timer = self.loop.call_later(self.body_timeout, self._body_too_slow)
        if not self._in_headers:
            # Bytes between requests (empty lines) begin none, but have ended the keep-alive timer.
            if self._header_timer is None and self.timeout_keep_alive_task is None and self.cycle.response_complete:
                self._arm()
            return
        # Data that ended a request before these headers is not theirs.
        self._header_bytes = (self._header_bytes if requests == self._requests else 0) + len(data)
        if self._header_bytes > self.max_header_bytes:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._requests += 1
        self._disarm()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._disarm_body()
        super().on_message_complete()

    def _arm(self) -> None:
        self._header_timer = self.loop.call_later(self.header_timeout, self._too_slow)

    def _disarm(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _disarm_body(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _too_slow(self) -> None:
        self._header_timer = None
        self._refuse(b"408 Request Timeout")

    def _body_too_slow(self) -> None:
        self._body_timer = None
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if self.transport.is_closing():
            return
        # An answer that is being written must not be cut in two, and one that was given early is the answer.
        cycle = self.cycle
        if cycle is None or (not cycle.response_started if self._in_body else cycle.response_complete):
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
