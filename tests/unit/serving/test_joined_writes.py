"""An answer's parts leave together, in order, and none is left behind."""

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.serving.joined_writes import JoinedWrites


class Recorder(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 7


def told(act: Callable[[JoinedWrites], None], *, turns: int = 2) -> Recorder:
    """What the transport was told once the loop has turned."""

    async def run() -> Recorder:
        recorder = Recorder()
        act(JoinedWrites(recorder, asyncio.get_running_loop()))
        for _ in range(turns):
            await asyncio.sleep(0)
        return recorder

    return asyncio.run(run())


def test_headers_and_body_are_one_write() -> None:
    def act(transport: JoinedWrites) -> None:
        transport.write(b"headers ")
        transport.write(b"body")

    assert told(act).writes == [b"headers body"]


def test_what_stays_alone_is_sent_at_the_end_of_the_turn() -> None:
    recorder = told(lambda transport: transport.write(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert recorder.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_closing_sends_first_what_is_held() -> None:
    def act(transport: JoinedWrites) -> None:
        transport.write(b"last words")
        transport.close()

    recorder = told(act, turns=0)
    assert (recorder.writes, recorder.closed) == ([b"last words"], True)


def test_nothing_is_written_to_a_transport_that_was_closed_meanwhile() -> None:
    def act(transport: JoinedWrites) -> None:
        transport.write(b"too late")
        transport.abort()

    class Aborting(Recorder):
        def abort(self) -> None:
            self.closed = True

    async def run() -> Recorder:
        recorder = Aborting()
        act(JoinedWrites(recorder, asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return recorder

    assert asyncio.run(run()).writes == []


def test_the_rest_is_the_transports_own() -> None:
    sizes: list[int] = []
    told(lambda transport: sizes.append(transport.get_write_buffer_size()))
    assert sizes == [7]


@given(st.lists(st.lists(st.binary(min_size=1, max_size=5), max_size=5), max_size=5))
def test_whatever_is_written_arrives_in_order(turns: list[list[bytes]]) -> None:
    async def run() -> Recorder:
        recorder = Recorder()
        transport = JoinedWrites(recorder, asyncio.get_running_loop())
        for parts in turns:
            for part in parts:
                transport.write(part)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return recorder

    assert b"".join(asyncio.run(run()).writes) == b"".join(part for parts in turns for part in parts)
