"""Connections kept for queries, against servers that answer in every way HTTP has, and in some that it has not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.engine.languages.rego import loop_http
from iocaudit.engine.languages.rego.loop_http import HttpReply, LoopHttp, NotConnectedError, NotHttpError, NotSentError

LARGEST = 10_000
PATIENT = 120.0
T = TypeVar("T")
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers each request by what ``answers`` has next, in pieces; nothing left means that it hangs."""

    def __init__(self, answers: Iterable[Iterable[bytes]]) -> None:
        self._answers = iter(answers)
        self.connections = self.asked = self.left = 0
        self.seen: list[bytes] = []
        self.closing = False
        """Whether it closes a connection after each answer."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.seen.append(head + await reader.readexactly(length))
                self.asked += 1
                pieces = next(self._answers, None)
                if pieces is None:
                    await reader.read()
                    break
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.closing or not pieces:
                    break
        self.left += 1
        writer.close()


def with_server(server: Server, ask: Callable[[LoopHttp], Awaitable[T]], most: int = 4) -> T:
    async def run() -> T:
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        http = LoopHttp("127.0.0.1", port, "Host: x\r\n", tls=None, most=most, largest=LARGEST)
        try:
            return await ask(http)
        finally:
            http.close()
            listening.close()

    return asyncio.run(run())


async def post(http: LoopHttp, seconds: float = PATIENT) -> HttpReply:
    return await http.post("/v1/x", b'{"a": 1}', seconds)


def test_queries_share_a_connection() -> None:
    server = Server([[PLAIN]] * 3)

    async def ask(http: LoopHttp) -> list[HttpReply]:
        return [await post(http) for _ in range(3)]

    assert with_server(server, ask) == [HttpReply(200, b"{}")] * 3
    assert server.connections == 1
    assert server.seen[0] == b'POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n{"a": 1}'


@pytest.mark.parametrize(
    ("answer", "reply", "is_kept"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad", HttpReply(500, b"bad"), True),
        (b"HTTP/1.1 204 Nothing\r\nContent-Length: 0\r\n\r\n", HttpReply(204, b""), True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n3\r\nabc\r\n0\r\n\r\n",
            HttpReply(200, b"{}abc"),
            True,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, HttpReply(200, b"{}"), True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", HttpReply(200, b"{}"), False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", HttpReply(200, b"{}"), False),
        (PLAIN + PLAIN, HttpReply(200, b"{}"), False),
        (PLAIN + b"more", HttpReply(200, b"{}"), False),
    ],
)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_an_answer_is_read_in_every_form_and_in_any_pieces(
    answer: bytes, reply: HttpReply, is_kept: bool, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answer) - 1), max_size=5)))
    pieces = [answer[i:j] for i, j in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    server = Server([pieces, [PLAIN]])

    async def ask(http: LoopHttp) -> HttpReply:
        found = await post(http)
        await asyncio.sleep(0.01)
        assert await post(http) == HttpReply(200, b"{}")
        return found

    try:
        assert with_server(server, ask) == reply
    except NotHttpError:
        assert answer.endswith(b"more")  # where that comes along with the answer
    else:
        assert server.connections == 1 if is_kept else server.connections <= 2


def test_an_answer_may_end_with_its_connection() -> None:
    server = Server([[b"HTTP/1.1 200 OK\r\n\r\n", b'{"a":', b" 1}"]])
    server.closing = True
    assert with_server(server, post) == HttpReply(200, b'{"a": 1}')


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
)
def test_an_answer_that_is_cut_short_is_none(cut: bytes) -> None:
    server = Server([[cut]])
    server.closing = True
    with pytest.raises(OSError, match="closed"):
        with_server(server, post)
    assert server.asked == 1


def test_a_kept_connection_that_was_closed_costs_no_query() -> None:
    server = Server([[PLAIN], [PLAIN]])
    server.closing = True

    async def ask(http: LoopHttp) -> list[HttpReply]:
        first = await post(http)
        while http._idle[-1].is_open:
            await asyncio.sleep(0.01)
        return [first, await post(http)]

    assert with_server(server, ask) == [HttpReply(200, b"{}")] * 2
    assert server.connections == 2


@pytest.mark.parametrize("cut", [[], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"]])
def test_nothing_is_asked_twice(cut: list[bytes]) -> None:
    server = Server([[PLAIN], cut, [PLAIN]])

    async def ask(http: LoopHttp) -> None:
        await post(http)
        server.closing = True
        await post(http)

    with pytest.raises(OSError, match="closed"):
        with_server(server, ask)
    assert server.asked == 2


def test_a_connection_that_was_idle_for_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_http, "_IDLE", -1.0)
    server = Server([[PLAIN]] * 2)

    async def ask(http: LoopHttp) -> None:
        await post(http)
        await post(http)

    with_server(server, ask)
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x01\x00\x02\x02",
    ],
)
def test_what_is_too_large_or_not_http_is_refused(answer: bytes) -> None:
    server = Server([[answer]])
    with pytest.raises(NotHttpError):
        with_server(server, post)


def test_who_leaves_closes_the_connection() -> None:
    server = Server([])

    async def ask(http: LoopHttp) -> None:
        with pytest.raises(TimeoutError) as raised:
            await post(http, 0.2)
        assert not isinstance(raised.value, NotSentError)
        query = asyncio.create_task(post(http))
        while server.asked < 2:
            await asyncio.sleep(0.01)
        query.cancel()
        while server.left < 2:
            await asyncio.sleep(0.01)

    with_server(server, ask)


def test_only_so_many_are_on_the_way_at_once() -> None:
    server = Server([])

    async def ask(http: LoopHttp) -> None:
        waiting = [asyncio.create_task(post(http)) for _ in range(5)]
        while server.asked < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert server.connections == 2
        with pytest.raises(NotSentError):
            await post(http, 0.05)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    with_server(server, ask, most=2)
    assert server.connections == 2


def test_nobody_answers() -> None:
    async def ask() -> None:
        await post(LoopHttp("127.0.0.1", 1, "", tls=None, most=1, largest=LARGEST))

    with pytest.raises(NotConnectedError):
        asyncio.run(ask())
