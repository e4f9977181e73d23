import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iocaudit.engine.languages.cel.connections import CelConnections
from iocaudit.engine.languages.cel.frames import FrameReader, framed
from iocaudit.engine.languages.evaluator import EngineError

Serve = Callable[[socket.socket], None]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[[Serve], CelConnections]]:
    """CelConnections to a socket where each connection is handed to a function."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    made = CelConnections(tmp_path / "s")

    def serve(with_it: Serve) -> CelConnections:
        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    with_it(connection)

        threading.Thread(target=accept, daemon=True).start()
        return made

    yield serve
    made.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def echo(connection: socket.socket) -> None:
    reader = FrameReader()
    while piece := connection.recv(4096):
        for message in reader.feed(piece):
            connection.sendall(framed({"id": message["id"], "said": message["say"]}))


def test_a_connection_is_used_again(served: Callable[[Serve], CelConnections]) -> None:
    opened: list[int] = []

    def counted(connection: socket.socket) -> None:
        opened.append(1)
        echo(connection)

    connections = served(counted)
    assert [connections.ask({"say": text}, 10)["said"] for text in ("a", "b", "c")] == ["a", "b", "c"]
    assert len(opened) == 1


def test_one_whose_answer_does_not_come_is_closed(served: Callable[[Serve], CelConnections]) -> None:
    closed = threading.Event()

    def silent(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass
        closed.set()

    connections = served(silent)
    with pytest.raises(EngineError, match="no answer came in time"):
        connections.ask({"say": "a"}, 0.1)
    assert closed.wait(30)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"", "ended before it answered"), (framed({"id": 7_000}), "to another question"), (b"HTTP/1.1 400", "at most")],
)
def test_what_is_not_the_answer_is_an_error(
    served: Callable[[Serve], CelConnections], answer: bytes, reason: str
) -> None:
    def wrong(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    with pytest.raises(EngineError, match=reason):
        served(wrong).ask({"say": "a"}, 10)


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be asked"):
        CelConnections(tmp_path / "s").ask({"say": "a"}, 1)
    with pytest.raises(EngineError, match="in time"):
        CelConnections(tmp_path / "s").ask({"say": "a"}, 0)
