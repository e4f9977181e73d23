"""A change that takes away from what is denied, as it is kept with the user who made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iocaudit.core.guard import WEAKENS, Weakening
from iocaudit.core.hit import Hit
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import Resource
from iocaudit.engine.audit import Auditor

MOST_NAMESPACES = 1000
"""Namespaces that a change is tried in, beside made-up ones: the operator tries every one later."""


def recorded(
    judged: Resource, path: str, done: str, lost: Sequence[Weakening], auditor: Auditor
) -> Iterator[ReportedHit]:
    """What is kept of a change of an object, as one hit; ``done`` begins the sentence."""
    check = auditor.catalogue.whole.find(WEAKENS)
    if not lost or check is None:
        return
    message = f"{done} {'; '.join(weakening.message for weakening in lost)}"
    hit = Hit(path, message, lost[0].evidence)
    worst = max(weakening.severity for weakening in lost)
    yield ReportedHit(check.id, worst, check.iocs, judged.ref, judged.origin, hit, check.doc.fix)
