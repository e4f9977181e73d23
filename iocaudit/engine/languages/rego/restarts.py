"""Which rules OPA ended with: one that takes it down with each question would take all others down as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

MOST_ENDS: Final = 3
"""Ends in a row, without an answer in between, after which a rule is left alone."""
_FIRST_REST, _LONGEST_REST = 60.0, 1800.0
"""Seconds for which it is left alone, twice as long after each further end."""


@dataclass(slots=True)
class _RuleRecord:
    unanswered_in: int = 0
    """The generation of OPA that did not answer; 0 for none."""
    counted_until: int = 0
    """The last generation whose end was counted: several questions may have been on their way to it."""
    ends: int = 0
    rests_until: float = 0.0


class RestartRecord:
    """What is known of rules by their roots. Safe to use from several threads.

    A rule counts where OPA gave no answer for it, and was another process when it was asked next. A neighbour of a bad
    rule may be told so as well; as it is asked by itself from then on, it answers, and is known to be good.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, _RuleRecord] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known against any rule."""
        return not self._records

    @property
    def has_ends(self) -> bool:
        """Whether OPA ended with any of the rules: what is asked beside them would be blamed as well."""
        with self._lock:
            return any(record.ends for record in self._records.values())

    def answered(self, root: str) -> None:
        """The rule was evaluated, be it with an error."""
        if root in self._records:
            with self._lock:
                self._records.pop(root, None)

    def unanswered(self, root: str, generation: int) -> None:
        """It was asked, and no answer came from that generation of OPA, which may have ended."""
        with self._lock:
            record = self._records.setdefault(root, _RuleRecord())
            if generation > max(record.counted_until, record.unanswered_in):
                record.unanswered_in = generation

    def trouble(self, root: str, generation: int) -> str | None:
        """Why a rule is not asked of this generation; None where it is."""
        record = self._records.get(root)
        if record is None:
            return None
        with self._lock:
            if record.unanswered_in and generation > record.unanswered_in:
                record.counted_until, record.unanswered_in = record.unanswered_in, 0
                record.ends += 1
                if record.ends >= MOST_ENDS:
                    rest = min(_FIRST_REST * 2 ** (record.ends - MOST_ENDS), _LONGEST_REST)
                    record.rests_until = self._clock() + rest
            left = record.rests_until - self._clock()
            if left <= 0:
                return None
            return f"OPA ended {record.ends} times while it evaluated this rule, which is not asked for {left:.0f} s"

    def keep(self, roots: Iterable[str]) -> None:
        """Forget all other rules."""
        kept = set(roots)
        with self._lock:
            self._records = {root: record for root, record in self._records.items() if root in kept}
