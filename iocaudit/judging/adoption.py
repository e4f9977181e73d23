"""Adoption: what an owner did not make, and comes to be counted as its own.

A template that runs nothing is judged as new, by the owner's status. Anyone who gives such an owner harmless pods to
adopt would have that status say that it runs, and then have it make what its template says.
"""

from __future__ import annotations

from iocaudit.core.report import Fault, Report, ReportedHit, SameHit
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.engine.audit import Auditor
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.posture import Verdict, judge
from iocaudit.engine.presets import Mode
from iocaudit.engine.setting import OnExisting
from iocaudit.judging.owners import runs_nothing
from iocaudit.knowledge.pods.images import gained


def judge_adopted(
    resource: Resource, owner: Resource, auditor: Auditor, request: Request, deadline: Deadline
) -> Verdict | None:
    """The verdict on a Pod, ReplicaSet or Job that becomes one of an owner that runs nothing; None without objection.

    Denied is what would be denied of the owner's template and is not in the object: what is there already, with images
    of the same repositories, may be counted.
    """
    if not runs_nothing(owner):
        return None
    settings = auditor.settings_for(resource, request)
    templates = auditor.audit(owner, request=request, deadline=deadline, settings=settings)
    denying = [
        found
        for found in templates.found
        if settings[found.check].existing is OnExisting.WARN
        and settings[found.check].mode_for(found.severity) is Mode.DENY
    ]
    if not denying:
        return None
    there = auditor.audit(resource, request=request, deadline=deadline, settings=settings)
    have: dict[SameHit, list[ReportedHit]] = {}
    for one in (*there.found, *(waived.found for waived in there.waived)):
        have.setdefault(one.in_template, []).append(one)
    lacking = [
        _on(resource, owner, found)
        for found in denying
        if all(
            gained(templates.behind(found), there.behind(own), exact=settings[found.check].exact_images)
            for own in have.get(found.in_template, ())
        )
    ]
    return judge(Report(found=lacking), settings, request) if lacking else None


def judge_unknown_owner(resource: Resource, error: str, auditor: Auditor, request: Request) -> Verdict:
    """The verdict where it is not known what the owner's template says: a fault of each check, for ``onFault``."""
    checks = auditor.catalogue.for_kind(resource.kind) if resource.kind is not None else ()
    said = f"its owner could not be looked up: {error}"
    faults = [Fault(check.id, resource.ref, said, resource.origin) for check in checks]
    return judge(Report(faults=faults), auditor.settings_for(resource, request), request)


def _on(resource: Resource, owner: Resource, found: ReportedHit) -> ReportedHit:
    """A hit of the owner's template, said of the object that it takes for its own."""
    hit = found.hit._replace(
        within=None,
        path="metadata.ownerReferences",
        at=None,
        message=f"would count as made by {owner.ref}, which runs no pods: {found.hit.message} ({found.hit.place})",
        evidence=f"{owner.ref}: {found.hit.evidence}",
        repair=None,
        fix=f"Leave it apart from {owner.ref}: give it other labels.",
    )
    return found._replace(subject=resource.ref, origin=resource.origin, hit=hit, suggestion=None)
