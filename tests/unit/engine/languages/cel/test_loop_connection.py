import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from iocaudit.core.shape import Json
from iocaudit.engine.languages.cel.frames import FrameReader, framed
from iocaudit.engine.languages.cel.loop_connection import LoopConnection
from iocaudit.engine.languages.evaluator import EngineError

Answer = Callable[[Json, asyncio.StreamWriter], None]


def conversed(folder: Path, answer: Answer, talk: Callable[[LoopConnection], Awaitable[object]]) -> object:
    """What a talk gives with a server that hands each message to ``answer``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        while piece := await reader.read(4096):
            for message in frames.feed(piece):
                answer(message, writer)
        writer.close()

    async def run() -> object:
        server = await asyncio.start_unix_server(serve, folder / "s")
        connection = await LoopConnection.opened(folder / "s")
        try:
            return await talk(connection)
        finally:
            connection.close()
            server.close()

    return asyncio.run(run())


def test_answers_go_to_their_questions_in_whatever_order_they_come(tmp_path: Path) -> None:
    held: list[Json] = []

    def backwards(message: Json, writer: asyncio.StreamWriter) -> None:
        held.append(message)
        if len(held) == 3:
            for one in reversed(held):
                writer.write(framed({"id": one["id"], "said": one["say"]}))

    async def talk(connection: LoopConnection) -> object:
        return await asyncio.gather(*(connection.ask({"say": text}, 10) for text in "abc"))

    said = conversed(tmp_path, backwards, talk)
    assert [one["said"] for one in said] == ["a", "b", "c"]  # type: ignore[attr-defined]


def test_a_question_that_takes_too_long_or_is_left_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    cancelled: list[int] = []

    def slow(message: Json, writer: asyncio.StreamWriter) -> None:
        if "cancel" in message:
            cancelled.append(message["cancel"])
        elif message["say"] == "now":
            writer.write(framed({"id": message["id"], "said": "now"}))

    async def talk(connection: LoopConnection) -> object:
        left = asyncio.ensure_future(connection.ask({"say": "later"}, 10))
        with pytest.raises(EngineError, match="no answer came in time"):
            await connection.ask({"say": "later"}, 0.05)
        left.cancel()
        await asyncio.wait([left])
        assert left.cancelled()
        return await connection.ask({"say": "now"}, 10)

    assert conversed(tmp_path, slow, talk) == {"id": 3, "said": "now"}
    assert sorted(cancelled) == [1, 2]


@pytest.mark.parametrize("bytes_", [b"", b"HTTP/1.1 400"])
def test_all_that_wait_are_told_when_it_ends(tmp_path: Path, bytes_: bytes) -> None:
    def end(message: Json, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes_)
        writer.close()

    async def talk(connection: LoopConnection) -> object:
        found = await asyncio.gather(*(connection.ask({}, 10) for _ in range(3)), return_exceptions=True)
        assert not connection.open
        with pytest.raises(EngineError):
            await connection.ask({}, 10)
        return found

    found = conversed(tmp_path, end, talk)
    assert [type(one) for one in found] == [EngineError] * 3  # type: ignore[attr-defined]


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be asked"):
        asyncio.run(LoopConnection.opened(tmp_path / "s"))
