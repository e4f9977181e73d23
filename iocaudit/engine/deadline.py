"""How long an audit may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

MonotonicClock = Callable[[], float]


class Deadline(NamedTuple):
    """A moment on a monotonic clock after which an audit gives up."""

    at: float
    clock: MonotonicClock = time.monotonic

    @classmethod
    def within(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """The seconds until then, 0 where it is over; infinite where there is none."""
        return math.inf if self.clock is _stopped else max(0.0, self.at - self.clock())


def _stopped() -> float:
    return 0.0


NO_DEADLINE = Deadline(1.0, _stopped)
"""That of an audit that may take as long as it likes."""
