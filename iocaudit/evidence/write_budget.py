"""How many writes a minute sightings may cost the API server: what comes beyond is counted, and written later."""

from __future__ import annotations

import time
from collections.abc import Callable

WRITES_PER_MINUTE = 60


class WriteBudget:
    """Writes that may be made now; they grow with time, up to those of one minute."""

    def __init__(self, per_minute: int = WRITES_PER_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left, self._at = float(per_minute), clock()

    @property
    def left(self) -> int:
        """Whole writes that may be made now."""
        now = self._clock()
        self._left = min(self._per_minute, self._left + (now - self._at) * self._per_minute / 60.0)
        self._at = now
        return int(self._left)

    def spend(self) -> None:
        """One was made."""
        self._left -= 1.0
