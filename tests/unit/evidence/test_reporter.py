"""A replica's posts reach the operator's receiver over mutual TLS, again and again until they are stored."""

import asyncio
import http.client
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devcluster.ports import free_port
from iocaudit.core.own_names import RECEIVERS
from iocaudit.evidence.counting import Attempts
from iocaudit.evidence.ledger import Ledger
from iocaudit.evidence.metrics import EvidenceMetrics as LedgerMetrics
from iocaudit.evidence.post import Post, to_bytes
from iocaudit.evidence.receiver import ReceiverMetrics, receive
from iocaudit.evidence.reporter import AttemptsUrlError, OperatorConnection, Reporter, ReporterMetrics
from iocaudit.serving.authority import KeyPair, Names, issue_ca, issue_leaf
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.metrics import CertificateMetrics, ConnectionMetrics, LimitMetrics, new_registry
from iocaudit.supervision.part import Life
from iocaudit.supervision.supervisor import Supervisor
from tests.support.api import FakeApi
from tests.unit.evidence.test_counting import pod, review, verdict

NOW = datetime.now(UTC)


def reporter(
    send: Callable[[bytes], int], interval: float = 0.01, heartbeat: float = 30.0
) -> tuple[Reporter, Callable[[str], float | None]]:
    registry = new_registry("test")
    made = Reporter(
        Attempts("r"), send, ReporterMetrics(registry), interval=interval, heartbeat=heartbeat, first_retry=0.01
    )
    return made, lambda name: registry.get_sample_value(f"iocaudit_admission_attempts_{name}")


def deny(one: Reporter, name: str = "web") -> None:
    resource = pod(name=name)
    assert isinstance(one._attempts, Attempts)
    one._attempts.count(review(resource), verdict(resource, "a"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_the_same_post_is_sent_until_it_is_stored() -> None:
    answers: list[int | Exception] = [ConnectionRefusedError(), 503, http.client.BadStatusLine("x"), 202, 202, 200]
    bodies: list[bytes] = []

    def send(body: bytes) -> int:
        bodies.append(body)
        answer = answers[len(bodies) - 1] if len(bodies) <= len(answers) else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def scenario() -> None:
        one, figure = reporter(send, heartbeat=100.0)
        deny(one)
        task = asyncio.ensure_future(one.run())
        await until(lambda: figure("posted_total") == 1)
        deny(one)
        await until(lambda: figure("posted_total") == 2)
        task.cancel()
        assert len(set(bodies[:6])) == 1
        assert b'"number":2' in bodies[6]
        assert figure("post_failures_total") == 3
        assert figure("waiting") == 0
        await one.finish()
        assert b'"number":3,"last":true' in bodies[7]

    asyncio.run(scenario())


def test_a_replica_with_nothing_to_say_says_so_now_and_then() -> None:
    bodies: list[bytes] = []

    def send(body: bytes) -> int:
        bodies.append(body)
        return 200

    async def scenario() -> None:
        one, _ = reporter(send, heartbeat=0.02)
        task = asyncio.ensure_future(one.run())
        await until(lambda: len(bodies) >= 3)
        task.cancel()

    asyncio.run(scenario())
    assert all(b'"attempts":[]' in body for body in bodies)


def test_what_cannot_be_told_before_the_end_is_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    def send(_body: bytes) -> int:
        raise TimeoutError

    async def scenario() -> None:
        one, figure = reporter(send)
        deny(one)
        deny(one)
        await one.finish(0.1)
        assert figure("lost_total") == 2

    asyncio.run(scenario())
    assert "not sent to the operator before the process ended: 2" in caplog.text


def test_the_end_does_not_cross_a_post_that_is_under_way() -> None:
    at_once, most, release = 0, 0, threading.Event()

    def send(_body: bytes) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        release.wait(5)
        at_once -= 1
        return 200

    async def scenario() -> None:
        one, figure = reporter(send)
        deny(one)
        task = asyncio.ensure_future(one.run())
        await until(lambda: at_once == 1)
        task.cancel()
        deny(one)
        end = asyncio.ensure_future(one.finish())
        await asyncio.sleep(0.05)
        release.set()
        await end
        assert figure("posted_total") == 2
        assert figure("lost_total") == 0

    asyncio.run(scenario())
    assert most == 1


@pytest.mark.parametrize("url", ["http://a:1", "https://", "https://a:1/path", "a:1", "https://a:x", "https://a?q"])
def test_a_url_that_cannot_be_used_is_refused_at_start(url: str) -> None:
    with pytest.raises(AttemptsUrlError):
        OperatorConnection(url, CertificateSource.from_folder(Path()))


def certificates(folder: Path, ca: KeyPair, trust: KeyPair | None = None, name: str = "iocaudit") -> Path:
    folder.mkdir()
    leaf = issue_leaf(ca, Names.of("127.0.0.1"), NOW, timedelta(hours=1), common_name=name)
    (folder / "tls.crt").write_bytes(leaf.certificate_pem)
    (folder / "tls.key").write_bytes(leaf.key_pem)
    (folder / "ca.crt").write_bytes((trust or ca).certificate_pem)
    return folder


def test_only_the_webhooks_certificate_opens_the_receiver(tmp_path: Path) -> None:
    ours, theirs = issue_ca(NOW, timedelta(days=1)), issue_ca(NOW, timedelta(days=1))
    served = certificates(tmp_path / "operator", ours)
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    api, registry = FakeApi("shop"), new_registry("test")
    ledger = Ledger(api, str, LedgerMetrics(registry), writes_per_second=1e9)
    stop = threading.Event()
    thread = threading.Thread(target=ledger.run, args=(stop,))

    async def scenario() -> None:
        metrics = ReceiverMetrics(LimitMetrics(registry), CertificateMetrics(registry), ConnectionMetrics(registry))
        one, figure = reporter(
            OperatorConnection(url, CertificateSource.from_folder(certificates(tmp_path / "w", ours))).send
        )
        deny(one)
        posting = asyncio.ensure_future(one.run())
        # A standby: nobody listens. Nothing is lost by that.
        await until(lambda: (figure("post_failures_total") or 0) >= 2)
        thread.start()
        life = Life(time.monotonic, 60.0)
        receiving = receive(ledger, served, "127.0.0.1", port, metrics, Supervisor(), life)
        listening = asyncio.ensure_future(receiving)
        await until(lambda: figure("posted_total") == 1)
        stranger = OperatorConnection(
            url, CertificateSource.from_folder(certificates(tmp_path / "s", theirs, trust=ours))
        )
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(stranger.send, b"{}")
        known = OperatorConnection(url, CertificateSource.from_folder(tmp_path / "w"))
        assert await asyncio.to_thread(known.send, b"{}") == 400
        assert await asyncio.to_thread(known.send, b" " * (9 * 1024 * 1024)) == 413
        receivers = OperatorConnection(
            url, CertificateSource.from_folder(certificates(tmp_path / "r", ours, name=RECEIVERS))
        )
        attempts, sightings = Post("r", 1, {}), Post("r", 1, {}, source="receivers")
        assert await asyncio.to_thread(receivers.send, to_bytes(attempts)) == 403
        assert await asyncio.to_thread(receivers.send, to_bytes(sightings)) == 200
        posting.cancel()
        await one.finish()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    try:
        asyncio.run(scenario())
    finally:
        stop.set()
        if thread.is_alive():
            thread.join(5)
    (finding,) = api.stored("iocfindings")
    assert finding["finding"]["count"] == 1
