"""Where signals are posted: who may post what, what is answered, and that an answer of 200 is true."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from iocaudit.receivers.app import RETRY_AFTER, receiver_app
from iocaudit.receivers.intake import Intake
from iocaudit.receivers.journal import Journal
from iocaudit.receivers.metrics import SignalMetrics
from iocaudit.receivers.senders import Senders
from iocaudit.serving.authority import issue_ca, issue_leaf
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.listener import ListenAddress
from iocaudit.supervision.part import Life
from tests.support.loopback import NAMES, NOW, Connection, Response, serving, trusting, write_pair
from tests.support.signal_posts import TOKEN, alert_message, event_list, exec_event, falco_alert, write_senders

EVENTS = event_list(exec_event(1), exec_event(2))
FALCO = json.dumps(falco_alert()).encode()
ALERTS = json.dumps(alert_message()).encode()


class Door:
    """The app on listeners with real certificates; ``post`` is one request on a connection of its own."""

    def __init__(self, folder: Path, most_bytes: int = 1 << 20) -> None:
        self.folder = folder
        self.authority = issue_ca(NOW, timedelta(days=1))
        write_pair(folder, issue_leaf(self.authority, NAMES, NOW, timedelta(days=1)))
        (folder / "ca.crt").write_bytes(self.authority.certificate_pem)
        self.journal = Journal(folder / "data", most_bytes=most_bytes)
        self.intake = Intake(self.journal)
        self.registry = CollectorRegistry()
        senders = Senders.from_file(write_senders(folder))
        self.app = receiver_app(lambda: senders, self.intake, SignalMetrics(self.registry), lambda _reason: None)
        self.address: ListenAddress | None = None

    @contextlib.asynccontextmanager
    async def open(self, *, with_certificates: bool) -> AsyncIterator["Door"]:
        client_ca = self.folder / "ca.crt" if with_certificates else None
        source = CertificateSource.from_folder(self.folder, client_ca=client_ca)
        life = Life(lambda: 0.0, 60.0)
        thread = threading.Thread(target=self.intake.run, args=(life,))
        thread.start()
        try:
            async with serving(self.app, tls=source) as (self.address, _):
                yield self
        finally:
            life.end()
            thread.join()
            self.journal.close()

    async def post(self, path: str, body: bytes, *headers: str, client: str = "") -> Response:
        assert self.address is not None
        identity = self._identity(client) if client else None
        connection = await Connection.open(self.address, trusting(self.authority, identity=identity))
        try:
            return await connection.call(path, body, *headers)
        finally:
            connection.close()

    def _identity(self, name: str) -> Path:
        folder = self.folder / name.replace(":", "-")
        if not folder.exists():
            folder.mkdir()
            write_pair(folder, issue_leaf(self.authority, NAMES, NOW, timedelta(days=1), common_name=name))
        return folder

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"iocaudit_receiver_{name}", labels)


def test_a_certificate_is_bound_to_its_sources(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open(with_certificates=True) as door:
            api = "system:apiserver-audit"
            found = await door.post("/audit", EVENTS, client=api)
            assert (found.status, json.loads(found.body)) == (200, {"entries": 2, "new": 2})
            again = await door.post("/audit?timeout=30s", EVENTS, client=api)
            assert json.loads(again.body) == {"entries": 2, "new": 0}
            assert (await door.post("/falco", FALCO, client=api)).status == 403
            assert (await door.post("/audit", EVENTS, client="somebody")).status == 401
            forged = await door.post("/audit", EVENTS, f"authorization: Bearer {TOKEN}", client="somebody")
            assert forged.status == 401, "a certificate that is nobody's is not made good by a token"
            assert len(door.journal.after(0)) == 1
            named = {"source": "audit", "sender": "api-server"}
            assert door.figure("posts_total", **named, result="stored") == 2
            assert door.figure("signals_total", **named, state="new") == 2
            assert door.figure("signals_total", **named, state="repeated") == 2
            assert door.figure("posts_total", source="audit", sender="", result="refused") == 2

    asyncio.run(scenario())


def test_without_a_certificate_the_handshake_fails_where_one_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open(with_certificates=True) as door:
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await door.post("/audit", EVENTS)

    asyncio.run(scenario())


def test_a_token_is_bound_to_its_sources(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open(with_certificates=False) as door:
            bearer = f"authorization: Bearer {TOKEN}"
            assert (await door.post("/falco", FALCO, bearer)).status == 200
            assert (await door.post("/falco/", FALCO, f"Authorization: bearer {TOKEN}")).status == 200
            assert (await door.post("/audit", EVENTS, bearer)).status == 403
            assert (await door.post("/alertmanager", ALERTS, f"{bearer}-of-shop")).status == 200
            for wrong in ("authorization: Bearer x", "authorization: Basic eDp5", "authorization: ", "x: y"):
                assert (await door.post("/falco", FALCO, wrong)).status == 401
            assert len(door.journal.after(0)) == 2

    asyncio.run(scenario())


def test_a_stranger_is_turned_away_before_the_body_is_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open(with_certificates=False) as door:
            assert door.address is not None
            connection = await Connection.open(door.address, trusting(door.authority))
            head = "POST /falco HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\n"
            connection.writer.write(head.encode())
            found = await connection.response()
            assert (found.status, found.headers["connection"]) == (401, "close")
            connection.close()

    asyncio.run(scenario())


def test_what_cannot_be_read_is_said_and_costs_nobody_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open(with_certificates=False) as door:
            bearer = f"authorization: Bearer {TOKEN}"
            found = await door.post("/falco", b"{", bearer)
            assert (found.status, found.body.startswith(b"the body is not JSON")) == (400, True)
            assert (await door.post("/falco", b'{"a": 1}', bearer)).status == 400
            assert (await door.post("/elsewhere", FALCO, bearer)).status == 404
            assert door.figure("posts_total", source="falco", sender="falco", result="unreadable") == 2
            assert TOKEN not in str(door.journal.after(0))

    asyncio.run(scenario())


def test_where_there_is_no_room_the_sender_is_told_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Door(tmp_path, most_bytes=10).open(with_certificates=False) as door:
            found = await door.post("/falco", FALCO, f"authorization: Bearer {TOKEN}")
            assert (found.status, found.headers["retry-after"]) == (503, str(RETRY_AFTER))
            assert door.figure("posts_total", source="falco", sender="falco", result="full") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body", [b'{"rule": "\\u0000\\u001b[31m", "output_fields": {}}', b'{"rule":"' + b"x" * 900_000]
)
def test_hostile_bodies_get_an_answer(tmp_path: Path, body: bytes) -> None:
    async def scenario() -> None:
        async with Door(tmp_path).open(with_certificates=False) as door:
            found = await door.post("/falco", body, f"authorization: Bearer {TOKEN}")
            assert found.status in (200, 400)

    asyncio.run(scenario())
