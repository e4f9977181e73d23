"""AuditPolicies and IocWaivers as they arrive: one that could not be used is refused with the reason.

This is a courtesy to whoever writes them, and fails open: the operator refuses the same ones in their status, and
the webhook puts none of them in force.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds.ours import AUDIT_POLICY, GROUP, IOC_WAIVER
from iocaudit.core.moments import rfc3339
from iocaudit.core.request import Operation
from iocaudit.core.resource import Resource
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.posture import Verdict
from iocaudit.engine.waiver_reader import WaiverError, read_waiver
from iocaudit.sources.admission_review import Review


def judge_own(review: Review, catalogue: Catalogue, longest: timedelta) -> Verdict | None:
    """The verdict on an object of our own kinds; None for any other. Whoever leaves the spec alone is let be."""
    resource = review.resource
    if resource is None or resource.group != GROUP:
        return None
    if review.request.operation not in (Operation.CREATE, Operation.UPDATE) or review.request.subresource:
        return None
    if review.old is not None and review.old.raw.get("spec") == resource.raw.get("spec"):
        return None
    try:
        if resource.kind_name == AUDIT_POLICY.name:
            return _policy(resource, catalogue)
        if resource.kind_name == IOC_WAIVER.name:
            return _waiver(resource, catalogue, longest)
    except (PolicyError, WaiverError) as error:
        return Verdict(allowed=False, refusal=str(error))
    return None


def _policy(resource: Resource, catalogue: Catalogue) -> Verdict:
    policy = read_policy(resource.raw, catalogue)
    notes = [f"{resource.kind_name} {resource.name}: there is no check {name}" for name in policy.unknown_ids]
    return Verdict(allowed=True, notes=tuple(notes))


def _waiver(resource: Resource, catalogue: Catalogue, longest: timedelta) -> Verdict:
    now = datetime.now(UTC)
    # No status: it is the operator's alone, whatever is sent along.
    raw = {key: value for key, value in resource.raw.items() if key != "status"}
    waiver = read_waiver(raw, catalogue, stored=True, now=now)
    if reason := waiver.refusal(longest):
        return Verdict(allowed=False, refusal=f"{resource.kind_name} {resource.name}: spec.expires: {reason}")
    notes = []
    if now >= waiver.expires:
        notes.append(f"{resource.kind_name} {resource.name} covers nothing: it ended at {rfc3339(waiver.expires)}")
    elif waiver.covered is None and (waiver.names or waiver.labels is not None):
        notes.append(
            f"{resource.kind_name} {resource.name}: with allowNew, names and labels hold nobody off: whoever makes an "
            "object in its namespaces chooses them"
        )
    return Verdict(allowed=True, notes=tuple(notes))
