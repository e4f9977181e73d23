"""uvicorn's HTTP/1.1 protocol with the bounds it lacks: time and size of what is sent, and a counted place.

uvicorn itself arms a timer only between requests: a client that never finishes what it began to send, or never reads
what it asked for, would hold a connection for ever.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from iocaudit.serving.connections import Connections, ConnectionSlot, Rank, Reason, no_end
from iocaudit.serving.joined_writes import JoinedWrites

_LARGE = 64 * 1024
"""Bytes of a request from which it counts as large.

What OpenSSL and the event loop keep of a TLS connection is as large as the largest piece that ever came, up to half a
megabyte. So of those without a proven certificate only a few may send a large request at a time, and each is closed
after it.
"""
_PIPELINED = 8
# Told twice for each request; to look up a member of an enumeration takes as long as to move a connection.
_IDLE, _LARGE_BODY, _RECEIVING, _BUSY = Rank.IDLE, Rank.LARGE, Rank.RECEIVING, Rank.BUSY
_HEADERS = 100
"""Of one request; each takes more memory than it has bytes."""


CLIENT_NAME = "iocaudit.client_name"
"""The key of a request's scope with the common name of the certificate that its client proved."""


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Of one listener. Times in seconds, sizes in bytes."""

    connections: int = 1024
    by_source: int = 512
    """Connections from one address that have proven no client certificate; more than one API server makes at a time."""
    large: int = 64
    """Those of them that send more than 64 KiB at a time; as many may be about to close."""
    handshake: float = 5.0
    """From accept to the first byte, and to the end of the TLS handshake."""
    headers: float = 10.0
    """From a request's first byte to the end of its headers."""
    body: float = 5.0
    """From the end of a request's headers to the end of its body."""
    unread: float = 10.0
    """How long a client may leave unread what was sent to it, once the buffers are full."""
    closing: float = 2.0
    """From the last word to the end of the connection."""
    header_bytes: int = 16 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers or body are too slow (408) or its headers too large (431).

    Also one that does not read its answers, or sends many requests before their answers. ``place`` is always told what
    the connection does, so the right one is closed where room is needed.
    """

    _writes: JoinedWrites | None = None
    _header_timer: TimerHandle | None = None
    _body_timer: TimerHandle | None = None
    _unread_timer: TimerHandle | None = None
    _closing_timer: TimerHandle | None = None
    _in_headers = False
    _in_body = False
    _received = 0
    """Bytes of the piece that is being read."""
    _request_bytes = 0
    _sparing = False
    """Whether large requests are bounded: over TLS, where no certificate was proven."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        place: ConnectionSlot,
        connections: Connections,
        bounds: ConnectionBounds,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._place, self._connections, self._bounds = place, connections, bounds
        self._client_name = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        writes = self._writes = JoinedWrites(transport, self.loop, self._said_all)
        super().connection_made(writes)  # type: ignore[arg-type]
        place = self._place
        if place.rank is None:  # told to end at the very moment
            transport.abort()
            return
        place.end = self._end
        tls = transport.get_extra_info("ssl_object")
        # One is asked for only where it is required, and then OpenSSL has verified it.
        if tls is not None and tls.getpeercert(True) is not None:
            self._connections.prove(place)
            self._client_name = _common_name(tls.getpeercert())
        self._sparing = tls is not None and not place.proven
        self._connections.move(place, _IDLE)
        # A client may connect ahead of its first request and keep the connection, as Go's does.
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self._place)
        for timer in (self._header_timer, self._body_timer, self._unread_timer, self._closing_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        # A connection holds up to half a megabyte of buffers: nothing of it may wait for the garbage collector.
        self._place.end = no_end
        if self._writes is not None:
            self._writes.closing = None

    def give_up(self) -> None:
        """The connection never came to be: leave nothing for the garbage collector."""
        self.parser = None  # type: ignore[assignment]

    def eof_received(self) -> None:
        """The other side has left; the transport closes by itself, but would wait for a goodbye."""
        if self._answered:
            self._end(self._place)

    def data_received(self, data: bytes) -> None:
        self._received = len(data)
        self._request_bytes += self._received
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not (cycle.response_complete or self._in_headers or self._in_body):
            self._connections.move(self._place, _BUSY)  # as nearly always: a whole request has come
            return
        if self.transport.is_closing():
            return
        # Armed here, not where the request begins: headers that arrive whole, as nearly all do, need no timer.
        if self._in_headers and self._header_timer is None:
            self._arm()
        if self._in_body and self._body_timer is None:
            self._body_timer = self.loop.call_later(self._bounds.body, self._too_slow_body)
        if not self._in_headers:
            # Bytes between requests (empty lines) begin none, but have ended the keep-alive timer.
            if self._header_timer is None and self.timeout_keep_alive_task is None and self._answered:
                self._arm()
        elif self._request_bytes > self._bounds.header_bytes:
            self._refuse(Reason.HEADERS, b"431 Request Header Fields Too Large")
            return
        self._tell()
        if self._place.rank is _LARGE_BODY and not self._connections.fits(_LARGE_BODY, self._bounds.large):
            self._refuse(Reason.LARGE, b"503 Service Unavailable\r\nretry-after: 1")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _PIPELINED:
            self._refuse(Reason.PIPELINED)
            raise ValueError("too many requests before their answers")
        super().on_message_begin()
        self._in_headers = True
        self._request_bytes = self._received

    def on_headers_complete(self) -> None:
        most = self._bounds.header_bytes
        if len(self.headers) > _HEADERS or (self._request_bytes > most and self._headers_size() > most):
            self._refuse(Reason.HEADERS, b"431 Request Header Fields Too Large")
            raise ValueError("the headers are too large")
        self._in_headers = False
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        self._in_body = True
        if self._client_name:
            self.scope[CLIENT_NAME] = self._client_name  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        if self._sparing and self._request_bytes > _LARGE:
            self.cycle.keep_alive = False
            if self.cycle.response_complete:  # it was answered unread
                self.transport.close()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and self._header_timer is None and not self._in_body:
            self._connections.move(self._place, _IDLE)
        elif not self.transport.is_closing():
            self._tell()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; nothing where we closed the connection ourselves."""
        if not self.transport.is_closing():
            self._connections.closed(Reason.MALFORMED)
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self._bounds.unread, self._too_long_unread)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    @property
    def _answered(self) -> bool:
        """Whether no answer is due."""
        return self.cycle is None or self.cycle.response_complete

    def _tell(self) -> None:
        """Say what the connection does now."""
        if self._in_body:
            rank = _LARGE_BODY if self._sparing and self._request_bytes > _LARGE else _RECEIVING
        elif not self._answered:
            rank = _BUSY
        else:
            rank = _RECEIVING if self._header_timer is not None else _IDLE
        self._connections.move(self._place, rank)

    def _headers_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _arm(self) -> None:
        self._header_timer = self.loop.call_later(self._bounds.headers, self._too_slow_headers)

    def _too_slow_headers(self) -> None:
        self._header_timer = None
        self._refuse(Reason.SLOW, b"408 Request Timeout")

    def _too_slow_body(self) -> None:
        self._body_timer = None
        self._refuse(Reason.SLOW, b"408 Request Timeout")

    def _too_long_unread(self) -> None:
        self._unread_timer = None
        self._connections.end(self._place, Reason.SLOW)

    def _refuse(self, reason: Reason, status: bytes | None = None) -> None:
        if self.transport.is_closing():
            return
        self._connections.closed(reason)
        # An answer that is being written must not be cut in two, and one that was given early is the answer.
        cycle = self.cycle
        if status and (cycle is None or (not cycle.response_started if self._in_body else cycle.response_complete)):
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    def _said_all(self) -> None:
        """The transport is about to close: from now on the other side has little time to read the rest."""
        if self._place.rank is None:
            return
        self._connections.move(self._place, Rank.CLOSING)
        self._connections.fits(Rank.CLOSING, self._bounds.large, 0.0)
        if self._closing_timer is None:
            self._closing_timer = self.loop.call_later(self._bounds.closing, self._abort)

    def _end(self, _place: ConnectionSlot) -> None:
        # In the next turn: an answer that was written in this one is with the system by then.
        self.loop.call_soon(self._abort)

    def _abort(self) -> None:
        self.transport.abort()


def _common_name(certificate: Mapping[str, Any] | None) -> str:
    """The common name of a certificate as `ssl` takes it apart; empty where it has none, or several."""
    names = [value for part in (certificate or {}).get("subject", ()) for name, value in part if name == "commonName"]
    return names[0] if len(names) == 1 else ""
