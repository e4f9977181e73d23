"""The part of the webhook that reads policies and modules, and loads what evaluates their rules.

That takes a program of another language, which may be slow or away: nothing of it is in the way of reviews.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from admission.state import RulebookChange
from iocaudit.engine.policy_set import PolicySet
from iocaudit.live.rulebook import Rulebook
from iocaudit.supervision.part import Life

_log = logging.getLogger(__name__)
_TRY_AGAIN: Final = 5.0
"""Seconds between two attempts to load what could not be loaded."""
LONGEST_WAIT: Final = 30.0
"""Seconds that the webhook waits for rules at its start: then it answers, and they fail as ``onFault`` has it."""


class RulePart:
    """Takes changes in the event loop, works them off in a thread in their order, and hands over what is in force.

    ``use`` is handed the policies once their rules are loaded; ``loaded`` whether the rules that there were at the
    start are loaded, and if not, why. Both are called in the thread.
    """

    def __init__(self, use: Callable[[PolicySet], None], loaded: Callable[[str | None], None]) -> None:
        self._use, self._loaded = use, loaded
        self._waiting: deque[Callable[[], object]] = deque()
        self._wake = threading.Event()
        self._book: Rulebook | None = None
        self._begun: float | None = None
        self._is_loaded = False
        self.is_changing = False
        """Whether other policies are about to be put in force, whose rules may be loaded already."""

    def read(self, book: Rulebook, change: RulebookChange) -> None:
        """Take a change over, to be made in its turn."""
        self._book = book
        self.is_changing = True
        self._waiting.append(partial(change, book))
        self._wake.set()

    def in_force(self) -> None:
        """What was handed over is in force by now."""
        self.is_changing = bool(self._waiting)

    def start_loading(self) -> None:
        """All that there was at the start has been handed over."""
        self._begun = time.monotonic()
        self._wake.set()

    def run(self, life: Life) -> None:
        """Work until the life is over."""
        tried_at = time.monotonic()
        while not life.is_set():
            self._wake.clear()
            book, changed = self._book, bool(self._waiting)
            while self._waiting:
                self._waiting.popleft()()
                if life.is_set():
                    return
            if book is not None:
                if not changed and book.is_unsure and time.monotonic() - tried_at >= _TRY_AGAIN:
                    tried_at, changed = time.monotonic(), True
                    book.try_again()
                if changed and book.settle():
                    self._use(book.current)
                elif changed:
                    self.in_force()
            self._tell(book)
            while not self._wake.wait(1.0):
                if life.is_set() or (book is not None and book.is_unsure) or (self._begun and not self._is_loaded):
                    break
                life.beat()

    def _tell(self, book: Rulebook | None) -> None:
        """Say whether what there was at the start is loaded; once it is, that is not taken back."""
        if self._is_loaded or self._begun is None or self._waiting:
            return
        why = "; ".join(book.trouble.values()) if book is not None else ""
        if why and time.monotonic() - self._begun < LONGEST_WAIT:
            self._loaded(why)
            return
        if why:
            _log.error("the webhook answers although rules are not loaded, and they fail: %s", why)
        self._is_loaded = True
        self._loaded(None)
