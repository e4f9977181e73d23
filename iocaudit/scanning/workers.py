"""Share a scan between processes. The parent takes a share itself, so two processes cost one start.

Where the platform can fork safely, a process inherits what was read; elsewhere it is handed over.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from iocaudit.core.errors import IocauditError
from iocaudit.scanning.progress import Progress, Silence
from iocaudit.scanning.reading import Scan

T = TypeVar("T")
Audit = Callable[[list[Any], Progress], Scan]

START_METHOD = "fork" if sys.platform == "linux" else "spawn"
"""macOS has fork as well, but its own libraries do not survive it."""


class WorkerError(IocauditError):
    """A process of the scan ended before it had said what it found."""


def usable_cpus() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(items: list[T], weights: list[int], jobs: int) -> list[list[T]]:
    """At most ``jobs`` runs of neighbours, of about equal weight each and none of them empty."""
    total = sum(weights) or 1
    shares: list[list[T]] = [[] for _ in range(jobs)]
    before = 0
    for item, weight in zip(items, weights, strict=True):
        middle = before + weight / 2
        shares[min(int(middle * jobs / total), jobs - 1)].append(item)
        before += weight
    return [part for part in shares if part]


def in_processes(audit: Audit, shares: list[list[Any]], progress: Progress) -> Iterator[Scan]:
    """The outcome of each share, in their order. Raises WorkerError where a process dies.

    No process outlives the call, whatever ends it.
    """
    context = multiprocessing.get_context(START_METHOD)
    running: list[tuple[Any, Connection]] = []
    try:
        for part in shares[1:]:
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(send, audit, part), daemon=True)  # type: ignore[attr-defined]
            with _interrupts_held():
                process.start()
                running.append((process, receive))
            send.close()
        for part in shares[:1]:
            progress.stage("auditing", len(part))
            yield audit(part, progress)
        for process, receive in running:
            yield _outcome(process, receive)
    finally:
        for process, receive in running:
            process.terminate()
            process.join()
            receive.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait: a process that starts inherits that, and would else print where it was interrupted."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _outcome(process: Any, receive: Connection) -> Scan:
    try:
        outcome = receive.recv()
    except EOFError as error:
        process.join()
        raise WorkerError(
            f"a process of the scan ended with {process.exitcode} before its end (out of memory?): try --jobs 1"
        ) from error
    if not isinstance(outcome, Scan):
        raise WorkerError(f"a process of the scan failed: {outcome}")
    return outcome


def _work(send: Connection, audit: Audit, part: list[Any]) -> None:
    # Ctrl-C reaches every process of the terminal; the parent answers it and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    try:
        outcome: Scan | str = audit(part, Silence())
    except Exception:  # noqa: BLE001  handed to the parent, which raises it
        outcome = traceback.format_exc()
    send.send(outcome)
    send.close()
