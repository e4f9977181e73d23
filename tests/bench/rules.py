"""Reviews by 20 rules in Rego beside all checks, on the OPA that the webhook starts; and those that need no rule."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.open_loop import OpenLoopRun, drive
from tests.bench.servers import RULES
from tests.bench.webhook import HOW_TO_GET_WRK, BenchServer, Row, body, certificate_in, drive_closed, serving
from tests.support.process_cpu import cpu_taken

_RATE, _SECONDS, _RUNS = 200.0, 5.0, 3
_TARGET_P99 = 15.0


def rules_rows() -> Iterator[Row]:
    """The open loop at 200 reviews a second, then as many as can be."""
    data = body()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        certificate_in(folder)
        (folder / "review.json").write_bytes(data)
        with serving("ours", folder) as plain, serving("rules", folder) as ruled:
            for one in (plain, ruled):
                drive(one.url, data, rate=_RATE, seconds=1.0)
            pairs = [(_measured(ruled, data), _measured(plain, data)) for _ in range(_RUNS)]
            mine, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            yield from _open_rows([one.run for one in mine], [one.run for one in theirs])
            yield from _cpu_rows(mine, theirs)
            wrk = shutil.which("wrk")
            title = f"webhook, {RULES} rules in Rego, as many reviews as it can"
            if wrk is None:
                yield (title, HOW_TO_GET_WRK, "", "not measured", "")
                return
            closed, plain_closed = (drive_closed(wrk, one.url, folder / "review.json", 3) for one in (ruled, plain))
            yield (
                title,
                f"{closed.rate:.0f} reviews/s, p99 {closed.p99:.1f} ms",
                f"without rules {plain_closed.rate:.0f}/s, p99 {plain_closed.p99:.1f} ms",
                f"{closed.rate / plain_closed.rate:.2f} of its throughput",
                "",
            )


class _Measured(NamedTuple):
    """A run, and the milliseconds of CPU that a review took: the webhook's, and those of what it starts."""

    run: OpenLoopRun
    own: float
    opa: float


def _measured(server: BenchServer, data: bytes) -> _Measured:
    before = cpu_taken(server.pid)
    run = drive(server.url, data, rate=_RATE, seconds=_SECONDS)
    after = cpu_taken(server.pid)
    if before is None or after is None:
        return _Measured(run, 0.0, 0.0)
    own, children = after.since(before)
    return _Measured(run, own / (_RATE * _SECONDS) * 1000, children / (_RATE * _SECONDS) * 1000)


def _cpu_rows(ruled: list[_Measured], plain: list[_Measured]) -> Iterator[Row]:
    own, theirs = median(one.own for one in ruled), median(one.own for one in plain)
    if theirs:
        yield (
            f"webhook, {RULES} rules in Rego, CPU of a review",
            f"{own:.2f} ms, and OPA {median(one.opa for one in ruled):.2f} ms",
            f"without rules {theirs:.2f} ms",
            f"{own / theirs:.2f}",
            "",
        )


def _open_rows(ruled: list[OpenLoopRun], plain: list[OpenLoopRun]) -> Iterator[Row]:
    for name, figure in (("p50", lambda run: run.p50), ("p99", lambda run: run.p99)):
        mine, theirs = median(map(figure, ruled)), median(map(figure, plain))
        yield (
            f"webhook, {RULES} rules in Rego, 12 KB pod, {_RATE:.0f} reviews/s in an open loop, {name}",
            f"{mine:.1f} ms",
            f"without rules {theirs:.1f} ms",
            f"{mine / theirs:.2f}",
            f"<= {_TARGET_P99:.0f} ms" if name == "p99" else "",
        )
