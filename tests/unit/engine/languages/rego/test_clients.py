"""What an OPA may answer, and what becomes of it: here it is a server of ours that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from iocaudit.engine.languages.rego.clients import MOST_ANSWER, OpaAsyncCalls, OpaCalls, said_error, said_trouble
from iocaudit.engine.languages.rego.endpoint import OpaEndpoint
from iocaudit.engine.languages.rego.trouble import Trouble, TroubleKind
from tests.support.bounded import within

Answer = Callable[[BaseHTTPRequestHandler], None]
Ask = Callable[[OpaEndpoint, float], object]


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[OpaEndpoint]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield OpaEndpoint(f"http://127.0.0.1:{server.server_address[1]}", "token")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def at_once(endpoint: OpaEndpoint, seconds: float) -> object:
    calls = OpaCalls(endpoint)
    try:
        return calls.query("a.b", "c", {"x": 1}, seconds)
    finally:
        calls.close()


def soon(endpoint: OpaEndpoint, seconds: float) -> object:
    async def asked() -> object:
        calls = OpaAsyncCalls(endpoint)
        try:
            return await calls.query("a.b", "c", {"x": 1}, seconds)
        finally:
            calls.close()
            await asyncio.sleep(0.01)

    return asyncio.run(asked())


@pytest.fixture(params=[at_once, soon])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


def trouble_of(ask: Ask, answer: Answer, seconds: float = 5.0) -> Trouble:
    with answering(answer) as endpoint, pytest.raises(Trouble) as raised:
        ask(endpoint, seconds)
    return raised.value


def test_a_query_goes_to_its_rule_with_our_token(ask: Ask) -> None:
    seen = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append((handler.path, handler.headers["Authorization"]))
        said(handler, b'{"result": 3}')

    with answering(answer) as endpoint:
        assert ask(endpoint, 5.0) == {"result": 3}
    assert seen == [("/v1/data/a/b/c", "Bearer token")]


@pytest.mark.parametrize("body", [b"", b"[1]", b"no", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_not_an_object_is_not_an_answer(ask: Ask, body: bytes) -> None:
    assert trouble_of(ask, lambda handler: said(handler, body)).kind is TroubleKind.ANSWER


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", TroubleKind.REFUSED),
        (403, b"<html>", TroubleKind.REFUSED),
        (404, b"{}", TroubleKind.ANSWER),
        (500, b"oops", TroubleKind.ANSWER),
        (503, b'{"code": "x", "message": "y", "errors": 3}', TroubleKind.ANSWER),
        (500, b'{"code": "internal_error", "errors": [{"code": "eval_conflict_error"}]}', TroubleKind.EVALUATION),
        (400, b'{"code": "invalid", "errors": [{"code": "rego_type_error"}]}', TroubleKind.MODULE),
    ],
)
def test_an_error_has_its_kind(ask: Ask, status: int, body: bytes, kind: TroubleKind) -> None:
    asked = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(1)
        said(handler, body, status)

    assert trouble_of(ask, answer).kind is kind
    assert len(asked) == 1, "nothing is tried again: the time is the caller's"


def test_a_redirect_is_not_followed(ask: Ask) -> None:
    with answering(lambda handler: said(handler, b'{"result": 1}')) as elsewhere:
        found = trouble_of(ask, lambda handler: said(handler, b"", 307, Location=elsewhere.url))
    assert found.kind in (TroubleKind.REFUSED, TroubleKind.ANSWER)


def test_nothing_is_waited_for_beyond_the_time(ask: Ask) -> None:
    over = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        over.wait(20)

    with within(5):
        assert trouble_of(ask, answer, 0.3).kind is TroubleKind.LATE
    over.set()


def test_an_answer_that_trickles_is_late(ask: Ask) -> None:
    over = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10000")
        handler.end_headers()
        while not over.wait(0.05):
            handler.wfile.write(b" ")

    with within(5):
        assert trouble_of(ask, answer, 0.4).kind is TroubleKind.LATE
    over.set()


def test_an_answer_that_is_too_large_is_not_read(ask: Ask) -> None:
    found = trouble_of(ask, lambda handler: said(handler, b" " * (MOST_ANSWER + 1)))
    assert (found.kind, "larger than" in found.reason) == (TroubleKind.ANSWER, True)


def test_one_that_hangs_up_is_away(ask: Ask) -> None:
    assert trouble_of(ask, lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)).kind is TroubleKind.AWAY
    with pytest.raises(Trouble) as raised:
        ask(OpaEndpoint("http://127.0.0.1:1", ""), 1.0)
    assert (raised.value.kind, "token" in str(raised.value)) == (TroubleKind.AWAY, False)


def test_the_environment_has_no_say(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering(lambda handler: said(handler, b'{"result": 1}')) as endpoint:
        assert ask(endpoint, 5.0) == {"result": 1}


def test_only_so_many_are_on_the_way() -> None:
    over = threading.Event()
    found: list[TroubleKind] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        over.wait(20)

    with answering(answer) as endpoint:
        calls = OpaCalls(endpoint)

        def ask() -> None:
            try:
                calls.query("a", "b", {}, 0.5)
            except Trouble as error:
                found.append(error.kind)

        threads = [threading.Thread(target=ask) for _ in range(40)]
        with within(5):
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        over.set()
        calls.close()
    assert found == [TroubleKind.LATE] * 40


def test_an_error_of_opa_is_taken_apart() -> None:
    detail = {"code": "eval_builtin_error", "message": "div: divide by zero", "location": {"file": "a/b", "row": 3}}
    found = said_trouble(500, json.dumps({"code": "internal_error", "errors": [detail, "x"]}).encode())
    assert (found.kind, found.reason, found.policy, found.line) == (
        TroubleKind.EVALUATION,
        "div: divide by zero",
        "a/b",
        3,
    )
    assert said_error("unauthorized", "x", None).kind is TroubleKind.REFUSED
    assert said_error("x", "y", [{"location": 3}]).line == 0


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_an_opa_that_takes_modules_one_by_one_is_no_trouble(status: int) -> None:
    with answering(lambda handler: said(handler, b"{}", status)) as endpoint:
        calls = OpaCalls(endpoint)
        assert not calls.put_all({"a": "package a"}, (), 5.0)
        calls.close()
