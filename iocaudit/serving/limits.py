"""Bounds on what a caller can make us do: body size, memory and concurrency.

What bounds what: the number of connections by `connections.Connections`; the time to the end of the TLS handshake by
`acceptor.Acceptor`; the time to send headers and body and to read answers, and the size of headers, by
`protocol.BoundedProtocol`; the body's size by `Limits` here; the work by the deadline in `durations`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, Message, answer, header

_CLOSE = (b"connection", b"close")
_DISCARD_BYTES = 32 * 1024 * 1024
_DISCARD_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """The numbers. Times in seconds, sizes in bytes."""

    max_body: int = 20 * 1024 * 1024
    """An UPDATE's review holds an object twice, of 1.5 MB at most (etcd's limit), each byte of it as six."""
    max_buffered: int = 64 * 1024 * 1024
    """All bodies held at one time, together."""
    max_concurrent: int = 32
    max_queued: int = 64
    queue_timeout: float = 1.0
    retry_after: int = 1
    """kube-apiserver's client repeats a call that was answered 503 with Retry-After."""
    busy_status: int = 503


class Limits:
    """ASGI wrapper: reads the whole body within its bounds, then waits for a slot, then calls the app.

    The app receives the body in one message. A slow sender holds no slot. ``rejected`` is called with
    ``too-large``, ``incomplete-body``, ``busy`` or ``memory`` for a metric.
    """

    def __init__(
        self, app: AsgiApp, bounds: Bounds | None = None, rejected: Callable[[str], None] | None = None
    ) -> None:
        self.app = app
        self.bounds = bounds or Bounds()
        self._rejected = rejected or (lambda _reason: None)
        self._slots = asyncio.Semaphore(self.bounds.max_concurrent)
        self._queued = 0
        self._buffered = 0
        self._arriving: set[_HeldBody] = set()
        self._active = 0

    @property
    def active(self) -> int:
        """Requests that hold a slot."""
        return self._active

    @property
    def queued(self) -> int:
        """Requests that wait for a slot."""
        return self._queued

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held = _HeldBody()
        try:
            if await self._read(scope, receive, send, held):
                await self._run(scope, receive, send, held.body)
        except asyncio.CancelledError:
            if not held.given_up or held.task is None or held.task.uncancel():
                raise
            await self._busy(send, "memory", close=True)
        finally:
            self._buffered -= held.counted
            self._arriving.discard(held)

    async def _read(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend, held: "_HeldBody") -> bool:
        """Whether the whole body is in ``held``; else the caller has been answered or is gone."""
        bounds = self.bounds
        length = header(scope, b"content-length")
        if length is not None and int(length) > bounds.max_body:
            # One that waits for "100 Continue" has sent nothing yet; any other is read for a while, since
            # closing on unread data would reset the connection before the answer is read.
            if header(scope, b"expect") is None:
                await _discard(receive)
            await self._too_large(send)
            return False
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":  # too slow, or gone
                self._rejected("incomplete-body")
                return False
            chunk = message.get("body", b"")
            size += len(chunk)
            held.counted += len(chunk)
            self._buffered += len(chunk)
            more = bool(message.get("more_body", False))
            if size > bounds.max_body:
                break
            if self._buffered > bounds.max_buffered and self._give_up_largest(held):
                await self._busy(send, "memory", close=True)
                return False
            chunks.append(chunk)
            if not more:
                self._arriving.discard(held)
                held.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                return True
            if held.task is None:
                held.task = asyncio.current_task()
                self._arriving.add(held)
        if more:
            await _discard(receive)
        await self._too_large(send)
        return False

    def _give_up_largest(self, held: "_HeldBody") -> bool:
        """End the largest body that is not whole: a few that never end must not keep all the small ones out.

        Whether it is the one that is being read.
        """
        largest = max(self._arriving, key=lambda one: one.counted, default=held)
        if largest.counted <= held.counted:
            return True
        self._arriving.discard(largest)
        self._buffered -= largest.counted
        largest.counted = 0
        largest.given_up = True
        assert largest.task is not None
        largest.task.cancel()
        return False

    async def _run(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend, body: bytes) -> None:
        if self._slots.locked():
            if self._queued >= self.bounds.max_queued:
                await self._busy(send, "busy")
                return
            self._queued += 1
            try:
                async with asyncio.timeout(self.bounds.queue_timeout):
                    await self._slots.acquire()
            except TimeoutError:
                await self._busy(send, "busy")
                return
            finally:
                self._queued -= 1
        else:
            await self._slots.acquire()
        self._active += 1
        delivered = False

        async def receive_whole() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        try:
            await self.app(scope, receive_whole, send)
        finally:
            self._active -= 1
            self._slots.release()

    async def _busy(self, send: AsgiSend, reason: str, *, close: bool = False) -> None:
        self._rejected(reason)
        headers = [(b"retry-after", str(self.bounds.retry_after).encode())]
        if close:
            headers.append(_CLOSE)
        await answer(send, self.bounds.busy_status, "too many requests at a time; try again\n", headers)

    async def _too_large(self, send: AsgiSend) -> None:
        self._rejected("too-large")
        await answer(send, 413, f"the body is larger than {self.bounds.max_body} bytes\n", [_CLOSE])


@dataclass(slots=True, eq=False)
class _HeldBody:
    """The body of one request, and how much of it counts against ``max_buffered``."""

    body: bytes = b""
    counted: int = 0
    task: "asyncio.Task[object] | None" = None
    """Who reads it, once it is known to come in more than one piece."""
    given_up: bool = False


async def _discard(receive: AsgiReceive) -> None:
    """Read and forget, for a bounded time and size."""
    left = _DISCARD_BYTES
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return
