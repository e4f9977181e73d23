"""Readiness and the probes' answers."""

import asyncio
import json
from typing import Any

import pytest

from iocaudit.serving.asgi import AsgiApp, Message
from iocaudit.serving.health import Readiness, health_app
from iocaudit.serving.metrics import CertificateMetrics, LimitMetrics, metrics_app, new_registry


def get(app: AsgiApp, path: str) -> tuple[int, str]:
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:]).decode()


def test_ready_only_when_all_conditions_hold() -> None:
    readiness = Readiness(["policies", "roles"])
    app = health_app(readiness)
    readiness.set("roles", False, "listing")
    status, body = get(app, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "missing": {"policies": "not yet", "roles": "listing"}})
    readiness.set("policies", True)
    readiness.set("roles", True)
    assert get(app, "/readyz")[0] == 200


def test_once_ready_it_stays_ready_until_it_drains() -> None:
    readiness = Readiness(["policies"])
    readiness.set("policies", True)
    readiness.set("policies", False, "API server away")
    assert get(health_app(readiness), "/readyz")[0] == 200
    assert json.loads(get(health_app(readiness), "/readyz")[1])["missing"] == {"policies": "API server away"}
    readiness.drain()
    readiness.set("policies", True)
    assert not readiness.ready
    assert list(readiness.missing) == ["draining"]


def test_conditions_that_never_held_together_are_not_ready() -> None:
    readiness = Readiness(["a", "b"])
    readiness.set("a", True)
    readiness.set("a", False)
    readiness.set("b", True)
    assert not readiness.ready


def test_without_stickiness_it_follows_its_conditions() -> None:
    readiness = Readiness(["leader"], sticky=False)
    readiness.set("leader", True)
    readiness.set("leader", False)
    assert not readiness.ready


def test_an_undeclared_condition_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="typo"):
        Readiness(["a"]).set("typo", True)


def test_liveness_tells_why_it_is_stuck() -> None:
    assert get(health_app(Readiness([])), "/healthz") == (200, "ok\n")
    assert get(health_app(Readiness([]), lambda: "no sweep for 3 h"), "/livez") == (503, "no sweep for 3 h\n")
    assert get(health_app(Readiness([])), "/other")[0] == 404


def test_metrics_show_build_process_and_ours() -> None:
    registry = new_registry("webhook")
    CertificateMetrics(registry).expiry.labels("serving").set(12)
    LimitMetrics(registry)("busy")
    status, body = get(metrics_app(registry), "/metrics")
    assert status == 200
    assert 'iocaudit_build_info{component="webhook"' in body
    assert "process_cpu_seconds_total" in body
    assert 'iocaudit_certificate_expiry_timestamp_seconds{name="serving"} 12.0' in body
    assert 'iocaudit_http_rejected_total{reason="busy"} 1.0' in body
    assert get(metrics_app(registry), "/")[0] == 404
