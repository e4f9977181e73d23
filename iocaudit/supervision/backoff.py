"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from ``first`` to ``longest`` seconds, each spread so that many do not come at once."""

    def __init__(
        self,
        first: float,
        longest: float,
        *,
        spread: float = 0.3,
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self.first, self.longest = first, longest
        self._spread = spread
        self._uniform = uniform or random.uniform
        self._next = first

    def next(self, most: float | None = None) -> float:
        """The seconds to wait now; at most about ``most``, where that is given."""
        base = self._next if most is None else min(self._next, most)
        self._next = min(self._next * 2, self.longest)
        return base * self._uniform(1 - self._spread, 1 + self._spread)

    def reset(self) -> None:
        """It went well: begin anew."""
        self._next = self.first
