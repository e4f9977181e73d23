"""What a Service does for the webhook's replicas, on loopback: new connections go to those that are ready."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A replica: its port, and what its readiness probe says."""

    port: int
    ready: Callable[[], bool]


class Forwarder:
    """A port that forwards to the ready ones in turn.

    As with a Service, a replica that is no longer ready gets no new connections once that was noticed, and those
    it has stay open until it closes them.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._ready: list[Endpoint] = []
        self._turn = itertools.count()
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._look()
        for work in (self._follow, self._accept):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._listener.close()

    def _look(self) -> None:
        self._ready = [endpoint for endpoint in self._endpoints if endpoint.ready()]

    def _follow(self) -> None:
        while not self._stop.wait(_POLL):
            self._look()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            ready = self._ready
            if not ready:
                client.close()
                continue
            port = ready[next(self._turn) % len(ready)].port
            try:
                server = socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass  # one of the two is gone: so is the connection
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # the other direction has closed it already
