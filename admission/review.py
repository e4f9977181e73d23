"""Dispatch: an AdmissionReview in, an audit of its objects, a verdict out."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from datetime import timedelta
from typing import Any

from admission import wording
from admission.adoption import judge_adopted, judge_unknown_owner
from admission.aggregation import is_aggregated_anew
from admission.own_kinds import judge_own
from admission.owners import (
    Get,
    claimed_owner,
    in_use,
    is_made_by_controller,
    is_placed_anew,
    may_be_adopted,
    stored_owners,
)
from admission.warning_lines import warnings
from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.errors import IocauditError
from iocaudit.core.report import Report, SameHit
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor, Deadline
from iocaudit.engine.completion import judge_completed, without_repeats
from iocaudit.engine.own_install import judge_own_install
from iocaudit.engine.posture import Verdict, join, judge, spare
from iocaudit.engine.waivers import LONGEST
from iocaudit.sources.admission_review import API_VERSION, Review, ReviewError

_log = logging.getLogger(__name__)
_NOTHING = Verdict(allowed=True)


def decide(
    review: Review,
    auditor: Auditor,
    deadline: Deadline,
    owners: Sequence[Resource] = (),
    *,
    longest_waiver: timedelta = LONGEST,
) -> Verdict:
    """Audit what the request carries and judge it. An unknown kind, or a DELETE of what is not ours, is
    allowed.

    ``owners`` are the verified owners of what a controller makes, nearest first, if they were fetched: what is in
    their templates, as far as those run, and what their waivers cover there, is the owner's matter.
    ``longest_waiver`` is how long an IocWaiver may hold.
    """
    if (own := judge_own(review, auditor, longest_waiver)) is not None:
        return own
    resource = review.resource
    if resource is None:
        return _NOTHING
    verdict, report = _NOTHING, None
    if auditor.catalogue.for_kind(resource.kind):
        report = auditor.audit(resource, request=review.request, deadline=deadline)
        verdict = _judge(review, resource, report, auditor, deadline, owners)
    completed = judge_completed(resource, review.old, auditor, review.request, deadline)
    if completed is not None:
        verdict = join((verdict, without_repeats(completed, report or Report())))
    verdict = judge_own_install(resource, review.old, review.request, verdict, auditor)
    return spare(verdict, "aggregation") if is_aggregated_anew(review) else verdict


def _judge(
    review: Review,
    resource: Resource,
    report: Report,
    auditor: Auditor,
    deadline: Deadline,
    owners: Sequence[Resource],
) -> Verdict:
    """The verdict on the object itself, by its audit."""
    old: Report | None = None
    if review.old is not None and (report.found or report.faults) and not is_placed_anew(resource, review.old):
        old = auditor.audit(review.old, request=review.request, deadline=deadline)
    templates: list[Report] = []
    idle: set[SameHit] = set()
    unspared: frozenset[SameHit] = frozenset()
    if owners:
        audited = [(owner, auditor.audit(owner, request=review.request, deadline=deadline)) for owner in owners]
        left = auditor.inherit(report, audited)
        running = in_use(resource, owners)
        templates = [one for owner, one in audited if owner in running]
        idle = {found.in_template for owner, one in audited if owner not in running for found in one.found}
        there = frozenset(found.in_template for one in templates for found in one.found)
        unspared = left | (there - _by_itself(owners, auditor, review.request, deadline))
    verdict = judge(
        report,
        auditor.settings_for(resource),
        review.request,
        old=old,
        owners=templates,
        unspared=unspared,
        leaves=auditor.leaves(resource) if old is not None else None,
    )
    return _with_idle(verdict, idle) if idle else verdict


def _with_idle(verdict: Verdict, idle: Set[SameHit]) -> Verdict:
    """The same, saying of what was denied that its owner has it but runs nothing."""
    why = ", and its owner, which has it too, runs no pods, so that it is not taken for existing"
    return verdict._replace(
        denials=tuple(
            found._replace(hit=found.hit._replace(message=found.hit.message + why))
            if found.in_template in idle
            else found
            for found in verdict.denials
        )
    )


def _by_itself(
    owners: Sequence[Resource], auditor: Auditor, request: Request, deadline: Deadline
) -> frozenset[SameHit]:
    """The hits of templates that are there without any other object, as they read on a pod."""
    world = auditor.world
    bare = World(default_namespace=world.default_namespace, own_namespace=world.own_namespace)
    alone = auditor.seeing(bare, waivers=False)
    reports = (alone.audit(owner, request=request, deadline=deadline) for owner in owners)
    return frozenset(found.in_template for report in reports for found in report.found)


def may_be_spared(review: Review) -> bool:
    """Whether a denial could still be something else once the owners of what a controller makes are known."""
    return review.resource is not None and is_made_by_controller(review.resource, review.request)


def fetch_owners(review: Review, get: Get) -> list[Resource]:
    """The verified owners; those that cannot be had speak for nothing, so that a denial stays one."""
    assert review.resource is not None
    found: list[Resource] = []
    try:
        found.extend(stored_owners(review.resource, review.request.username, get))
    except IocauditError as error:
        _log.warning("an owner could not be looked up: %s", error, extra={"object": str(review.resource.ref)})
    return found


def is_adopted(review: Review) -> bool:
    """Whether the object comes to count as what an owner has that did not make it."""
    return review.resource is not None and may_be_adopted(review.resource, review.old, review.request)


def fetch_adopter(review: Review, get: Get) -> Resource | IocauditError | None:
    """The owner that the object names; the error where nobody can tell whether it is there."""
    assert review.resource is not None
    try:
        return claimed_owner(review.resource, get)
    except NotFoundError:
        return None
    except IocauditError as error:
        _log.warning("an owner could not be looked up: %s", error, extra={"object": str(review.resource.ref)})
        return error


def with_adopter(
    review: Review, verdict: Verdict, adopter: Resource | IocauditError, auditor: Auditor, deadline: Deadline
) -> Verdict:
    """The verdict on a request together with that on the adoption it brings."""
    assert review.resource is not None
    if isinstance(adopter, IocauditError):
        return join((verdict, judge_unknown_owner(review.resource, str(adopter), auditor, review.request)))
    adopted = judge_adopted(review.resource, adopter, auditor, review.request, deadline)
    return verdict if adopted is None else join((verdict, adopted))


def unread(error: ReviewError) -> Verdict:
    """What is said of a request that cannot be read: nobody can tell what it asks for, so that it is refused."""
    return Verdict(allowed=False, refusal=f"iocaudit cannot read this request: {error}")


def respond(uid: str, verdict: Verdict) -> dict[str, Any]:
    """The AdmissionReview to answer with. A denial is ``allowed: false`` in an HTTP 200."""
    response: dict[str, Any] = {"uid": uid, "allowed": verdict.allowed}
    if not verdict.allowed:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": wording.denial(verdict)}
    if said := warnings(verdict):
        response["warnings"] = said
    annotations = wording.annotations(verdict)
    if annotations:
        response["auditAnnotations"] = annotations
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
