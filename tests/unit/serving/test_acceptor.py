"""Real connections over TLS: who gets in, who has to go, and that each is counted until it is gone."""

import asyncio
import contextlib
import random
import resource
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, answer
from iocaudit.serving.authority import KeyPair
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.limits import Limits
from iocaudit.serving.listener import ListenAddress, run
from iocaudit.serving.metrics import ConnectionMetrics
from iocaudit.serving.protocol import ConnectionBounds
from tests.support.flooded import flooded
from tests.support.loopback import Connection, echo, identity, serving, trusting


class Figures:
    """What the metrics of the one listener say."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = ConnectionMetrics(self.registry)

    def open(self, *states: str) -> int:
        found = [
            sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "iocaudit_connections" and (not states or sample.labels["state"] in states)
        ]
        return int(sum(found))

    def closed(self, reason: str) -> int:
        labels = {"listener": "main", "reason": reason}
        return int(self.registry.get_sample_value("iocaudit_connections_closed_total", labels) or 0)

    async def become(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def listening(
    app: AsgiApp = echo, tls: CertificateSource | None = None, **bounds: float
) -> AsyncIterator[tuple[ListenAddress, Figures]]:
    figures = Figures()
    given = ConnectionBounds(**bounds)  # type: ignore[arg-type]
    async with serving(app, metrics=figures.metrics, tls=tls, bounds=given) as (address, _):
        yield address, figures


def test_a_source_over_its_bound_leaves_the_holder_of_a_certificate_in(
    folder: Path, tmp_path: Path, ca: KeyPair
) -> None:
    async def main() -> None:
        tls = CertificateSource.from_folder(folder, client_ca=folder / "ca.crt")
        known = trusting(ca, identity=identity(tmp_path / "client", ca))
        async with listening(tls=tls, connections=20, by_source=4) as (address, figures):
            proven = [await Connection.open(address, known) for _ in range(10)]
            for connection in proven:
                assert (await connection.call(body=b"a")).body == b"a"
            assert figures.open("proven") == 10
            strangers = [await Connection.open(address) for _ in range(50)]
            for stranger in strangers[::2]:
                stranger.writer.write(b"\x16\x03\x01")
            await figures.become(lambda: figures.closed("source") == 46)
            assert figures.open() == 14
            new = await Connection.open(address, known)
            for connection in (*proven, new):
                assert (await connection.call(body=b"b")).body == b"b"
            assert figures.open("proven") == 11
            for connection in (*proven, new, *strangers):
                connection.close()
            await figures.become(lambda: figures.open() == 0)

    run(main())


def test_the_longest_idle_makes_room_and_a_request_in_progress_never_does() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def held(_scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
            body = (await receive())["body"]
            if body == b"wait":
                await go_on.wait()
            await answer(send, 200, "done")

        async with listening(held, connections=4, by_source=4) as (address, figures):
            idle = [await Connection.open(address) for _ in range(2)]
            for connection in idle:
                assert (await connection.call()).status == 200
            busy = [await Connection.open(address) for _ in range(2)]
            waiting = [asyncio.create_task(connection.call(body=b"wait")) for connection in busy]
            await figures.become(lambda: figures.open("busy") == 2)
            assert (await idle[0].call()).status == 200, "so that the other is idle longest"
            new = await Connection.open(address)
            assert (await new.call()).status == 200
            assert await idle[1].ended()
            assert (await idle[0].call()).status == 200
            for number in range(2):
                await asyncio.sleep(0.01)
                waiting.append(asyncio.create_task((idle[0], new)[number].call(body=b"wait")))
            await figures.become(lambda: figures.open("busy") == 4)
            assert await (await Connection.open(address)).ended(), "there is none that could go"
            go_on.set()
            assert [response.status for response in await asyncio.gather(*waiting)] == [200] * 4
            assert figures.closed("refused") == 1

    run(main())


def test_who_never_begins_or_never_ends_a_handshake_has_until_the_deadline(folder: Path, ca: KeyPair) -> None:
    async def main() -> None:
        async with listening(tls=CertificateSource.from_folder(folder), handshake=0.3) as (address, figures):
            silent, half = await Connection.open(address), await Connection.open(address)
            half.writer.write(b"\x16\x03\x01\x02\x00\x01")
            assert await silent.ended()
            assert await half.ended()
            assert (figures.closed("silent"), figures.closed("handshake")) == (1, 1)
            connection = await Connection.open(address, trusting(ca))
            await asyncio.sleep(0.4)
            assert (await connection.call(body=b"later")).body == b"later", "the deadline is that of the handshake"
            await figures.become(lambda: figures.open() == 1)

    run(main())


def test_what_is_not_tls_is_closed_before_anything_is_made_for_it(folder: Path) -> None:
    async def main() -> None:
        async with listening(tls=CertificateSource.from_folder(folder)) as (address, figures):
            plain = await Connection.open(address)
            plain.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert await plain.ended()
            left = await Connection.open(address)
            left.close()
            await figures.become(lambda: figures.open() == 0)
            assert figures.closed("malformed") == 1

    run(main())


def test_one_who_does_not_read_its_answers_is_let_go() -> None:
    async def main() -> None:
        async def long(_scope: AsgiScope, _receive: AsgiReceive, send: AsgiSend) -> None:
            await answer(send, 200, "x" * 8_000_000)

        async with listening(long, unread=0.3, closing=0.3) as (address, figures):
            deaf, leaving = await Connection.open(address), await Connection.open(address)
            for connection, headers in ((deaf, b""), (leaving, b"connection: close\r\n")):
                connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
                connection.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n")
            await figures.become(lambda: figures.open() == figures.open("opening") + 2 == 2)
            await figures.become(lambda: figures.open() == 0)
            assert figures.closed("slow") >= 1

    run(main())


def test_only_some_may_send_large_requests_at_a_time_and_each_is_closed_after_it(folder: Path, ca: KeyPair) -> None:
    async def main() -> None:
        tls = CertificateSource.from_folder(folder)
        async with listening(Limits(echo), tls, large=1) as (address, figures):
            first = await Connection.open(address, trusting(ca))
            first.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100001\r\n\r\n" + b"x" * 100_000)
            await figures.become(lambda: figures.open("large") == 1)
            second = await Connection.open(address, trusting(ca))
            second.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100001\r\n\r\n" + b"x" * 100_000)
            refused = await second.response()
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            small = await Connection.open(address, trusting(ca))
            assert (await small.call(body=b"x" * 30_000)).headers.get("connection") is None
            first.writer.write(b"x")
            answered = await first.response()
            assert (answered.status, answered.headers["connection"]) == (200, "close")
            assert await first.ended()
            assert (await (await Connection.open(address, trusting(ca))).call(body=b"x" * 100_000)).status == 200

    run(main())


def test_one_with_a_proven_certificate_keeps_its_connection_after_a_large_request(
    folder: Path, tmp_path: Path, ca: KeyPair
) -> None:
    async def main() -> None:
        tls = CertificateSource.from_folder(folder, client_ca=folder / "ca.crt")
        known = trusting(ca, identity=identity(tmp_path / "client", ca))
        async with listening(Limits(echo), tls, large=0) as (address, _):
            connection = await Connection.open(address, known)
            for _ in range(3):
                answered = await connection.call(body=b"x" * 300_000)
                assert (answered.status, answered.headers.get("connection")) == (200, None)

    run(main())


@pytest.mark.parametrize(
    "sent", [b"x: y\r\n" * 1_000, b"x: y\r\n" * 101 + b"\r\n", b"x: " + b"y" * 6_000 + b"\r\n\r\n"]
)
def test_headers_are_bounded_however_they_arrive(sent: bytes) -> None:
    async def main() -> None:
        async with listening(header_bytes=5_000) as (address, figures):
            connection = await Connection.open(address)
            connection.writer.write(b"POST / HTTP/1.1\r\n" + sent)
            assert (await connection.response()).status == 431
            assert await connection.ended()
            assert figures.closed("headers") == 1

    run(main())


def test_requests_before_their_answers_are_bounded() -> None:
    async def main() -> None:
        async def held(_scope: AsgiScope, _receive: AsgiReceive, _send: AsgiSend) -> None:
            await asyncio.sleep(60)

        async with listening(held) as (address, figures):
            connection = await Connection.open(address)
            connection.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 100)
            assert await connection.ended()
            assert figures.closed("pipelined") == 1
            await figures.become(lambda: figures.open() == 0)

    run(main())


@pytest.mark.parametrize("seed", range(3))
def test_none_is_counted_after_it_is_gone_whatever_it_did(seed: int, folder: Path, tmp_path: Path, ca: KeyPair) -> None:
    """Clients that connect, shake hands, ask, send half of something, and leave in every way, many at a time."""
    chance = random.Random(seed)

    async def client(address: ListenAddress, known: ssl.SSLContext, stranger: ssl.SSLContext) -> None:
        context = chance.choice([known, known, stranger, None])
        try:
            connection = await Connection.open(address, context)
            for _ in range(chance.randrange(4)):
                match chance.choice(["call", "wait", "half", "garbage", "large", "pipelined"]):
                    case "call":
                        await connection.call(body=b"x")
                    case "wait":
                        await asyncio.sleep(chance.random() / 20)
                    case "half":
                        connection.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\n")
                    case "garbage":
                        connection.writer.write(chance.randbytes(20))
                    case "large":
                        await connection.call(body=b"x" * 200_000)
                    case "pipelined":
                        connection.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * chance.choice([2, 30]))
            if chance.random() < 0.5:
                connection.close()
            else:
                connection.writer.close()
        except (OSError, EOFError, ssl.SSLError):
            return

    async def main() -> None:
        tls = CertificateSource.from_folder(folder, client_ca=folder / "ca.crt")
        known = trusting(ca, identity=identity(tmp_path / "client", ca))
        bounds = {"connections": 12, "by_source": 8, "handshake": 0.3, "headers": 0.3, "body": 0.3, "closing": 0.3}
        async with listening(Limits(echo), tls, **bounds) as (address, figures):
            async with asyncio.timeout(30):
                await asyncio.gather(*(client(address, known, trusting(ca)) for _ in range(150)))
            await figures.become(lambda: figures.open() == 0)
            connection = await Connection.open(address, known)
            assert (await connection.call(body=b"after")).body == b"after"
            assert figures.open() == 1

    run(main())


def test_without_a_descriptor_left_room_is_made_and_no_time_is_lost(folder: Path, ca: KeyPair) -> None:
    async def main() -> None:
        with flooded(folder) as server:
            used = server.descriptors
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
            silent = [await Connection.open(server.address) for _ in range(100)]
            for _ in range(5):
                async with asyncio.timeout(30):
                    connection = await Connection.open(server.address, trusting(ca))
                    assert (await connection.call(body=b"x")).body == b"x"
                connection.close()
            before = server.seconds
            await asyncio.sleep(1.0)
            assert server.seconds - before < 0.5
            for one in silent:
                one.close()

    run(main())
