"""A client that opens many connections and keeps them, and others that do not mean well.

``python -m tests.support.flood PORT SOURCES KIND=NUMBER…`` prints a line once all have been opened, and opens
those that were closed again, a bounded number a second, until its standard input ends. ``SOURCES`` is the number of
loopback addresses it comes from, from 127.0.0.2 on; 0 is 127.0.0.1 alone. A kind is

- ``silent``: a TCP connection without a byte,
- ``half``: the beginning of a TLS handshake,
- ``kept``: a whole request over TLS, then silence,
- ``slow``: a request over TLS whose body never ends,
- ``plain``: a whole request without TLS, then silence.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import select
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

_A_SECOND = 400
_REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
_BODY = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 100


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Flood:
    """The connections, each by its descriptor."""

    def __init__(self, port: int, sources: int) -> None:
        self._port = port
        self._sources = itertools.cycle([f"127.0.0.{number + 2}" for number in range(sources)] or ["127.0.0.1"])
        self._context = _context()
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, str]] = {}

    def open(self, kind: str) -> None:
        """One more; that it is refused, or closed meanwhile, is as well."""
        sock = socket.socket()
        sock.settimeout(5)
        sock.bind((next(self._sources), 0))
        try:
            sock.connect(("127.0.0.1", self._port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if kind == "half":
                sock.sendall(b"\x16\x03\x01")
            elif kind == "plain":
                sock.sendall(_REQUEST)
                sock.recv(1000)
            elif kind in ("kept", "slow"):
                talking = self._context.wrap_socket(sock)
                talking.sendall(_REQUEST if kind == "kept" else _BODY)
                if kind == "kept":
                    talking.recv(1000)
                sock = socket.socket(fileno=talking.detach())  # the connection without what TLS keeps of it
        except OSError:
            pass
        if sock.fileno() >= 0:
            self._open[sock.fileno()] = (sock, kind)
            self._poll.register(sock, select.EPOLLRDHUP)

    def open_again(self, seconds: float) -> None:
        """Open again what the other side closes meanwhile."""
        for number, _ in self._poll.poll(seconds, int(_A_SECOND * seconds)):
            sock, kind = self._open.pop(number)
            sock.close()
            self.open(kind)


def _main(port: str, sources: str, *kinds: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    flood = Flood(int(port), int(sources))
    with ThreadPoolExecutor(4) as pool:
        for kind, _, number in (word.partition("=") for word in kinds):
            list(pool.map(flood.open, [kind] * int(number)))
    print("open", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        until = time.monotonic() + 0.1
        flood.open_again(0.1)
        time.sleep(max(0.0, until - time.monotonic()))


@contextlib.contextmanager
def flooding(port: int, *, sources: int, **kinds: int) -> Iterator[None]:
    """A flood in a process of its own; begins once all connections have been opened."""
    words = [f"{kind}={number}" for kind, number in kinds.items()]
    command = [sys.executable, "-m", "tests.support.flood", str(port), str(sources), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "open\n"
            yield
            assert process.poll() is None
        finally:
            process.stdin.close()
            process.wait(30)


if __name__ == "__main__":
    _main(*sys.argv[1:])
