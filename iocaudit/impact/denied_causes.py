"""What would have been denied, as causes: one check on one top-level object, counted, never repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from iocaudit.core.severity import Severity
from iocaudit.signals.audit_event import AuditEvent, LinePlace

MOST_CAUSES = 5_000
"""How many causes are distinguished; what is more is counted together."""
_MOST_NAMES = 50
"""How many users and images of one cause are distinguished."""
OTHER = "others"


class CauseKey(NamedTuple):
    """A check on an object at the top of what controllers make. ``namespace`` None: cluster scope.

    ``check`` says what denies where it is not the hit of a check: a fault, or what could not be evaluated.
    """

    check: str
    namespace: str | None
    group: str
    kind: str
    name: str

    @property
    def target(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(slots=True)
class DeniedCause:
    """How often it would have denied a request, from when to when, of whom, and with which images.

    ``on_today``: the hit depends on what else was looked up, which is as it is today. ``subjects`` are the objects of
    the requests by kind: a Deployment, and what controllers made of it. ``place`` is where the last one stands.
    """

    key: CauseKey
    severity: Severity | None
    message: str = ""
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    users: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    subjects: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    on_today: bool = False
    place: LinePlace | None = None


class DenialReason(NamedTuple):
    """One of the reasons for which one request would have been denied."""

    key: CauseKey
    severity: Severity | None
    message: str
    images: Iterable[str]
    on_today: bool


class DeniedCauses:
    """Counts them. ``beyond`` is how many reasons there was no room to tell apart."""

    def __init__(self) -> None:
        self._causes: dict[CauseKey, DeniedCause] = {}
        self.beyond = 0

    def add(self, event: AuditEvent, subject: str, operation: str, reasons: Iterable[DenialReason]) -> None:
        """Count a request; ``subject`` is the kind of its object."""
        counted: set[CauseKey] = set()
        for reason in reasons:
            cause = self._cause(reason)
            if cause is None:
                self.beyond += 1
                continue
            cause.on_today = cause.on_today or reason.on_today
            if reason.severity is not None and (cause.severity is None or reason.severity > cause.severity):
                cause.severity = reason.severity
            for image in reason.images:
                _count(cause.images, image)
            if reason.key in counted:
                continue
            counted.add(reason.key)
            cause.message, cause.place = reason.message, event.place
            cause.count += 1
            cause.first = _earlier(cause.first, event.when)
            cause.last = _later(cause.last, event.when)
            _count(cause.users, event.requester.username or "unknown")
            _count(cause.subjects, subject)
            _count(cause.operations, operation)

    def _cause(self, reason: DenialReason) -> DeniedCause | None:
        cause = self._causes.get(reason.key)
        if cause is None and len(self._causes) < MOST_CAUSES:
            cause = self._causes[reason.key] = DeniedCause(reason.key, reason.severity)
        return cause

    @property
    def all(self) -> list[DeniedCause]:
        """Those that deny most often first, of equals the worst."""
        return sorted(self._causes.values(), key=lambda one: (-one.count, -(one.severity or 0), _order(one.key)))


def _order(key: CauseKey) -> tuple[str, ...]:
    return (key.namespace or "", key.kind, key.name, key.check, key.group)


def _count(names: Counter[str], name: str) -> None:
    names[name if name in names or len(names) < _MOST_NAMES else OTHER] += 1


def _earlier(known: datetime | None, when: datetime | None) -> datetime | None:
    return when if known is None else known if when is None else min(known, when)


def _later(known: datetime | None, when: datetime | None) -> datetime | None:
    return when if known is None else known if when is None else max(known, when)
