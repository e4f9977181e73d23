"""Accepts the connections of one listener, and brings them through the TLS handshake.

A connection costs little until its first byte is there: only then is anything made for it. Handshakes are begun a few
at a time and from all sources in turn, so a thousand of one source delay the one of another by a few only.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import selectors
import socket
import ssl
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from iocaudit.serving import heap
from iocaudit.serving.connections import Connections, ConnectionSlot, Rank, Reason
from iocaudit.serving.protocol import BoundedProtocol

_log = logging.getLogger(__name__)

_ACCEPTED_A_TURN = 64
_BEGUN_A_TURN = 16
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LISTENER_BROKEN = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EFAULT})
_ROOM = 16
"""Connections that go where the process or the system has no descriptor left."""
_REST = 0.25
"""Seconds without accepting after that: those told to end have gone by then."""
_LAST_WORDS = 1.0
"""Seconds that a connection may take to its first byte, or its handshake, once nothing more is accepted."""
_FLOOD, _TIDY = 512, 5.0
"""After so many connections the memory of those that are gone is given back to the system, so many seconds later."""
_BACKLOG = 1024
_POLL = 0.05
_CLIENT_HELLO = 0x16

NewProtocol = Callable[[ConnectionSlot], BoundedProtocol]


class Acceptor:
    """For uvicorn it stands where an asyncio server would: it is closed, then waited for."""

    def __init__(
        self,
        sock: socket.socket,
        connections: Connections,
        protocol: NewProtocol,
        *,
        tls: ssl.SSLContext | None,
        timeout: float,
        shutdown_timeout: float,
    ) -> None:
        """``timeout``: seconds from accept to the first byte, and with ``tls`` to the end of the handshake."""
        self._socket, self._connections, self._protocol = sock, connections, protocol
        self._tls, self._timeout, self._shutdown_timeout = tls, timeout, shutdown_timeout
        self._loop = asyncio.get_running_loop()
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[ConnectionSlot, socket.socket] = {}
        """Of those for whom nothing was begun yet."""
        self._ready: OrderedDict[str, deque[ConnectionSlot]] = OrderedDict()
        self._tasks: dict[ConnectionSlot, asyncio.Task[Any]] = {}
        self._deadline: asyncio.TimerHandle | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._pumping = False
        self._accepted = 0
        self._tidy: asyncio.TimerHandle | None = None
        self._open, self._ended = True, False
        self._loop.add_reader(self._selector, self._speaking)
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept nothing more. What was accepted goes on, with little time left to its first request."""
        if not self._open:
            return
        if self._rest is None:
            self._accept(_BACKLOG)
        self._open = False
        self._loop.remove_reader(self._socket)
        if self._rest is not None:
            self._rest.cancel()
        self._timeout = min(self._timeout, _LAST_WORDS)
        self._watch_opening(again=True)

    async def wait_closed(self) -> None:
        """Wait for those that were not established when it was closed, until they are gone or have no request."""
        while self._sockets or self._tasks:
            await asyncio.sleep(_POLL)
        until = self._loop.time() + _LAST_WORDS
        while len(self._connections) and (self._loop.time() < until or self._connections.of(Rank.BUSY)):
            await asyncio.sleep(_POLL)

    async def abort(self) -> None:
        """Close, and end every connection now; may be called again."""
        self.close()
        self._connections.end_all()
        self._watch_opening(again=True)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if not self._ended:
            self._ended = True
            if self._tidy is not None:
                self._tidy.cancel()
            self._loop.remove_reader(self._selector)
            self._selector.close()

    def _accept(self, most: int = _ACCEPTED_A_TURN) -> None:
        for _ in range(most):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR or error.errno in _LISTENER_BROKEN:
                    self._cannot_accept(error)
                    break
                continue  # this one broke before it was accepted
            place = self._connections.admit(str(address[0]))
            if place is None:
                sock.close()
                continue
            sock.setblocking(False)
            self._accepted += 1
            self._sockets[place] = sock
            place.end = self._drop
            self._selector.register(sock, selectors.EVENT_READ, place)
        self._watch_opening()
        if self._accepted >= _FLOOD and self._tidy is None:
            self._tidy = self._loop.call_later(_TIDY, self._give_back)

    def _give_back(self) -> None:
        self._tidy, self._accepted = None, 0
        heap.give_back()

    def _cannot_accept(self, error: OSError) -> None:
        """Make room, and do not try again at once, which would take all the time there is."""
        _log.error("cannot accept a connection: %s", error.strerror)
        for _ in range(_ROOM if error.errno in _NO_DESCRIPTOR else 0):
            self._connections.make_room(Reason.DESCRIPTORS)
        self._loop.remove_reader(self._socket)
        self._rest = self._loop.call_later(_REST, self._go_on)

    def _go_on(self) -> None:
        self._rest = None
        self._loop.add_reader(self._socket, self._accept)

    def _speaking(self) -> None:
        """Some have sent their first byte, or have left."""
        for key, _ in self._selector.select(0):
            place: ConnectionSlot = key.data
            self._selector.unregister(key.fileobj)
            self._ready.setdefault(place.source, deque()).append(place)
        if not self._pumping:
            self._begin_some()

    def _begin_some(self) -> None:
        begun = 0
        while self._ready and begun < _BEGUN_A_TURN:
            source, waiting = self._ready.popitem(last=False)
            place = waiting.popleft()
            if waiting:
                self._ready[source] = waiting
            if place in self._sockets:
                begun += self._begin(place)
        self._pumping = bool(self._ready)
        if self._pumping:
            self._loop.call_soon(self._begin_some)

    def _begin(self, place: ConnectionSlot) -> bool:
        """Whether a handshake (or, without TLS, the protocol) has begun."""
        sock = self._sockets[place]
        try:
            first = sock.recv(1, socket.MSG_PEEK)
        except OSError:
            first = b""
        if not first or (self._tls is not None and first[0] != _CLIENT_HELLO):
            self._connections.end(place, Reason.MALFORMED if first else None)
            return False
        del self._sockets[place]
        task = self._tasks[place] = self._loop.create_task(self._establish(place, sock))
        place.end = self._cancel
        task.add_done_callback(lambda task: self._established(task, place, sock))
        return True

    async def _establish(self, place: ConnectionSlot, sock: socket.socket) -> None:
        tls: dict[str, Any] = {}
        if self._tls is not None:
            # Our own timer counts from accept; uvloop's never ends before it.
            tls = {
                "ssl": self._tls,
                "ssl_handshake_timeout": self._timeout,
                "ssl_shutdown_timeout": self._shutdown_timeout,
            }
        protocol = self._protocol(place)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock, **tls)
        except BaseException:
            protocol.give_up()
            raise

    def _established(self, task: asyncio.Task[Any], place: ConnectionSlot, sock: socket.socket) -> None:
        del self._tasks[place]
        if task.cancelled() or (error := task.exception()) is not None:
            if not task.cancelled() and place.rank is not None:
                self._connections.closed(Reason.HANDSHAKE)
                if not isinstance(error, OSError):
                    _log.error("a connection could not be set up", exc_info=error)
            sock.close()
            self._connections.leave(place)

    def _cancel(self, place: ConnectionSlot) -> None:
        self._tasks[place].cancel()

    def _drop(self, place: ConnectionSlot) -> None:
        sock = self._sockets.pop(place)
        with contextlib.suppress(KeyError):  # its first byte was there already
            self._selector.unregister(sock)
        sock.close()
        self._connections.leave(place)

    def _watch_opening(self, *, again: bool = False) -> None:
        """Have a timer for the one that has been opening longest."""
        if self._deadline is not None:
            if not again:
                return
            self._deadline.cancel()
            self._deadline = None
        oldest = self._connections.oldest(Rank.OPENING)
        if oldest is not None:
            left = oldest.since + self._timeout - self._connections.clock()
            self._deadline = self._loop.call_later(max(left, 0.0), self._too_late)

    def _too_late(self) -> None:
        self._deadline = None
        limit = self._connections.clock() - self._timeout
        while (oldest := self._connections.oldest(Rank.OPENING)) and oldest.since <= limit:
            self._connections.end(oldest, Reason.SILENT if oldest in self._sockets else Reason.HANDSHAKE)
        self._watch_opening()
