"""The listener for denied attempts among connections that mean no good."""

import asyncio
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from devcluster.ports import free_port
from iocaudit.evidence.ledger import Ledger
from iocaudit.evidence.metrics import EvidenceMetrics
from iocaudit.evidence.receiver import ReceiverMetrics, receive
from iocaudit.evidence.reporter import OperatorConnection
from iocaudit.serving.authority import KeyPair, issue_ca
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.listener import FEW, run
from iocaudit.serving.metrics import CertificateMetrics, ConnectionMetrics, LimitMetrics, new_registry
from iocaudit.supervision.part import Life
from iocaudit.supervision.supervisor import Supervisor
from tests.support.api import FakeApi
from tests.support.flood import flooding
from tests.support.loopback import NOW, identity


@pytest.fixture
def ca() -> KeyPair:
    return issue_ca(NOW, timedelta(days=1))


def test_posts_are_taken_although_thousands_of_connections_come_from_the_same_address(
    tmp_path: Path, ca: KeyPair
) -> None:
    served, webhook = identity(tmp_path / "operator", ca), identity(tmp_path / "webhook", ca)
    for folder in (served, webhook):
        (folder / "ca.crt").write_bytes(ca.certificate_pem)
    port = free_port()
    registry = new_registry("test")
    ledger = Ledger(FakeApi("shop"), str, EvidenceMetrics(registry))
    metrics = ReceiverMetrics(LimitMetrics(registry), CertificateMetrics(registry), ConnectionMetrics(registry))
    answers: list[int] = []

    def post() -> None:
        operator = OperatorConnection(f"https://127.0.0.1:{port}", CertificateSource.from_folder(webhook))
        with flooding(port, sources=0, silent=1_500, half=1_500, kept=100):
            answers.extend(operator.send(b"{}") for _ in range(20))

    def figure(state: str) -> float | None:
        return registry.get_sample_value("iocaudit_connections", {"listener": "attempts", "state": state})

    async def scenario() -> None:
        life = Life(time.monotonic, 60.0)
        listening = asyncio.ensure_future(receive(ledger, served, "127.0.0.1", port, metrics, Supervisor(), life))
        async with asyncio.timeout(10):
            while figure("opening") is None:
                await asyncio.sleep(0.01)
        most = 0.0
        posting = threading.Thread(target=post)
        posting.start()
        while posting.is_alive():
            most = max(most, figure("opening") or 0)
            await asyncio.sleep(0.01)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert most == FEW.by_source
        assert figure("opening") == 0, "the listener that ends leaves no connection behind"

    run(scenario())
    assert answers == [400] * 20, "each was read, and is no post"
