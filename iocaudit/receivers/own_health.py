"""Looks at the receivers themselves: what nobody sends, whether what is seen is taken, how long they were down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from iocaudit.core.severity import IoC
from iocaudit.receivers.outbox import Outbox
from iocaudit.receivers.senders import Senders
from iocaudit.receivers.troubles import RECEIVERS, Troubles, moment_of, of_sender
from iocaudit.signals.detector_health import GAP, NO_SOURCE, UNHEARD, WITNESSES, seen_by
from iocaudit.signals.signal import SignalSource

UNHEARD_AFTER: Final = 60.0
"""Seconds for which the operator may leave one post untaken."""
SENDS_AGAIN: Final = {SignalSource.FALCO: 0.0, SignalSource.AUDIT: 60.0}
"""For how many seconds a sender goes on sending what was not taken. Falco and falcosidekick send once, an API server's
audit webhook gives a batch up after five attempts; Alertmanager sends whatever still fires.
"""
_SHORTEST = 2.0
"""Seconds below which a restart is as short as a pause between two looks."""


class OwnHealth:
    """All of it is the reader's."""

    def __init__(
        self,
        senders: Callable[[], Senders],
        outbox: Outbox,
        troubles: Troubles,
        *,
        follows_log: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``follows_log``: whether an audit log file is read, which is a source as a sender is."""
        self._senders, self._outbox, self._troubles, self._clock = senders, outbox, troubles, clock
        self._log = frozenset({SignalSource.AUDIT}) if follows_log else frozenset()
        self._begun = clock()
        self._post: tuple[int, float] | None = None

    def was_down(self, since: float) -> None:
        """Tell what may have been lost between the last sign of life of the process before and our start."""
        now = self._begun
        if now - since <= _SHORTEST:
            return
        for sender in self._senders():
            lost = frozenset(one for one in sender.sources if now - since > SENDS_AGAIN.get(one, float("inf")))
            if lost:
                message = (
                    f"the receivers were down from {moment_of(since)} to {moment_of(now)}: what {sender.name} sent "
                    f"meanwhile is lost ({', '.join(sorted(lost))})"
                )
                self._troubles.happened(GAP, of_sender(sender.name), message, now, seen_by(lost))

    def look(self) -> None:
        now = self._clock()
        self._look_at_sources(now)
        self._look_at_posts(now)

    def _look_at_sources(self, now: float) -> None:
        sources = self._log.union(*(sender.sources for sender in self._senders()))
        unseen = tuple(ioc for ioc in IoC if ioc not in seen_by(sources))
        if not unseen:
            self._troubles.over(NO_SOURCE, RECEIVERS, "each indicator has a sender", now)
            return
        wanted = sorted({WITNESSES[ioc][0] for ioc in unseen})
        said = ", ".join(str(int(ioc)) for ioc in unseen)
        message = f"no sender in the file of senders sees the indicators {said}: add one of {' and of '.join(wanted)}"
        self._troubles.tell(NO_SOURCE, RECEIVERS, message, now, unseen)

    def _look_at_posts(self, now: float) -> None:
        number = self._outbox.under_way
        if self._post is None or number != self._post[0]:
            if self._post is not None:
                self._troubles.over(UNHEARD, RECEIVERS, "the operator takes what is seen", now)
            self._post = (number, now) if number is not None else None
        elif now - self._post[1] > UNHEARD_AFTER:
            message = f"the operator has taken nothing since {moment_of(self._post[1])}; what is seen is kept here"
            self._troubles.tell(UNHEARD, RECEIVERS, message, now)
