"""What a caller cannot do: too much, too many, too slowly."""

import asyncio

import pytest

from iocaudit.serving.asgi import AsgiReceive, AsgiScope, AsgiSend, Message, answer
from iocaudit.serving.limits import Bounds, Limits
from iocaudit.serving.listener import run
from iocaudit.serving.protocol import ConnectionBounds
from tests.support.bounded import within
from tests.support.loopback import Connection, echo, serving


def test_a_body_of_the_limit_passes_and_one_byte_more_is_refused() -> None:
    async def main() -> None:
        rejected: list[str] = []
        async with serving(Limits(echo, Bounds(max_body=200_000), rejected.append)) as (address, _):
            connection = await Connection.open(address)
            assert (await connection.call(body=b"x" * 200_000)).body == b"x" * 200_000
            refused = await connection.call(body=b"x" * 200_001)
            assert (refused.status, refused.headers["connection"]) == (413, "close")
            assert b"200000 bytes" in refused.body
            assert await connection.ended()
        assert rejected == ["too-large"]

    run(main())


@pytest.mark.parametrize("size", [100_001, 3_000_000])
def test_a_body_without_a_length_is_counted(size: int) -> None:
    async def main() -> None:
        async with serving(Limits(echo, Bounds(max_body=100_000))) as (address, _):
            connection = await Connection.open(address)
            connection.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            connection.writer.write(b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
            async with asyncio.timeout(30):
                assert (await connection.response()).status == 413

    run(main())


def test_one_who_asks_before_sending_is_answered_at_once() -> None:
    async def main() -> None:
        async with serving(Limits(echo, Bounds(max_body=10))) as (address, _):
            connection = await Connection.open(address)
            connection.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n")
            async with asyncio.timeout(30):
                assert (await connection.response()).status == 413

    run(main())


def test_a_trickled_body_is_cut_off_and_holds_no_slot() -> None:
    async def main() -> None:
        rejected: list[str] = []
        limits = Limits(echo, Bounds(max_concurrent=1, max_queued=0), rejected.append)
        async with serving(limits, bounds=ConnectionBounds(body=0.3)) as (address, _):
            slow = await Connection.open(address)
            slow.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
            quick = await Connection.open(address)
            with within(0.45):
                for _ in range(5):
                    slow.writer.write(b"x")
                    assert (await quick.call(body=b"y")).status == 200
                    await asyncio.sleep(0.05)
                assert (await slow.response()).status == 408
            assert await slow.ended()
            assert limits.active == 0
        assert rejected == ["incomplete-body"]

    run(main())


def test_a_body_that_arrives_in_time_leaves_no_timer_for_the_next() -> None:
    async def main() -> None:
        async with serving(Limits(echo), bounds=ConnectionBounds(body=0.2)) as (address, _):
            connection = await Connection.open(address)
            for _ in range(3):
                connection.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nx")
                await asyncio.sleep(0.12)
                connection.writer.write(b"y")
                assert (await connection.response()).body == b"xy"

    run(main())


def test_an_answer_that_has_begun_is_not_followed_by_a_timeout() -> None:
    async def early(_scope: AsgiScope, _receive: AsgiReceive, send: AsgiSend) -> None:
        await answer(send, 200, "early")

    async def main() -> None:
        async with serving(early, bounds=ConnectionBounds(body=0.1)) as (address, _):
            connection = await Connection.open(address)
            connection.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx")
            assert (await connection.response()).body == b"early"
            assert await connection.ended()

    run(main())


def test_beyond_the_slots_and_the_queue_callers_are_told_to_come_back() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def held(_scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
            await receive()
            await go_on.wait()
            await answer(send, 200, "done")

        rejected: list[str] = []
        limits = Limits(held, Bounds(max_concurrent=2, max_queued=3, queue_timeout=5, retry_after=1), rejected.append)
        async with serving(limits) as (address, _):
            connections = [await Connection.open(address) for _ in range(9)]
            calls = [asyncio.create_task(connection.call()) for connection in connections]
            async with asyncio.timeout(30):
                while sum(call.done() for call in calls) < 4:
                    await asyncio.sleep(0.01)
            assert (limits.active, limits.queued) == (2, 3)
            go_on.set()
            responses = await asyncio.gather(*calls)
            busy = [response for response in responses if response.status == 503]
            assert len(busy) == 4
            assert all(response.headers["retry-after"] == "1" for response in busy)
            assert sum(response.status == 200 for response in responses) == 5
            assert (limits.active, limits.queued) == (0, 0)
            # A caller that was turned away may use its connection again.
            assert (await connections[responses.index(busy[0])].call()).status == 200
        assert rejected == ["busy"] * 4

    run(main())


def test_waiting_for_a_slot_is_bounded() -> None:
    async def main() -> None:
        async def stuck(_scope: AsgiScope, _receive: AsgiReceive, send: AsgiSend) -> None:
            await asyncio.sleep(0.5)
            await answer(send, 200, "late")

        limits = Limits(stuck, Bounds(max_concurrent=1, max_queued=1, queue_timeout=0.05))
        async with serving(limits) as (address, _):
            first, second = await Connection.open(address), await Connection.open(address)
            call = asyncio.create_task(first.call())
            await asyncio.sleep(0.05)
            assert (await second.call()).status == 503
            assert (await call).status == 200

    run(main())


def test_all_bodies_together_are_bounded_and_given_back() -> None:
    async def main() -> None:
        limits = Limits(echo, Bounds(max_buffered=150_000))
        async with serving(limits) as (address, _):
            holder = await Connection.open(address)
            holder.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100001\r\n\r\n" + b"x" * 100_000)
            await asyncio.sleep(0.1)
            other = await Connection.open(address)
            assert (await other.call(body=b"x" * 160_000)).status == 503
            holder.writer.write(b"x")
            assert (await holder.response()).status == 200
            again = await Connection.open(address)
            assert (await again.call(body=b"x" * 60_000)).status == 200

    run(main())


def test_small_bodies_are_read_although_large_ones_that_never_end_fill_the_memory() -> None:
    async def main() -> None:
        rejected: list[str] = []
        async with serving(Limits(echo, Bounds(max_buffered=150_000), rejected.append)) as (address, _):
            holders = [await Connection.open(address) for _ in range(2)]
            for number, holder in enumerate(holders):
                sent = b"x" * (74_000 - number)
                holder.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + sent)
            await asyncio.sleep(0.1)
            small = await Connection.open(address)
            for _ in range(3):
                assert (await small.call(body=b"y" * 12_000)).body == b"y" * 12_000
            given_up = await holders[0].response()
            assert (given_up.status, given_up.headers["connection"]) == (503, "close")
            holders[1].writer.write(b"x" * 26_001)
            assert (await holders[1].response()).status == 200
        assert rejected == ["memory"]

    run(main())


def test_a_fault_of_the_app_gives_its_slot_back() -> None:
    async def main() -> None:
        async def failing(_scope: AsgiScope, _receive: AsgiReceive, _send: AsgiSend) -> None:
            raise RuntimeError("broken")

        limits = Limits(failing, Bounds(max_concurrent=1, max_queued=0))
        async with serving(limits) as (address, _):
            for _ in range(3):
                connection = await Connection.open(address)
                connection.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
                assert (await connection.response()).status == 500
        assert limits.active == 0

    run(main())


def test_a_caller_that_leaves_while_sending_frees_what_it_sent() -> None:
    async def main() -> None:
        limits = Limits(echo, Bounds(max_buffered=100_000))
        async with serving(limits) as (address, _):
            leaver = await Connection.open(address)
            leaver.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99000\r\n\r\n" + b"x" * 90_000)
            await asyncio.sleep(0.05)
            leaver.close()
            await asyncio.sleep(0.05)
            stayer = await Connection.open(address)
            assert (await stayer.call(body=b"x" * 90_000)).status == 200

    run(main())


def test_the_app_reads_the_body_once_then_waits_for_the_end() -> None:
    async def main() -> None:
        messages: list[Message] = []

        async def reading(_scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
            messages.append(await receive())
            await answer(send, 200, "ok")
            messages.append(await receive())

        async with serving(Limits(reading)) as (address, _):
            connection = await Connection.open(address)
            assert (await connection.call(body=b"abc")).status == 200
            await asyncio.sleep(0.05)
        assert messages == [
            {"type": "http.request", "body": b"abc", "more_body": False},
            {"type": "http.disconnect"},
        ]

    run(main())
