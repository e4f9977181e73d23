"""Says what a long scan is doing, on a terminal only."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from iocaudit.scanning.progress import Progress
from iocaudit.sinks.escape import visible

if TYPE_CHECKING:
    import rich.progress

_SILENT_SECONDS = 1.0
_SECONDS_BETWEEN = 0.1


class _Bar:
    """A bar for each stage on standard error, once the work takes longer than a second.

    It draws while it is told of steps and has no thread: a scan may fork.
    """

    def __init__(self) -> None:
        self._next = time.monotonic() + _SILENT_SECONDS
        self._stage = ("", 0)
        self._done = 0
        self._bar: rich.progress.Progress | None = None

    def stage(self, title: str, steps: int) -> None:
        self._stage = (title, steps)
        self._done = 0

    def step(self, name: str) -> None:
        self._done += 1
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _SECONDS_BETWEEN
        bar = self._bar or self._open()
        title, steps = self._stage
        description = f"{title} {visible(name)[-60:]}"
        bar.update(bar.task_ids[0], description=description, total=steps, completed=self._done)
        bar.refresh()

    def _open(self) -> "rich.progress.Progress":
        from rich.console import Console  # late: short scans never need it
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        # text as it is: a file name is not markup
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
        self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        self._bar.add_task("")
        self._bar.start()
        return self._bar

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def scan_progress() -> Iterator[Progress | None]:
    """What to tell of a scan's steps; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()
