"""The webhook's app against a bare FastAPI echo that parses the same body, both over ASGI in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from admission.app import ValidateApp, admission_app
from admission.metrics import AdmissionMetrics
from admission.state import State
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.serving.asgi import AsgiApp
from iocaudit.serving.limits import Bounds
from iocaudit.serving.metrics import new_registry

Row = tuple[str, str, str, str, str]
_ROUNDS, _CALLS = 7, 400


def body() -> bytes:
    """An AdmissionReview of a 12 KB pod as the API server sends it."""
    container = {
        "name": "app",
        "image": "hooli.com/shop/web:1.4",
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        "env": [{"name": f"SETTING_{n}", "value": "x" * 60} for n in range(90)],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [container, {**container, "name": "side", "env": []}], "volumes": [{"name": "data"}]},
    }
    request = {
        "uid": "6f1c8a52-6f0f-4f5c-9a35-0d3a3f6f0001",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop",
        "name": "web",
        "operation": "CREATE",
        "userInfo": {"username": "alice", "groups": ["dev"]},
        "object": pod,
        "oldObject": None,
        "dryRun": False,
    }
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def _echo() -> AsgiApp:
    app = FastAPI()

    @app.post("/validate")
    async def validate(request: Request) -> Response:
        asked = orjson.loads(await request.body())
        answer = {"uid": asked["request"]["uid"], "allowed": True}
        return Response(orjson.dumps({"response": answer}), media_type="application/json")

    return app


async def _calls(app: AsgiApp, data: bytes, count: int) -> float:
    scope_of = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/validate",
        "raw_path": b"/validate",
        "root_path": "",
        "scheme": "https",
        "query_string": b"timeout=3s",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    started = time.process_time()
    for _ in range(count):
        await app(dict(scope_of), receive, send)
    spent = time.process_time() - started
    assert statuses == [200] * count
    return spent


async def _measure() -> tuple[float, float]:
    state = State(builtin_catalogue())
    validate = ValidateApp(lambda: state.auditor, AdmissionMetrics(new_registry("bench")))
    ours, echo, data = admission_app(validate, Bounds(), lambda _reason: None), _echo(), body()
    best_ours = best_echo = float("inf")
    for _ in range(_ROUNDS):
        best_ours = min(best_ours, await _calls(ours, data, _CALLS))
        best_echo = min(best_echo, await _calls(echo, data, _CALLS))
    return best_ours / _CALLS, best_echo / _CALLS


def webhook_rows() -> Iterator[Row]:
    ours, echo = asyncio.run(_measure())
    yield (
        "webhook, 12 KB pod, without the network",
        f"{ours * 1e6:.0f} us",
        f"FastAPI echo {echo * 1e6:.0f} us",
        f"{echo / ours:.2f} of its throughput",
        ">= 0.70",
    )
