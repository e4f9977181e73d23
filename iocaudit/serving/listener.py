"""ASGI apps on uvicorn servers in one event loop: HTTP/1.1, httptools, uvloop, TLS or plain."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import uvicorn
import uvloop

from iocaudit.serving.acceptor import Acceptor
from iocaudit.serving.asgi import AsgiApp
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.connections import Connections, ConnectionSlot
from iocaudit.serving.descriptors import raise_limit, shared_out
from iocaudit.serving.drain import Drain
from iocaudit.serving.errors import ListenError
from iocaudit.serving.metrics import ConnectionMetrics
from iocaudit.serving.protocol import BoundedProtocol, ConnectionBounds
from iocaudit.supervision.supervisor import Supervisor

_log = logging.getLogger(__name__)

KEEP_ALIVE = 180
"""Seconds an idle connection is kept; longer than Go's clients keep theirs (90 s), so they close first."""

FEW = ConnectionBounds(connections=256, by_source=128)
"""For a listener of a few callers."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One app on one address. ``port`` 0 takes any free one; an empty ``host`` is all interfaces."""

    name: str
    app: AsgiApp
    host: str
    port: int
    tls: CertificateSource | None = None
    bounds: ConnectionBounds = field(default_factory=ConnectionBounds)
    backlog: int = 4096
    keep_alive: int = KEEP_ALIVE

    @classmethod
    def plain(cls, name: str, app: AsgiApp, host: str, port: int) -> "ListenerSpec":
        """Health or metrics: a few callers, no TLS."""
        return cls(name, app, host, port, bounds=FEW)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a listener really listens."""

    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class _Server(uvicorn.Server):
    """Leaves signals to `drain.Drain` and accepting to `acceptor.Acceptor`, and says when it has started."""

    def __init__(
        self, config: uvicorn.Config, listen: ListenerSpec, sock: socket.socket, connections: Connections
    ) -> None:
        super().__init__(config)
        self._listen, self._socket, self._connections = listen, sock, connections
        self.acceptor: Acceptor | None = None
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  it is ours already
        await self.lifespan.startup()
        listen = self._listen
        self.acceptor = Acceptor(
            self._socket,
            self._connections,
            self._protocol,
            tls=listen.tls.server_context if listen.tls is not None else None,
            timeout=listen.bounds.handshake,
            shutdown_timeout=listen.bounds.closing,
        )
        self.servers = [self.acceptor]  # type: ignore[list-item]
        self.started = True
        self.ready.set()

    def _protocol(self, place: ConnectionSlot) -> BoundedProtocol:
        return BoundedProtocol(
            self.config, self.server_state, self.lifespan.state, place, self._connections, self._listen.bounds
        )


class Listeners:
    """Several listeners, started and stopped together.

    All addresses are bound before any is served. Certificates are loaded first and watched while serving, which a
    supervisor looks after if there is one.
    """

    def __init__(
        self,
        listens: Sequence[ListenerSpec],
        drain: Drain,
        *,
        metrics: ConnectionMetrics | None = None,
        certificate_timeout: float = 60.0,
        certificate_interval: float = 1.0,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._listens = tuple(listens)
        self._metrics = metrics
        self._drain = drain
        self._certificate_timeout = certificate_timeout
        self._certificate_interval = certificate_interval
        self._supervisor = supervisor
        self._servers: list[_Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._watches: list[asyncio.Task[None]] = []
        self._addresses: dict[str, ListenAddress] = {}

    @property
    def addresses(self) -> Mapping[str, ListenAddress]:
        """By the listener's name, with the real port."""
        return MappingProxyType(self._addresses)

    async def start(self) -> None:
        """Bind and serve. Raises ListenError or CertificateError; nothing is left open then."""
        sources = list(dict.fromkeys(listen.tls for listen in self._listens if listen.tls is not None))
        for source in sources:
            await source.load(self._certificate_timeout)
        with contextlib.ExitStack() as bound:
            sockets = [bound.enter_context(contextlib.closing(_bind(listen))) for listen in self._listens]
            bound.pop_all()
        numbers = shared_out([listen.bounds.connections for listen in self._listens], raise_limit())
        for listen, sock, number in zip(self._listens, sockets, numbers, strict=True):
            server = _Server(self._config(listen), listen, sock, self._connections(listen, number))
            self._servers.append(server)
            self._tasks.append(asyncio.create_task(server.serve(sockets=[sock]), name=f"listen {listen.name}"))
            host, port = sock.getsockname()[:2]
            self._addresses[listen.name] = ListenAddress(host, port, listen.tls is not None)
        self._watches = [asyncio.create_task(self._watch(source), name="certificates") for source in sources]
        for server in self._servers:
            await server.ready.wait()
        for name, address in self._addresses.items():
            _log.info("listening", extra={"listener": name, "address": address.url})

    async def _watch(self, source: CertificateSource) -> None:
        if self._supervisor is None:
            await source.watch(self._certificate_interval)
        else:
            await self._supervisor.keep(f"certificate {source.name}", partial(source.watch, self._certificate_interval))

    async def stop(self, *, force: bool = False) -> None:
        """Stop accepting and finish what is in flight within the drain's ``finish`` seconds; or at once."""
        for server in self._servers:
            server.should_exit = True
            server.force_exit = force
        try:
            if self._tasks and not force:
                finished = asyncio.ensure_future(asyncio.wait(self._tasks))
                forced = asyncio.ensure_future(self._drain.wait_forced())
                waited: set[asyncio.Future[Any]] = {finished, forced}
                await asyncio.wait(
                    waited,
                    timeout=self._drain.finish + 2.0,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                forced.cancel()
                finished.cancel()
        finally:
            for task in (*self._tasks, *self._watches):
                task.cancel()
            await asyncio.gather(*self._tasks, *self._watches, return_exceptions=True)
            for server in self._servers:
                if server.acceptor is not None:
                    await server.acceptor.abort()

    async def failed(self) -> None:
        """Wait until one of the servers ends by itself; raises its error."""
        tasks: set[asyncio.Task[None]] = {*self._tasks, *self._watches}
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _connections(self, listen: ListenerSpec, number: int) -> Connections:
        by_source = min(listen.bounds.by_source, number)
        if self._metrics is None:
            return Connections(number, by_source, lambda _reason: None)
        connections = Connections(number, by_source, self._metrics.closed(listen.name))
        self._metrics.watch(listen.name, connections)
        return connections

    def _config(self, listen: ListenerSpec) -> uvicorn.Config:
        config = uvicorn.Config(
            self._drain.wrap(listen.app),
            http=BoundedProtocol,
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=listen.keep_alive,
            timeout_graceful_shutdown=max(1, round(self._drain.finish)),
        )
        config.load()
        return config


async def serve(
    listens: Sequence[ListenerSpec],
    drain: Drain,
    *,
    background: Sequence[Callable[[], Awaitable[None]]] = (),
    started: Callable[[Mapping[str, ListenAddress]], None] | None = None,
    metrics: ConnectionMetrics | None = None,
    certificate_timeout: float = 60.0,
    supervisor: Supervisor | None = None,
) -> None:
    """Serve until the drain has run its course.

    ``background`` runs beside (watches, reporters) and is cancelled at the end; if one of them ends or
    raises, the process has lost a part of itself: everything drains and the error is raised. ``started``
    is told the real addresses.
    """
    listening = Listeners(
        listens, drain, metrics=metrics, certificate_timeout=certificate_timeout, supervisor=supervisor
    )
    async with _listening(listening) as listeners:
        if started is not None:
            started(listeners.addresses)
        parts = [asyncio.ensure_future(_part(part)) for part in background]
        watched: set[asyncio.Future[None]] = {*parts, asyncio.ensure_future(listeners.failed())}
        begun = asyncio.ensure_future(drain.begun())
        try:
            done, _ = await asyncio.wait({*watched, begun}, return_when=asyncio.FIRST_COMPLETED)
            lost = done - {begun}
            if lost and not drain.draining:
                drain.begin("a part of the process ended")
            await drain.wait_grace()
            await listeners.stop(force=drain.forced)
            for part in lost:
                part.result()
        finally:
            for part in (*watched, begun):
                part.cancel()
            await asyncio.gather(*watched, begun, return_exceptions=True)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a process's main coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def _part(part: Callable[[], Awaitable[None]]) -> None:
    await part()


@contextlib.asynccontextmanager
async def _listening(listeners: Listeners) -> AsyncIterator[Listeners]:
    await listeners.start()
    try:
        yield listeners
    except BaseException:
        await listeners.stop(force=True)
        raise


def _bind(listen: ListenerSpec) -> socket.socket:
    where = f"{listen.name} listener at {listen.host or '*'}:{listen.port}"
    if not 0 <= listen.port < 2**16:  # getaddrinfo takes it modulo 65536
        raise ListenError(f"{where}: a port is a number from 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.host or None, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise ListenError(f"{where}: {error}; give an address of this host and a free port") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(listen.backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ListenError(f"{where}: {error.strerror or error}; give another port or stop what holds it") from error
    return sock
