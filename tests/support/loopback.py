"""A raw HTTP client that shows each connection as it is, certificates on disk, and listeners on loopback."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, answer
from iocaudit.serving.authority import KeyPair, Names, issue_leaf
from iocaudit.serving.drain import Drain
from iocaudit.serving.health import Readiness
from iocaudit.serving.listener import ListenAddress, Listeners, ListenerSpec
from iocaudit.serving.metrics import ConnectionMetrics

NOW = datetime.now(UTC)
NAMES = Names.of("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One HTTP/1.1 connection; no retries, so that every failed call shows."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address: ListenAddress, tls: ssl.SSLContext | None = None) -> "Connection":
        name = "localhost" if tls is not None else None
        return cls(*await asyncio.open_connection(address.host, address.port, ssl=tls, server_hostname=name))

    @property
    def serial(self) -> int:
        """The serial number of the server's certificate."""
        return int(self.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], 16)

    async def call(self, path: str = "/", body: bytes = b"", *headers: str) -> Response:
        head = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *headers, "", ""]
        self.writer.write("\r\n".join(head).encode() + body)
        await self.writer.drain()
        return await self.response()

    async def response(self) -> Response:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Response(int(head[0].split()[1]), headers, body)

    async def ended(self) -> bool:
        """Whether the server closed the connection; TimeoutError after 30 s where it does not."""
        try:
            async with asyncio.timeout(30):
                return await self.reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.transport.abort()


async def echo(_scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    message = await receive()
    await answer(send, 200, message["body"].decode())


def write_pair(folder: Path, pair: KeyPair) -> None:
    """Both files, one after the other, as a careless tool does."""
    (folder / "tls.crt").write_bytes(pair.certificate_pem)
    (folder / "tls.key").write_bytes(pair.key_pem)


def identity(folder: Path, authority: KeyPair) -> Path:
    """A new folder with a client's certificate under an authority."""
    folder.mkdir()
    write_pair(folder, issue_leaf(authority, NAMES, NOW, timedelta(days=1)))
    return folder


def trusting(*authorities: KeyPair, identity: Path | None = None) -> ssl.SSLContext:
    """A client that trusts only these, with the certificate in a folder as its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for authority in authorities:
        context.load_verify_locations(cadata=authority.certificate_pem.decode())
    if identity is not None:
        context.load_cert_chain(identity / "tls.crt", identity / "tls.key")
    return context


@contextlib.asynccontextmanager
async def serving(
    app: AsgiApp, drain: Drain | None = None, metrics: ConnectionMetrics | None = None, **options: object
) -> AsyncIterator[tuple[ListenAddress, Listeners]]:
    drain = drain or Drain(Readiness([]), grace=0, finish=1)
    listen = ListenerSpec("main", app, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
    listeners = Listeners([listen], drain, metrics=metrics, certificate_timeout=1, certificate_interval=60)
    await listeners.start()
    try:
        yield listeners.addresses["main"], listeners
    finally:
        await listeners.stop(force=True)
