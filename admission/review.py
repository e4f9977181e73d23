"""Dispatch: an AdmissionReview in, an audit of its objects, a verdict out."""

from __future__ import annotations

from typing import Any

from admission import wording
from admission.owners import Get, is_made_by_controller, stored_owner
from iocaudit.core.errors import IocauditError
from iocaudit.core.report import Report
from iocaudit.core.resource import Resource
from iocaudit.engine.audit import Auditor, Deadline
from iocaudit.engine.posture import Verdict, judge
from iocaudit.sources.admission_review import API_VERSION, Review

_NOTHING = Verdict(allowed=True)


def decide(review: Review, auditor: Auditor, deadline: Deadline, owner: Resource | None = None) -> Verdict:
    """Audit what the request carries and judge it. An unknown kind, or a DELETE, is nobody's business.

    ``owner`` is the verified owner of a pod that a controller makes, if it was fetched.
    """
    resource = review.resource
    if resource is None or not auditor.catalogue.for_kind(resource.kind):
        return _NOTHING
    report = auditor.audit(resource, request=review.request, deadline=deadline)
    old: Report | None = None
    if review.old is not None and (report.found or report.faults):
        old = auditor.audit(review.old, request=review.request, deadline=deadline)
    template = auditor.audit(owner, request=review.request, deadline=deadline) if owner is not None else None
    return judge(report, auditor.settings_for(resource), review.request, old=old, owner=template)


def may_be_spared(review: Review) -> bool:
    """Whether a denial could still turn into a warning once the pod's owner is known."""
    return review.resource is not None and is_made_by_controller(review.resource, review.request)


def fetch_owner(review: Review, get: Get) -> Resource | None:
    """The verified owner; None where there is none or it cannot be had: the pod is then judged by itself."""
    assert review.resource is not None
    try:
        return stored_owner(review.resource, get)
    except IocauditError:
        return None


def respond(review: Review, verdict: Verdict) -> dict[str, Any]:
    """The AdmissionReview to answer with. A denial is ``allowed: false`` in an HTTP 200."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": verdict.allowed}
    if not verdict.allowed:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": wording.denial(verdict)}
    said = wording.warnings(verdict)
    if said:
        response["warnings"] = said
    annotations = wording.annotations(verdict)
    if annotations:
        response["auditAnnotations"] = annotations
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
