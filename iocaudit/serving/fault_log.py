"""The log of checks that fail: a line a check, with where it was raised, however many objects it fails on."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from iocaudit.core.report import Fault

_log = logging.getLogger(__name__)


class FaultLog:
    """Each check that raises is logged once while the process runs; metrics and reports count all of it."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def note(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            if fault.trace and fault.check not in self._logged:
                self._logged.add(fault.check)
                where = {"check": fault.check, "trace": fault.trace}
                _log.error("check %s failed on %s: %s", fault.check, fault.subject, fault.error, extra=where)
