"""The whole edge over TLS sockets: what the API server would meet where its own objects cannot make it happen."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from admission.app import LARGE, ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.serving.asgi import AsgiApp
from iocaudit.serving.authority import KeyPair, issue_ca, issue_leaf
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.limits import Bounds
from iocaudit.serving.metrics import new_registry
from tests.support.loopback import NAMES, NOW, Connection, Response, serving, trusting, write_pair
from tests.support.reviews import under_lockdown
from tests.unit.admission.test_app import PRIVILEGED, pod, review

CATALOGUE = builtin_catalogue()
JSON = "content-type: application/json"
SMALL = orjson.dumps(review(uid="small", object=pod(PRIVILEGED, name="web")))


@pytest.fixture
def ca(tmp_path: Path) -> KeyPair:
    found = issue_ca(NOW, timedelta(days=1))
    write_pair(tmp_path, issue_leaf(found, NAMES, NOW, timedelta(hours=1)))
    return found


def large(containers: int) -> bytes:
    many = [{"name": f"c{n}", "image": "a.io/b", "securityContext": {"privileged": True}} for n in range(containers)]
    return orjson.dumps(review(uid="large", object=pod(*many, name="web")))


def webhook(bounds: Bounds | None = None) -> AsgiApp:
    state = under_lockdown()
    validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(new_registry("test")), hold=state.hold)
    return admission_app(validate, bounds or Bounds(), lambda _reason: None)


def said(response: Response) -> dict[str, Any]:
    assert response.status == 200
    answer = orjson.loads(response.body)
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    found: dict[str, Any] = answer["response"]
    return found


def test_good_and_bad_bodies_take_turns_on_one_connection(tmp_path: Path, ca: KeyPair) -> None:
    async def run() -> None:
        async with serving(webhook(), tls=CertificateSource.from_folder(tmp_path)) as (address, _):
            connection = await Connection.open(address, trusting(ca))
            for _ in range(3):
                refused = await connection.call("/validate?timeout=3s", b"{", JSON)
                assert (refused.status, b"not JSON" in refused.body) == (400, True)
                found = said(await connection.call("/validate?timeout=3s", SMALL, JSON))
                assert (found["uid"], found["allowed"], found["status"]["code"]) == ("small", False, 403)
            missing = await connection.call("/elsewhere", SMALL, JSON)
            assert missing.status == 404
            connection.close()

    asyncio.run(run())


def test_the_largest_body_is_read_and_one_byte_more_is_refused(tmp_path: Path, ca: KeyPair) -> None:
    async def run() -> None:
        async with serving(webhook(), tls=CertificateSource.from_folder(tmp_path)) as (address, _):
            whole = SMALL + b" " * (Bounds().max_body - len(SMALL))
            connection = await Connection.open(address, trusting(ca))
            large = await connection.call("/validate?timeout=30s", whole, JSON)
            assert (said(large)["allowed"], large.headers["connection"]) == (False, "close")
            connection = await Connection.open(address, trusting(ca))
            too_large = await connection.call("/validate?timeout=30s", whole + b" ", JSON)
            assert (too_large.status, too_large.headers["connection"]) == (413, "close")
            connection.close()

    asyncio.run(run())


def test_work_ends_below_the_callers_timeout_and_what_was_left_out_denies(tmp_path: Path, ca: KeyPair) -> None:
    async def run() -> None:
        async with serving(webhook(), tls=CertificateSource.from_folder(tmp_path)) as (address, _):
            connection = await Connection.open(address, trusting(ca))
            async with asyncio.timeout(20):  # the whole audit would take longer than the half second it is given
                found = said(await connection.call("/validate?timeout=500ms", large(60_000), JSON))
            assert found["uid"] == "large"
            assert found["allowed"] is False
            assert "faults" in found["auditAnnotations"]
            assert "ran out of time" in found["status"]["message"]
            connection.close()

    asyncio.run(run())


def test_beyond_its_bounds_a_caller_is_told_to_come_back(tmp_path: Path, ca: KeyPair) -> None:
    async def run() -> None:
        app = webhook(Bounds(max_concurrent=1, max_queued=0))
        async with serving(app, tls=CertificateSource.from_folder(tmp_path)) as (address, _):
            one, other = [await Connection.open(address, trusting(ca)) for _ in range(2)]
            body = large(20_000)
            assert len(body) > LARGE
            first = asyncio.create_task(one.call("/validate?timeout=30s", body, JSON))
            refused = None
            while not first.done():
                response = await other.call("/validate", SMALL, JSON)
                if response.status != 200:
                    refused = response
            assert refused is not None
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert said(await first)["allowed"] is False
            assert said(await other.call("/validate", SMALL, JSON))["allowed"] is False, "there is room again"
            one.close()
            other.close()

    asyncio.run(run())
