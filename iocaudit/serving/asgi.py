"""The few ASGI types and answers that this package needs; nothing here imports a framework."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

AsgiScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[Message]]
AsgiSend = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[AsgiScope, AsgiReceive, AsgiSend], Awaitable[None]]


def header(scope: AsgiScope, name: bytes) -> bytes | None:
    """The first value of a header (its name in lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def answer(
    send: AsgiSend,
    status: int,
    text: str,
    headers: Iterable[tuple[bytes, bytes]] = (),
    content_type: bytes = b"text/plain; charset=utf-8",
) -> None:
    """Send a whole response."""
    body = text.encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
