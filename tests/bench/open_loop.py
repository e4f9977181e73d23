"""Calls at fixed times, whatever the answers take: the latency of each counts from when it was due.

A closed loop waits for a slow answer before it asks again, and so leaves out the calls that would have been slow too.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass
from statistics import quantiles
from urllib.parse import urlsplit

import uvloop

_LENGTH = re.compile(rb"(?i)^content-length: *([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OpenLoopRun:
    """Percentiles of a call in milliseconds, and how many calls a second were answered."""

    p50: float
    p99: float
    rate: float


def drive(url: str, body: bytes, *, rate: float, seconds: float, connections: int = 32) -> OpenLoopRun:
    """Post ``body`` so many times a second. Raises RuntimeError where an answer is not a 200."""
    return uvloop.run(_drive(url, body, rate, seconds, connections))


async def _drive(url: str, body: bytes, rate: float, seconds: float, connections: int) -> OpenLoopRun:
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    head = (
        f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    call = head.encode() + body
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        idle.put_nowait(await asyncio.open_connection(parts.hostname, parts.port, ssl=context))
    took: list[float] = []

    async def one(due: float) -> None:
        reader, writer = await idle.get()
        writer.write(call)
        status, _, headers = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        if b" 200 " not in status:
            raise RuntimeError(f"{url} answered {status.decode(errors='replace').strip()}")
        length = _LENGTH.search(headers)
        answer = await reader.readexactly(int(length[1]) if length else 0)
        if b'"allowed":true' not in answer:
            raise RuntimeError(f"{url} denied what it should allow: {answer[:300]!r}")
        took.append(time.perf_counter() - due)
        idle.put_nowait((reader, writer))

    began = time.perf_counter()
    calls = []
    for number in range(round(rate * seconds)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        calls.append(asyncio.create_task(one(due)))
    await asyncio.gather(*calls)
    ended = time.perf_counter()
    while not idle.empty():
        idle.get_nowait()[1].close()
    cut = quantiles(took, n=100)
    return OpenLoopRun(cut[49] * 1000, cut[98] * 1000, len(took) / (ended - began))
