"""The objects that an audit log holds go through the same checks as any other: also one that came past the webhook."""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.kinds import CONNECTIONS
from iocaudit.core.request import Operation
from iocaudit.engine.audit import Auditor
from iocaudit.engine.causes import with_causes
from iocaudit.impact.asked import WRITES, AskedRequests
from iocaudit.impact.recorded_request import (
    NotJudgedReason,
    is_failed,
    object_of,
    operation_of,
    review_of_event,
)
from iocaudit.signals.accounts import is_own, is_own_work
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import Signal
from iocaudit.signals.wording import who

_DID = {"create": "creates", "update": "changes", "patch": "changes"}


class RecordedObjects:
    """Judges the objects of requests that went on. ``not_judged`` counts those that the log does not hold."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor
        self._asked = AskedRequests(auditor.catalogue)
        self._controls = {check.id: check.controls.get("attack", "").partition(",")[0] for check in auditor.catalogue}
        self.judged = 0
        self.not_judged = 0
        self.faults: list[str] = []

    def take(self, signal: Signal) -> Iterator[Sighting]:
        """What the checks find in the object of a request, as sightings that name the user.

        Left out are objects that the cluster or its cloud makes in namespaces of its own, and what its controllers
        change later of what someone else made.
        """
        event = signal.report
        if not isinstance(event, AuditEvent) or event.verb not in WRITES or event.is_dry_run or not event.went_on:
            return
        kind = self._asked.kind(event.target)
        if kind is None or kind in CONNECTIONS:
            return
        operation = operation_of(event, kind)
        if operation not in (Operation.CREATE, Operation.UPDATE) or is_failed(event, operation) or is_own_work(event):
            return
        if operation is Operation.UPDATE and is_own(event.requester):
            return
        found = object_of(event, kind, None)
        raw = None if isinstance(found, NotJudgedReason) else found[0]
        review = review_of_event(event, kind, operation, raw, None)
        if raw is None or isinstance(review, NotJudgedReason) or review.resource is None:
            self.not_judged += 1
            return
        self.judged += 1
        report = self._auditor.audit(review.resource, request=review.request)
        self.faults += [str(fault.error) for fault in report.faults[: max(0, 100 - len(self.faults))]]
        for one in with_causes(report, self._auditor.catalogue).found:
            check = self._auditor.catalogue.find(one.check)
            assert check is not None, "a hit is of a check in the catalogue"
            yield Sighting(
                rule=one.check,
                title=check.title,
                iocs=one.iocs,
                severity=one.severity,
                message=f"{who(event)} {_DID.get(event.verb, 'changes')} {one.message}",
                signal=signal,
                technique=self._controls[one.check],
                related=(one.check,),
                is_check=True,
            )
