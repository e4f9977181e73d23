"""Dispatch: an AdmissionReview in, an audit of its objects, a verdict out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from admission import wording
from admission.own_kinds import judge_own
from admission.owners import Get, is_made_by_controller, stored_owners
from iocaudit.core.errors import IocauditError
from iocaudit.core.report import Report
from iocaudit.core.resource import Resource
from iocaudit.engine.audit import Auditor, Deadline
from iocaudit.engine.posture import Verdict, judge
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
    """Audit what the request carries and judge it. An unknown kind, or a DELETE, is nobody's business.

    ``owners`` are the verified owners of what a controller makes, nearest first, if they were fetched: what is in
    their templates, and what their waivers cover there, is the owner's matter. ``longest_waiver`` is how long an
    IocWaiver may hold.
    """
    resource = review.resource
    if resource is None or not auditor.catalogue.for_kind(resource.kind):
        return judge_own(review, auditor.catalogue, longest_waiver) or _NOTHING
    report = auditor.audit(resource, request=review.request, deadline=deadline)
    old: Report | None = None
    if review.old is not None and (report.found or report.faults):
        old = auditor.audit(review.old, request=review.request, deadline=deadline)
    template: Report | None = None
    if owners:
        audited = [(owner, auditor.audit(owner, request=review.request, deadline=deadline)) for owner in owners]
        auditor.inherit(report, resource, audited)
        template = Report()
        for _, one in audited:
            template.extend(one)
    return judge(report, auditor.settings_for(resource), review.request, old=old, owner=template)


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


def unread(error: ReviewError) -> Verdict:
    """What is said of a request that cannot be read: nobody can tell what it asks for, so that it is refused."""
    return Verdict(allowed=False, refusal=f"iocaudit cannot read this request: {error}")


def respond(uid: str, verdict: Verdict) -> dict[str, Any]:
    """The AdmissionReview to answer with. A denial is ``allowed: false`` in an HTTP 200."""
    response: dict[str, Any] = {"uid": uid, "allowed": verdict.allowed}
    if not verdict.allowed:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": wording.denial(verdict)}
    said = wording.warnings(verdict)
    if said:
        response["warnings"] = said
    annotations = wording.annotations(verdict)
    if annotations:
        response["auditAnnotations"] = annotations
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
