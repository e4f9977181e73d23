"""Listening, the bounds of connections and headers, and going away under load."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from iocaudit.serving.asgi import AsgiReceive, AsgiScope, AsgiSend, answer
from iocaudit.serving.authority import KeyPair
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.errors import ListenError
from iocaudit.serving.health import Readiness, health_app
from iocaudit.serving.listener import ListenAddress, Listeners, ListenerSpec, run, serve
from iocaudit.serving.protocol import ConnectionBounds
from tests.support.bounded import within
from tests.support.loopback import Connection, echo, serving, trusting


def test_an_address_in_use_is_named_and_nothing_stays_open() -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                free = probe.getsockname()[1]
            drain = Drain(Readiness([]))
            listeners = Listeners(
                [ListenerSpec("health", echo, "127.0.0.1", free), ListenerSpec("main", echo, "127.0.0.1", port)], drain
            )
            with pytest.raises(ListenError, match=rf"main listener at 127\.0\.0\.1:{port}: Address already in use"):
                await listeners.start()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", free)

    run(main())


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("127.0.0.1", 70_000)])
def test_an_impossible_address_is_our_error(host: str, port: int) -> None:
    async def main() -> None:
        with pytest.raises(ListenError, match="main listener at"):
            await Listeners([ListenerSpec("main", echo, host, port)], Drain(Readiness([]))).start()

    run(main())


def test_unfinished_headers_are_cut_off_also_between_requests() -> None:
    async def main() -> None:
        async with serving(echo, bounds=ConnectionBounds(headers=0.2, handshake=0.2)) as (address, _):
            silent, partial, second, blank = [await Connection.open(address) for _ in range(4)]
            partial.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\n")
            for connection, sent in ((second, b"POST / HTTP/1.1\r\nx"), (blank, b"\r\n")):
                assert (await connection.call(body=b"a")).status == 200
                connection.writer.write(sent)
            for connection in (partial, second, blank):
                async with asyncio.timeout(30):
                    assert (await connection.response()).status == 408
                assert await connection.ended()
            assert await silent.ended()

    run(main())


def test_a_kept_connection_may_idle_longer_than_its_headers_may_take() -> None:
    async def main() -> None:
        async with serving(echo, bounds=ConnectionBounds(headers=0.1)) as (address, _):
            connection = await Connection.open(address)
            for _ in range(2):
                assert (await connection.call(body=b"a")).status == 200
                await asyncio.sleep(0.2)
            assert (await connection.call(body=b"a")).status == 200

    run(main())


def test_endless_headers_are_cut_off() -> None:
    async def main() -> None:
        async with serving(echo, bounds=ConnectionBounds(header_bytes=5_000)) as (address, _):
            connection = await Connection.open(address)
            assert (await connection.call("/", b"a" * 20_000, "x: " + "y" * 3_000)).status == 200
            connection.writer.write(b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 1_000)
            assert (await connection.response()).status == 431
            assert await connection.ended()

    run(main())


def test_garbage_is_answered_400() -> None:
    async def main() -> None:
        async with serving(echo) as (address, _):
            connection = await Connection.open(address)
            connection.writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
            assert (await connection.response()).status == 400

    run(main())


def test_draining_under_load_fails_no_call(folder: Path, ca: KeyPair) -> None:
    """Two replicas; one goes away. Clients leave it as a Service would: once its readiness is gone."""

    async def main() -> None:
        after: list[bool] = []
        calls = 0
        stopping = asyncio.Event()
        context = trusting(ca)

        async def slow_echo(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
            await asyncio.sleep(0.01)
            await echo(scope, receive, send)

        readiness = Readiness([])
        drain = Drain(readiness, grace=0.4, finish=2)
        source = CertificateSource.from_folder(folder)
        started: asyncio.Future[ListenAddress] = asyncio.get_running_loop().create_future()
        going = asyncio.create_task(
            serve(
                [
                    ListenerSpec("main", slow_echo, "127.0.0.1", 0, tls=source),
                    ListenerSpec("health", health_app(readiness), "127.0.0.1", 0),
                ],
                drain,
                started=lambda addresses: started.set_result(addresses["main"]),
            )
        )
        leaving = await started
        async with serving(slow_echo, tls=CertificateSource.from_folder(folder)) as (staying, _):

            async def client() -> None:
                nonlocal calls
                connection: Connection | None = None
                while not stopping.is_set():
                    if connection is None:
                        # The endpoints follow readiness with some delay.
                        gone = drain.draining and time.monotonic() > begun + 0.15
                        connection = await Connection.open(staying if gone else leaving, context)
                    was_draining = drain.draining
                    response = await connection.call(body=b"x")
                    calls += 1
                    assert response.body == b"x"
                    closes = response.headers.get("connection") == "close"
                    if was_draining and connection.writer.get_extra_info("peername")[1] == leaving.port:
                        after.append(closes)
                    if closes:
                        connection.close()
                        connection = None
                if connection is not None:
                    connection.close()

            begun = 0.0
            clients = [asyncio.create_task(client()) for _ in range(8)]
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            drain.begin("test")
            assert not readiness.ready
            await going
            took = time.monotonic() - begun
            await asyncio.sleep(0.1)
            stopping.set()
            await asyncio.gather(*clients)
        assert after
        assert all(after)
        assert calls > len(after)
        assert took >= 0.4
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(leaving.host, leaving.port)

    run(main())


def test_a_request_in_flight_is_finished_and_one_that_takes_too_long_is_not_waited_for() -> None:
    async def main() -> None:
        async def sleepy(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
            await asyncio.sleep(float((await receive())["body"]))
            await answer(send, 200, "done")

        drain = Drain(Readiness([]), grace=0, finish=1)
        listeners = Listeners([ListenerSpec("main", sleepy, "127.0.0.1", 0)], drain)
        await listeners.start()
        quick = await Connection.open(listeners.addresses["main"])
        stuck = await Connection.open(listeners.addresses["main"])
        finishing = asyncio.create_task(quick.call(body=b"0.5"))
        waiting = asyncio.create_task(stuck.call(body=b"60"))
        await asyncio.sleep(0.05)
        drain.begin("test")
        with within(2.5):
            await listeners.stop()
        response = await finishing
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert (await waiting).status == 500

    run(main())


def test_a_part_that_dies_ends_the_process_with_its_error() -> None:
    async def main() -> None:
        async def dying() -> None:
            await asyncio.sleep(0.05)
            raise RuntimeError("the watch broke")

        drain = Drain(Readiness([]), grace=0, finish=1)
        with pytest.raises(RuntimeError, match="the watch broke"):
            await serve([ListenerSpec("main", echo, "127.0.0.1", 0)], drain, background=[dying])
        assert not drain.readiness.ready

    run(main())


PROGRAM = """
import asyncio, sys
from iocaudit.serving.asgi import answer
from iocaudit.serving.drain import Drain
from iocaudit.serving.health import Readiness
from iocaudit.serving.listener import ListenerSpec, run, serve
from iocaudit.serving.logs import configure_logging

async def app(scope, receive, send):
    await answer(send, 200, "ok")

async def main():
    configure_logging()
    drain = Drain(Readiness([]), grace=float(sys.argv[1]), finish=1)
    drain.on_signals()
    await serve([ListenerSpec("main", app, "127.0.0.1", 0)], drain)

run(main())
"""


@pytest.mark.parametrize(("grace", "signals"), [("0.3", [signal.SIGTERM]), ("60", [signal.SIGTERM, signal.SIGINT])])
def test_a_process_drains_on_a_signal_and_exits_at_once_on_the_second(grace: str, signals: list[int]) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, grace, stderr=asyncio.subprocess.PIPE, env={**os.environ}
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(30):
                started = json.loads(await process.stderr.readline())
                assert (started["msg"], started["listener"]) == ("listening", "main")
                connection = await Connection.open(
                    ListenAddress("127.0.0.1", int(started["address"].split(":")[-1]), False)
                )
                assert (await connection.call()).status == 200
                for number in signals:
                    process.send_signal(number)
                    assert json.loads(await process.stderr.readline())["msg"].endswith(signal.Signals(number).name)
                with within(20):
                    rest = await process.stderr.read()
                    assert await process.wait() == 0
                assert b"Traceback" not in rest
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    run(main())


def test_what_a_listener_adds_to_each_call_is_little() -> None:
    """The drain's wrapper adds a header only when draining, and never touches the app's own others."""

    async def main() -> None:
        async def custom(_scope: AsgiScope, _receive: AsgiReceive, send: AsgiSend) -> None:
            await answer(send, 200, "ok", [(b"Connection", b"keep-alive"), (b"x-own", b"1")])

        drain = Drain(Readiness([]), grace=0, finish=1)
        async with serving(custom, drain) as (address, _):
            connection = await Connection.open(address)
            before = await connection.call()
            assert sorted(before.headers) == ["connection", "content-length", "content-type", "x-own"]
            drain.begin("test")
            after = await connection.call()
            assert (after.headers["connection"], after.headers["x-own"]) == ("close", "1")
            assert await connection.ended()

    run(main())
