"""The webhook against a bare FastAPI echo that parses the same body: over TLS, and its app alone in one process.

Both servers are processes of their own on the same core; wrk drives them in turn from another. The ratio is the
median of the ratios of neighbouring runs, so that what else the machine does meanwhile counts for both.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson

from iocaudit.serving.asgi import AsgiApp
from iocaudit.serving.authority import Names, issue_ca, issue_leaf
from tests.bench.servers import echo_app, webhook_app

Row = tuple[str, str, str, str, str]
_ROUNDS, _CALLS = 7, 400
_TARGET = 0.60
_TARGET_P99 = 15.0
_CONNECTIONS = 16
_RUNS, _SECONDS = 4, 3
HOW_TO_GET_WRK = "needs wrk: apt-get update && apt-get install wrk"


def body() -> bytes:
    """An AdmissionReview of a 12 KB pod as the API server sends it."""
    container = {
        "name": "app",
        "image": "hooli.com/shop/web:1.4",
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        "env": [{"name": f"SETTING_{n}", "value": "x" * 60} for n in range(121)],
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


async def _in_process() -> tuple[float, float]:
    ours, echo, data = webhook_app(), echo_app(), body()
    best_ours = best_echo = float("inf")
    for _ in range(_ROUNDS):
        best_ours = min(best_ours, await _calls(ours, data, _CALLS))
        best_echo = min(best_echo, await _calls(echo, data, _CALLS))
    return best_ours / _CALLS, best_echo / _CALLS


@dataclass(frozen=True, slots=True)
class Run:
    """One run of wrk: calls a second, and the 99th percentile of a call in milliseconds."""

    rate: float
    p99: float


class BenchServer(NamedTuple):
    """Where a server answers, and its process."""

    url: str
    pid: int


@contextlib.contextmanager
def serving(which: str, folder: Path, core: int | None = None) -> Iterator[BenchServer]:
    """A server while it runs, on one core or on all."""
    where = "any" if core is None else str(core)
    command = [sys.executable, "-m", "tests.bench.servers", which, str(folder), where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield BenchServer(f"https://127.0.0.1:{port}/validate?timeout=3s", process.pid)
        finally:
            process.terminate()


def drive_closed(wrk: str, url: str, body_file: Path, seconds: int, core: int | None = None) -> Run:
    """wrk, which asks again as soon as it is answered; on one core or on all."""
    command = [wrk, "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", str(Path(__file__).with_name("post.lua")), url]
    if core is not None and (taskset := shutil.which("taskset")):
        command = [taskset, "-c", str(core), *command]
    done = subprocess.run(
        command, env={**os.environ, "BODY": str(body_file)}, capture_output=True, text=True, check=True
    )
    told = orjson.loads(done.stdout.splitlines()[-1])
    if told["failed"]:
        raise RuntimeError(f"{told['failed']} of {told['requests']} calls of {url} failed")
    return Run(told["requests"] / told["microseconds"] * 1e6, told["p99"] / 1000)


def certificate_in(folder: Path) -> None:
    """Issue what the servers show, into a folder."""
    now = datetime.now(UTC)
    leaf = issue_leaf(issue_ca(now, timedelta(days=1)), Names.of("127.0.0.1"), now, timedelta(hours=12))
    (folder / "tls.crt").write_bytes(leaf.certificate_pem)
    (folder / "tls.key").write_bytes(leaf.key_pem)


def over_tls(wrk: str, *, runs: int = _RUNS, seconds: int = _SECONDS) -> tuple[list[Run], list[Run]]:
    """Runs of ours and of the echo, in turn."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        certificate_in(folder)
        data = folder / "review.json"
        data.write_bytes(body())
        with serving("ours", folder, cores[0]) as ours, serving("echo", folder, cores[0]) as echo:
            urls = (ours.url, echo.url)
            for url in urls:
                drive_closed(wrk, url, data, 1, cores[-1])
            pairs = [[drive_closed(wrk, url, data, seconds, cores[-1]) for url in urls] for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def webhook_rows() -> Iterator[Row]:
    ours, echo = asyncio.run(_in_process())
    yield (
        "webhook, 12 KB pod, without the network",
        f"{ours * 1e6:.0f} us",
        f"FastAPI echo {echo * 1e6:.0f} us",
        f"{echo / ours:.2f} of its throughput",
        "",
    )
    title = f"webhook, 12 KB pod, TLS, {_CONNECTIONS} connections"
    wrk = shutil.which("wrk")
    if wrk is None:
        yield (title, HOW_TO_GET_WRK, "", "not measured", f">= {_TARGET:.2f}")
        return
    mine, theirs = over_tls(wrk)
    yield (
        title,
        f"{median(run.rate for run in mine):.0f} reviews/s",
        f"FastAPI echo {median(run.rate for run in theirs):.0f}/s",
        f"{median(a.rate / b.rate for a, b in zip(mine, theirs, strict=True)):.2f} of its throughput",
        f">= {_TARGET:.2f}",
    )
    yield (
        f"{title}, p99",
        f"{median(run.p99 for run in mine):.1f} ms",
        f"FastAPI echo {median(run.p99 for run in theirs):.1f} ms",
        f"{median(a.p99 / b.p99 for a, b in zip(mine, theirs, strict=True)):.2f}",
        f"<= {_TARGET_P99:.0f} ms",
    )
