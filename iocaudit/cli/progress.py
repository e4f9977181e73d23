"""Says what a long scan is doing, on a terminal only."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SILENT_SECONDS = 1.0


@contextmanager
def reading_progress() -> Iterator[Callable[[str], None] | None]:
    """A callback for each file. Shows a spinner on standard error once the work takes longer than a second."""
    if not sys.stderr.isatty():
        yield None
        return
    started = time.monotonic()
    status = None
    count = 0

    def advance(file: str) -> None:
        nonlocal status, count
        count += 1
        if status is None:
            if time.monotonic() - started < _SILENT_SECONDS:
                return
            from rich.console import Console  # late: short scans never need it

            status = Console(stderr=True).status("")
            status.start()
        status.update(f"reading {count} files: {file[-60:]}")

    try:
        yield advance
    finally:
        if status is not None:
            status.stop()
