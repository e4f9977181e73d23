"""The receivers as a process: batches of the audit webhook at its ceiling, and Falco's posts one at a time."""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles

import uvloop

from iocaudit.signals.detector_health import HEALTH_RULES
from tests.support.audit_events import Json, event
from tests.support.receiver_process import ReceiverProcess
from tests.support.signal_posts import TOKEN, Parts, event_list, exec_event, falco_alert, sender

Row = tuple[str, str, str, str, str]
BATCHES_A_SECOND, EVENTS, SECONDS = 10, 400, 120
FALCO_CONNECTIONS, FALCO_SECONDS = 20, 20
_VERBS = ("get", "list", "watch", "update", "patch")
_RESOURCES = ("pods", "configmaps", "leases", "endpoints", "nodes")


def receivers_rows() -> Iterator[Row]:
    yield from _audit_rows()
    yield from _falco_rows()


def _audit_rows() -> Iterator[Row]:
    bodies = [_batch(number) for number in range(BATCHES_A_SECOND * SECONDS)]
    with tempfile.TemporaryDirectory() as scratch, ReceiverProcess(Path(scratch)) as process:
        process.start()
        begun = process.cpu()
        took = uvloop.run(_drive(process, bodies))
        behind = time.monotonic()
        while process.metric("iocaudit_receiver_behind_seconds") > 0.5 and time.monotonic() < behind + 600:
            time.sleep(0.1)
        seconds, memory = process.cpu() - begun, process.peak_mebibytes()
        late = time.monotonic() - behind
    of = f"audit, {BATCHES_A_SECOND} batches of {EVENTS} events a second for {SECONDS} s"
    rate = BATCHES_A_SECOND * EVENTS * SECONDS / seconds
    yield (f"p99 of the answer: {of}", f"{quantiles(took, n=100)[98] * 1000:.1f} ms", "", "", "<= 50 ms")
    yield ("all of them read, after the last answer", f"{late:.1f} s", "", "", "")
    yield ("events a second of one core, stored and read", f"{rate:,.0f}", "", "", ">= 4,000")
    yield ("memory", f"{memory:.0f} MB", "", "", "<= 200 MB")


def _falco_rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as scratch, ReceiverProcess(Path(scratch)) as process:
        process.start("--token-port", str(process.token_port))
        count = uvloop.run(_post_alerts(process))
        memory = process.peak_mebibytes()
        process.kill()
        parts = Parts(Path(scratch) / "data", sender("falco"))
        parts.read_all()
        counted = 0
        for _ in range(2):  # the one that was under way, and what came after it
            parts.outbox.make_post(parts.reader.read)
            post = parts.outbox.next_post()
            counted += sum(tally.count for key, tally in post.attempts.items() if key.check not in HEALTH_RULES)
            parts.outbox.stored(post.number)
        parts.close()
    of = f"one a POST, {FALCO_CONNECTIONS} connections, the next after the answer"
    yield (f"alerts of Falco a second: {of}", f"{count / FALCO_SECONDS:,.0f}", "", "", ">= 3,000")
    yield ("alerts counted, of those acknowledged", f"{counted:,} of {count:,}", "", f"{counted / count:.3f}", "1.000")
    yield ("memory", f"{memory:.0f} MB", "", "", "<= 200 MB")


def _batch(number: int) -> bytes:
    return event_list(*(_ordinary(number * EVENTS + index) for index in range(EVENTS)))


def _ordinary(number: int) -> Json:
    """Of twenty events one opens a shell and three create a pod; the others are what controllers do all day."""
    place = number % 20
    received = {
        "requestReceivedTimestamp": f"2026-11-30T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    }
    if place == 0:
        return exec_event(number, user=f"user-{number % 50}") | received
    if place < 4:
        return event(number) | received
    return event(
        number,
        verb=_VERBS[place % 5],
        user={"username": f"system:serviceaccount:kube-system:controller-{place}"},
        objectRef={"resource": _RESOURCES[place % 5], "namespace": "kube-system", "name": f"x{place}"},
        responseStatus={"code": 200},
        requestObject=None,
        responseObject=None,
        **received,
    )


async def _drive(process: ReceiverProcess, bodies: list[bytes]) -> list[float]:
    """Seconds from when each batch was due to its answer."""
    took: list[float] = []
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(8):
        idle.put_nowait(await _Connection.open(process.port, process.client_context))

    async def one(body: bytes, due: float) -> None:
        connection = await idle.get()
        await connection.post("/audit", body)
        took.append(time.perf_counter() - due)
        idle.put_nowait(connection)

    begun = time.perf_counter()
    posts = []
    for number, body in enumerate(bodies):
        due = begun + number / BATCHES_A_SECOND
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        posts.append(asyncio.ensure_future(one(body, due)))
    await asyncio.gather(*posts)
    return took


async def _post_alerts(process: ReceiverProcess) -> int:
    """How many alerts were acknowledged."""
    until = time.perf_counter() + FALCO_SECONDS
    template = json.dumps(falco_alert(time="2026-11-30T10:00:00.NUMBERZ"))
    counts = [0] * FALCO_CONNECTIONS

    async def post(index: int, next_number: Callable[[], int]) -> None:
        connection = await _Connection.open(process.token_port, process.server_context)
        while time.perf_counter() < until:
            body = template.replace("NUMBER", f"{next_number():09}").encode()
            await connection.post("/falco", body, f"Authorization: Bearer {TOKEN}\r\n")
            counts[index] += 1

    numbers = iter(range(10**9))
    await asyncio.gather(*(post(index, lambda: next(numbers)) for index in range(FALCO_CONNECTIONS)))
    return sum(counts)


class _Connection:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost"))

    async def post(self, path: str, body: bytes, headers: str = "") -> None:
        """Raises RuntimeError where the answer is not a 200."""
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        said = await self._reader.readexactly(length)
        if b" 200 " not in answer.partition(b"\r\n")[0]:
            raise RuntimeError(f"{path} answered {said[:300]!r}")
