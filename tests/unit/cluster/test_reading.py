"""Lists and watches of objects of any size, from a server over HTTP: bounded in bytes, and nothing is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes.client import ApiClient, Configuration

from iocaudit.cluster import client as client_module
from iocaudit.cluster import reading
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ExpiredError, UnreachableError
from iocaudit.cluster.lease import LeaseLostError
from iocaudit.cluster.reading import HEAD, SMALL, LargeTexts
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.partial import lacks_of

LARGEST, PAGE = 8 * SMALL, 2 * SMALL


class Server(ThreadingHTTPServer):
    """Objects by name with the size of their data; ``asked`` are the limits of lists."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sizes: dict[str, int] = {}
        self.asked: list[int] = []
        self.posted: list[str] = []
        self.expired = 0


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        found = [item(name, size) for name, size in self.server.sizes.items()]
        if "watch" in query:
            events = [{"type": "ADDED", "object": one} for one in found]
            self.answer(*(json.dumps(event).encode() + b"\n" for event in events))
            return
        limit, begin = int(query.get("limit", "1000")), int(query.get("continue", "0"))
        self.server.asked.append(limit)
        if begin and self.server.expired:
            self.server.expired -= 1
            self.answer(b'{"reason": "Expired", "message": "too old"}', status=410)
            return
        end = begin + limit
        metadata = {"resourceVersion": "9", "continue": str(end) if end < len(found) else ""}
        self.answer(json.dumps({"kind": "L", "metadata": metadata, "items": found[begin:end]}).encode())

    def do_POST(self) -> None:
        self.server.posted.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b"{}")

    def answer(self, *parts: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in parts:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # it was read no further

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def item(name: str, size: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "uid": f"u-{name}"}, "data": {"a": "x" * size}}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join(10)


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(client_module, "LARGEST", LARGEST)
    monkeypatch.setattr(client_module, "LARGEST_PAGE", PAGE)
    monkeypatch.setattr(reading, "LARGEST", LARGEST)
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_port}"
    found = Client(ApiClient(configuration), timeout=10)
    yield found
    found.close()


def names(client: Client) -> list[str]:
    return [raw["metadata"]["name"] for raw in client.each(CONFIG_MAP)]


def test_fewer_are_asked_for_where_they_are_large(server: Server, client: Client) -> None:
    server.sizes = {f"a-{number}": 10 for number in range(200)}
    assert names(client) == list(server.sizes)
    assert server.asked == [125, 125]
    server.asked.clear()
    server.sizes = {f"a-{number}": PAGE * 3 // 4 for number in range(10)}
    assert names(client) == list(server.sizes)
    assert server.asked == [125, 31, 7, 1, *[1] * 9]
    # What was learnt is kept, and grows again where there is room.
    server.asked.clear()
    assert names(client) == list(server.sizes)
    assert server.asked == [1] * 10
    server.asked.clear()
    server.sizes = {f"a-{number}": 10 for number in range(200)}
    assert names(client) == list(server.sizes)
    assert server.asked == [1, 2, 4, 8, 16, 32, 64, 125]


def test_one_beyond_every_bound_keeps_its_identity(server: Server, client: Client) -> None:
    server.sizes = {"before": 10, "huge": 2 * LARGEST, "after": 10}
    found = list(client.each(CONFIG_MAP))
    assert [raw["metadata"]["name"] for raw in found] == ["before", "huge", "after"]
    assert [lacks_of(raw) for raw in found] == ["", "it cannot be read: it is too large", ""]
    assert found[1]["kind"] == "ConfigMap"
    events = list(client.watch(CONFIG_MAP, "1"))
    assert [(event, raw["metadata"]["uid"]) for event, raw in events] == [
        ("ADDED", "u-before"),
        ("ADDED", "u-huge"),
        ("ADDED", "u-after"),
    ]
    assert len(events[1][1]) == 1, "nothing of it but its metadata"


def test_a_guarded_client_reads_and_asks_before_each_write(server: Server, client: Client) -> None:
    def refuse() -> None:
        raise LeaseLostError("no")

    server.sizes = {"a": 10}
    body = {"metadata": {"name": "a", "namespace": "shop"}}
    guarded = client.guarded(refuse)
    assert names(guarded) == ["a"]
    with pytest.raises(LeaseLostError):
        guarded.create(CONFIG_MAP, body)
    assert server.posted == []
    client.guarded(lambda: None).create(CONFIG_MAP, body)
    assert server.posted == ["/api/v1/namespaces/shop/configmaps"]


def test_a_list_that_expires_begins_again(server: Server, client: Client) -> None:
    server.sizes = {f"a-{number}": 10 for number in range(200)}
    server.expired = 2
    found, version = client.collect(CONFIG_MAP, lambda raw: raw["metadata"]["name"])
    assert found == list(server.sizes)
    assert version == "9"
    server.expired = 3
    with pytest.raises(ExpiredError):
        client.list_all(CONFIG_MAP)


def test_two_threads_at_a_time_hold_large_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_LONGEST_WAIT", 0.05)
    texts = LargeTexts()
    first, second, third, small = (texts.holder() for _ in range(4))
    first.hold(SMALL + 1)
    texts.holder().hold(SMALL + 1)  # of the same thread: a list within a list must not wait for itself

    def elsewhere(work: Any) -> list[Exception]:
        errors: list[Exception] = []
        worked = threading.Event()

        def run() -> None:
            try:
                work()
            except UnreachableError as error:
                errors.append(error)
            worked.set()
            ended.wait(10)  # else the next thread may get the number of this one

        threading.Thread(target=run, daemon=True).start()
        assert worked.wait(10)
        return errors

    ended = threading.Event()
    assert not elsewhere(lambda: second.hold(SMALL + 1))
    assert not elsewhere(lambda: small.hold(SMALL))
    assert elsewhere(lambda: third.hold(SMALL + 1))
    second.free()  # by another thread than its own
    assert not elsewhere(lambda: third.hold(SMALL + 1))
    third.free()
    third.free()
    ended.set()


def test_the_ends_of_a_large_answer(server: Server, client: Client) -> None:
    server.sizes = {"huge": 3 * LARGEST}
    response = client._send("GET", "/api/v1/configmaps", None, None, "application/json", None)
    head, tail = reading.read_ends(response, 10 * LARGEST)
    assert (len(head), len(tail)) == (HEAD, HEAD)
    assert tail.endswith(b'"}}]}')
    response = client._send("GET", "/api/v1/configmaps", None, None, "application/json", None)
    with pytest.raises(UnreachableError):
        reading.read_ends(response, LARGEST)
