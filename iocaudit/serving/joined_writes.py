"""A transport that sends an answer's headers and body together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class JoinedWrites:
    """Holds a write back for the next one of the same turn of the loop.

    uvicorn writes an answer's headers and its body apart; each write is a TLS record and a system call of its own,
    which together cost as much as parsing the request does. What stays alone is sent at the end of the turn, and
    before the transport closes.
    """

    __slots__ = ("_held", "_loop", "_transport", "closing")

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        closing: Callable[[], None] | None = None,
    ) -> None:
        """``closing`` is called before the transport is closed."""
        self._transport = transport
        self._loop = loop
        self.closing = closing
        self._held: bytes | None = None

    def write(self, data: bytes) -> None:
        held = self._held
        if held is None:
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._held = None
            self._transport.write(held + data)

    def close(self) -> None:
        if self.closing is not None:
            self.closing()
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self._transport.is_closing():
            self._transport.write(held)
