"""The IocWaivers of a cluster that can be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.engine.waivers import LONGEST, Waiver, Waivers
from iocaudit.live.store import Store

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time now, as waivers ask for it."""
    return datetime.now(UTC)


class WaiverStore(Store[Waiver]):
    """A waiver fails closed: one that became unreadable covers nothing.

    ``longest`` is how long one may hold; None: for ever.
    """

    _kind = "waiver"
    _keeps_last_good = False

    def __init__(
        self,
        catalogue: Catalogue,
        longest: timedelta | None = LONGEST,
        clock: Clock = utc_now,
        *,
        log: logging.Logger | None = None,
    ) -> None:
        super().__init__(log)
        self._catalogue, self._longest, self._clock = catalogue, longest, clock
        self.current = Waivers((), longest)
        """Those that can be read, whether they hold or not."""

    def _read(self, raw: Json) -> Waiver:
        return read_waiver(raw, self._catalogue, stored=True, now=self._clock())

    def _use(self, read: Iterable[Waiver]) -> None:
        self.current = Waivers(read, self._longest)
