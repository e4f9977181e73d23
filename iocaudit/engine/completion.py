"""Judge a request by what it completes: the order in which objects come decides nothing.

A binding to an empty role is harmless until the role is filled, a claim until there is a volume. What comes last is
judged as the whole would be if it came at once: by the policy, the waivers and the exemptions of the object that it
completes, and only for what the request adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from iocaudit.core.errors import IncompleteError
from iocaudit.core.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    RBAC_DEFINITION,
    ROLE,
    ROLE_BINDING,
    Kind,
)
from iocaudit.core.overlay import overlaid
from iocaudit.core.report import Fault, Report, ReportedHit, SameHit, Skipped
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.core.shape import lookup
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.completes import COMPLETES
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.introduced import worst_of
from iocaudit.engine.posture import Verdict, join, judge, spare
from iocaudit.engine.setting import OnFault, OnIncomplete, Setting
from iocaudit.knowledge.claim_completion import completed_by_claim, completed_by_volume
from iocaudit.knowledge.completed import CompletedObject
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.knowledge.rbac.completion import completed_by_binding, completed_by_role
from iocaudit.knowledge.rbac.own import is_own

MOST_DENIALS = 50
"""After so many denials no more of what the request completes is looked at."""
_LATE = "the audit of what it completes ran out of time"
_NOTHING_BEFORE = 0
_PLACES = ("rules", "aggregationRule", "metadata.labels", "subjects", "rbacBindings", "spec")


_COMPLETED: Mapping[Kind, Callable[[Resource, World, World], Iterator[CompletedObject]]] = {
    CLUSTER_ROLE: completed_by_role,
    ROLE: completed_by_role,
    CLUSTER_ROLE_BINDING: completed_by_binding,
    ROLE_BINDING: completed_by_binding,
    RBAC_DEFINITION: completed_by_binding,
    PERSISTENT_VOLUME_CLAIM: completed_by_claim,
    PERSISTENT_VOLUME: completed_by_volume,
}


def judge_completed(
    resource: Resource,
    old: Resource | None,
    auditor: Auditor,
    request: Request,
    deadline: Deadline | None = None,
) -> Verdict | None:
    """What the request is answered for all that it completes; None where that is nothing.

    A check that raises, and time that runs out, are faults of that check on the request's object.
    """
    checks = auditor.catalogue.completed_by(resource.kind) if resource.kind is not None else None
    if checks is None or request.operation not in (Operation.CREATE, Operation.UPDATE) or request.subresource:
        return None
    judging = _CompletionJudge(resource, old, auditor, checks, request, deadline)
    if resource.lacks:
        return judging.fault(f"the object was not read whole: {resource.lacks}")
    verdicts: list[Verdict] = []
    denials = 0
    try:
        for verdict in judging.verdicts():
            verdicts.append(verdict)
            denials += len(verdict.denials)
            if denials >= MOST_DENIALS:
                break
    except IncompleteError as error:
        verdicts.append(judging.skip(str(error)))
    except Exception as error:  # noqa: BLE001  an error is data here, as that of a check: a Fault, judged by onFault
        verdicts.append(judging.crash(error))
    return join(verdicts) if verdicts else None


class _CompletionJudge:
    """The judgement of what one request completes."""

    def __init__(
        self,
        resource: Resource,
        old: Resource | None,
        auditor: Auditor,
        checks: Catalogue,
        request: Request,
        deadline: Deadline | None,
    ) -> None:
        self._resource, self._old = resource, old
        self._auditor, self._checks = auditor, checks
        self._request, self._deadline = request, deadline
        # What is completed is judged as if the one who completes it made it at once.
        self._making = request._replace(operation=Operation.CREATE)
        self._said: dict[SameHit, int] = {}
        self._auditors: dict[tuple[World, bool], Auditor] = {}

    def verdicts(self) -> Iterator[Verdict]:
        """One for each object that is completed, where there is anything to say."""
        world = self._auditor.world
        before = overlaid(world, self._resource, self._old)
        after = overlaid(world, self._resource, self._resource)
        install = is_own(self._resource, world)
        for one in _completed(self._resource, before, after):
            if install and is_own(one.dependent, world):
                continue
            if self._deadline is not None and self._deadline.clock() >= self._deadline.at:
                yield self.fault(_LATE)
                return
            found = self._added(one)
            if not _says_anything(found):
                continue
            dependent = one.dependent
            verdict = judge(found, self._auditor.settings_for(dependent, self._making), self._request)
            # What is made there directly is never denied either: no webhook that denies is asked about it.
            yield spare(verdict, "system") if dependent.home in (ADMIN_NAMESPACE, world.own_namespace) else verdict

    def fault(self, error: str) -> Verdict:
        """What could not be judged, as a fault of each of the checks."""
        resource = self._resource
        return self._failed(Fault("", resource.ref, error, resource.origin))

    def crash(self, error: Exception) -> Verdict:
        """The same of an error that is ours, with its trace at the first of the checks."""
        first = next(iter(self._checks)).id
        return self._failed(self._auditor.crashes.fault(first, self._resource, error))

    def _failed(self, fault: Fault) -> Verdict:
        faults = [fault._replace(check=check.id, trace="") for check in self._checks]
        faults[0] = faults[0]._replace(trace=fault.trace)
        return judge(Report(faults=faults), self._strictest(), self._request)

    def skip(self, reason: str) -> Verdict:
        """What could not be known, as skipped by each of the checks."""
        resource = self._resource
        skipped = [Skipped(check.id, resource.ref, reason, resource.origin) for check in self._checks]
        return judge(Report(skipped=skipped), self._strictest(), self._request)

    def _strictest(self) -> Mapping[str, Setting]:
        """What holds where it is not known what is completed: for each check the strictest of what may be."""
        resource, policies = self._resource, self._auditor.policies
        if not policies.selects_by_kind or resource.kind is None:
            return self._auditor.settings_for(resource, self._making)
        found: dict[str, Setting] = {}
        for kind in COMPLETES[resource.kind]:
            settings = self._auditor.settings_for(resource, self._making, kind=kind)
            for check in self._checks:
                setting = settings.get(check.id)
                if setting is not None and kind in check.looks_at:
                    found[check.id] = max(found.get(check.id, setting), setting, key=_strictness)
        return found

    def _added(self, one: CompletedObject) -> Report:
        """What the request adds to a completed object, said of the request's own."""
        after = self._audit(one, one.after)
        before = self._audit(one, one.before) if one.before is not None and _says_anything(after) else Report()
        had, waived = worst_of(before), {entry.found.same_hit for entry in before.waived}
        new = (found for found in after.found if found.severity > had.get(found.same_hit, _NOTHING_BEFORE))
        said = {(skipped.check, skipped.reason) for skipped in before.skipped}
        ref, origin = self._resource.ref, self._resource.origin
        return Report(
            found=[moved for found in new if self._is_new(moved := self._moved(found, one))],
            faults=[fault._replace(subject=ref, origin=origin) for fault in after.faults],
            skipped=[
                skipped._replace(subject=ref, origin=origin)
                for skipped in after.skipped
                if (skipped.check, skipped.reason) not in said
            ],
            waived=[
                entry._replace(found=self._moved(entry.found, one))
                for entry in after.waived
                if entry.found.same_hit not in waived
            ],
        )

    def _is_new(self, found: ReportedHit) -> bool:
        """Whether it was not said yet, or not as bad."""
        if found.severity <= self._said.get(found.same_hit, _NOTHING_BEFORE):
            return False
        self._said[found.same_hit] = found.severity
        return True

    def _audit(self, one: CompletedObject, world: World) -> Report:
        waivers = not one.stands_for  # none is made for what is made up
        auditor = self._auditors.get((world, waivers))
        if auditor is None:
            auditor = self._auditors[world, waivers] = self._auditor.seeing(world, self._checks, waivers=waivers)
        return auditor.audit(one.dependent, request=self._making, deadline=self._deadline)

    def _moved(self, found: ReportedHit, one: CompletedObject) -> ReportedHit:
        """The hit on the request's object, where it has changed."""
        title = one.stands_for or str(one.dependent.ref)
        hit, ref = found.hit, self._resource.ref
        if title == str(ref):
            message = hit.message
        elif one.stands_for:
            message = f"completes {title}: {hit.message}"
        else:
            message = f"completes {title}, which {hit.message} ({hit.place})"
        moved = hit._replace(
            grant=None,  # it stands on the request's object already
            within=None,
            path=self._place(),
            at=None,
            message=message,
            evidence=f"{title}: {hit.evidence}",
            repair=None,
        )
        return found._replace(subject=ref, origin=self._resource.origin, hit=moved, suggestion=None)

    def _place(self) -> str:
        """The part of the request's object that is new."""
        for place in _PLACES:
            keys = place.split(".")
            now = lookup(self._resource.raw, *keys)
            if now and (self._old is None or now != lookup(self._old.raw, *keys)):
                return place
        return "metadata.name"


def _strictness(setting: Setting) -> tuple[bool, bool, bool]:
    return (setting.can_deny, setting.on_fault is OnFault.DENY, setting.on_incomplete is OnIncomplete.DENY)


def _says_anything(report: Report) -> bool:
    return bool(report.found or report.faults or report.skipped or report.waived)


def without_repeats(verdict: Verdict, report: Report) -> Verdict:
    """Without the warnings of checks that warn of the object itself as much."""
    said: dict[str, Severity] = {}
    for found in report.found:
        said[found.check] = max(found.severity, said.get(found.check, found.severity))
    kept = tuple(one for one in verdict.warnings if one.check not in said or one.severity > said[one.check])
    return verdict._replace(warnings=kept, observed=())


def _completed(resource: Resource, before: World, after: World) -> Iterator[CompletedObject]:
    """What an object that comes between two worlds completes, once each."""
    assert resource.kind is not None, "only known kinds complete anything"
    return _COMPLETED[resource.kind](resource, before, after)
