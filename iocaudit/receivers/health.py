"""Detector health as a whole: what each part finds wrong, and what of it is kept through a restart."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Final

from iocaudit.receivers.drop_health import DropHealth
from iocaudit.receivers.journal import Journal, JournalFullError
from iocaudit.receivers.outbox import Outbox
from iocaudit.receivers.own_health import OwnHealth
from iocaudit.receivers.rule_health import RuleHealth
from iocaudit.receivers.sender_health import SenderHealth
from iocaudit.receivers.senders import Sender, Senders
from iocaudit.receivers.troubles import Troubles
from iocaudit.signals.signal import Signal

_log = logging.getLogger(__name__)

ALIVE_EVERY: Final = 5.0
"""Seconds between two signs of life in the file, by which the next process knows how long there was none."""
_ALIVE, _TROUBLES = "alive", "troubles"


class DetectorHealth:
    """`look` and `see` are the reader's; ``senders`` and ``drops`` are told by the event loop too."""

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        senders: Callable[[], Senders],
        *,
        follows_log: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises JournalError where the file cannot be read."""
        self._journal, self._clock = journal, clock
        self._troubles = Troubles(outbox.count)
        self.senders = SenderHealth(senders, self._troubles, clock)
        self.drops = DropHealth(self._troubles)
        self._rules = RuleHealth(senders, self._troubles, clock)
        self._own = OwnHealth(senders, outbox, self._troubles, follows_log=follows_log, clock=clock)
        self._signed = -math.inf
        self._alive_before: float | None = None
        facts = journal.facts()
        self._kept = facts.get(_TROUBLES, b"[]")
        try:
            self._troubles.load(self._kept)
            self._alive_before = float(facts[_ALIVE]) if _ALIVE in facts else None
        except ValueError as error:
            _log.error("what was wrong with detectors is not known any more: %s", error)

    @property
    def told(self) -> int:
        """How often something was counted."""
        return self._troubles.told

    def look(self, read_until: float) -> None:
        """Tell what is wrong now. ``read_until`` is when what was read last had been received."""
        if self._alive_before is not None:
            self._own.was_down(self._alive_before)
            self._alive_before = None
        self.senders.look()
        self.drops.look(self._clock())
        self._rules.look(read_until)
        self._own.look()
        self._sign()

    def see(self, signal: Signal, sender: Sender, received: float) -> None:
        """Tell what a signal says of its sender."""
        self.senders.see(signal, sender, received)
        self.drops.see(signal, sender, received)
        self._rules.see(signal, sender, received)

    def sign_off(self) -> None:
        """The last sign of life, as the process ends."""
        self._signed = -math.inf
        self._sign()

    def _sign(self) -> None:
        now = self._clock()
        if 0 <= now - self._signed < ALIVE_EVERY:
            return
        troubles = self._troubles.dump()
        facts: dict[str, bytes | None] = {_ALIVE: str(now).encode()}
        if troubles != self._kept:
            facts[_TROUBLES] = troubles
        try:
            self._journal.note(facts)
        except JournalFullError:
            return  # a full disk: it is written as soon as there is room, and senders hear 503 meanwhile
        self._signed, self._kept = now, troubles
