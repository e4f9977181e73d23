"""A part of a process that has to go on for as long as the process does, and each of its lives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from iocaudit.supervision.backoff import Backoff

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
_NAPS = 6
"""A waiting part beats this many times within the silence it may keep."""
_BEAT_EVERY = 2.0
_here = threading.local()

T = TypeVar("T")


class Stop(Protocol):
    """What a loop is told to end by: a ``threading.Event``, or a `Life`, which notes the progress it makes."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None, /) -> bool: ...


class Life:
    """One run of a part. It says that it makes progress by `beat`, which looking at it as a `Stop` does as well.

    ``over``: it was given up or is to end; whatever it still does must not count.
    """

    def __init__(self, clock: Callable[[], float], silence: float) -> None:
        self._clock = clock
        self._nap = silence / _NAPS
        self._end = threading.Event()
        self.begun = self.beaten = clock()
        self.thread: threading.Thread | None = None
        self.told: Callable[[], None] = lambda: None
        """Called once it is over, by any thread."""

    def beat(self) -> None:
        """Say that progress was made."""
        self.beaten = self._clock()

    @property
    def over(self) -> bool:
        return self._end.is_set()

    def end(self) -> None:
        self._end.set()
        self.told()

    def is_set(self) -> bool:
        """Whether it is over."""
        self.beat()
        return self._end.is_set()

    def wait(self, timeout: float | None = None, /) -> bool:
        """Wait for its end, and beat meanwhile; whether it is over."""
        left = float("inf") if timeout is None else timeout
        while True:
            self.beat()
            nap = min(left, self._nap)
            if self._end.wait(max(0.0, nap)):
                return True
            left -= nap
            if left <= 0:
                return False

    def enter(self) -> None:
        """The thread that calls this is the one that lives it."""
        self.thread = threading.current_thread()
        _here.life = self


def beat() -> None:
    """Say that the calling thread makes progress, whatever part it is of; nothing where it is of none."""
    life: Life | None = getattr(_here, "life", None)
    if life is not None:
        life.beat()


async def beating(awaitable: Awaitable[T], life: Life) -> T:
    """The result, with progress noted for as long as the event loop turns: what may be waited for without end."""
    waited = asyncio.ensure_future(awaitable)
    try:
        while not waited.done():
            life.beat()
            await asyncio.wait([waited], timeout=_BEAT_EVERY)
        return waited.result()
    finally:
        waited.cancel()


class PartState(StrEnum):
    """What a part is doing. RESTARTING: it ended or was given up, and begins again when its wait is over."""

    RUNNING = "running"
    RESTARTING = "restarting"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Part:
    """What is known of a part. ``silence``: seconds without progress after which it counts as stalled.

    ``begin`` starts a life of it. Without one it lives elsewhere, and ``beaten_at`` says when it last made progress.
    ``restartable`` False: two lives of it at once would do harm, so the process ends where it stalls.
    ``at_once``: where it stalls, nothing in this process can end it in order.
    """

    name: str
    silence: float
    begin: Callable[[Life], None] | None = None
    beaten_at: Callable[[], float] | None = None
    restartable: bool = True
    at_once: bool = False
    state: PartState = PartState.RUNNING
    life: Life | None = None
    restarts: int = 0
    trouble_since: float | None = None
    restart_at: float = 0.0
    reason: str = ""
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_WAIT, LONGEST_WAIT))

    @property
    def progress_at(self) -> float:
        """When it last made progress, by the supervisor's clock."""
        if self.beaten_at is not None:
            return self.beaten_at()
        return self.life.beaten if self.life is not None else 0.0
