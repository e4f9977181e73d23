"""AuditPolicies and IocWaivers as they arrive: one that could not be used is refused with the reason.

This is a courtesy to whoever writes them, and fails open: the operator refuses the same ones in their status, and
the webhook puts none of them in force. A change of a policy that takes away from what is denied is told to whoever
makes it, recorded with the user, and allowed: whoever may write policies decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from iocaudit.core.check_doc import doc_of
from iocaudit.core.errors import PolicyError
from iocaudit.core.guard import WEAKENS, Weakening
from iocaudit.core.hit import Hit
from iocaudit.core.kinds.ours import AUDIT_POLICY, GROUP, IOC_WAIVER
from iocaudit.core.moments import rfc3339
from iocaudit.core.report import Found
from iocaudit.core.resource import Resource
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.places import namespaces_in
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.posture import Verdict
from iocaudit.engine.waiver_reader import WaiverError, read_waiver
from iocaudit.engine.weakening import taken_by_change, without
from iocaudit.sources.admission_review import Review

_NOTHING = Verdict(allowed=True)
_MOST_NAMESPACES = 1000
"""Namespaces that a change of a policy is tried in, beside made-up ones: the operator tries every one later."""


def judge_own(review: Review, auditor: Auditor, longest: timedelta) -> Verdict | None:
    """The verdict on an object of our own kinds; None for any other. Whoever leaves what it says alone is let be."""
    resource, old = review.resource, review.old
    judged = resource or old
    if judged is None or judged.group != GROUP:
        return None
    if review.request.subresource or (resource and old and _wanted(resource) == _wanted(old)):
        return _NOTHING
    try:
        if judged.kind is AUDIT_POLICY:
            return _policy(judged, resource, old, auditor)
        if judged.kind is IOC_WAIVER and resource is not None:
            return _waiver(resource, auditor.catalogue, longest)
    except (PolicyError, WaiverError) as error:
        return Verdict(allowed=False, refusal=str(error))
    return _NOTHING


def _wanted(resource: Resource) -> dict[str, Any]:
    """What somebody wrote; a field beside the spec may be one that was meant to be in it."""
    return {name: value for name, value in resource.raw.items() if name not in ("metadata", "status")}


def _policy(judged: Resource, resource: Resource | None, old: Resource | None, auditor: Auditor) -> Verdict:
    """What becomes of a policy that is made, changed or, where there is no ``resource``, removed."""
    made = read_policy(resource.raw, auditor.catalogue) if resource is not None else None
    title = f"{judged.kind_name} {judged.name}"
    kept = [] if old is None else _as_it_was(old, auditor)
    before, after = (
        without(auditor.policies, judged.name, *some) for some in (kept, [made] if made is not None else [])
    )
    lost = taken_by_change(before, after, judged.name, islice(namespaces_in(auditor.world), _MOST_NAMESPACES))
    done = title if made is not None else f"{title} is removed, which"
    notes = [f"{done} {weakening.message}" for weakening in lost]
    return Verdict(allowed=True, notes=tuple(notes), recorded=tuple(_recorded(judged, done, lost, auditor)))


def _as_it_was(old: Resource, auditor: Auditor) -> list[Policy]:
    """The policy before the change; of one that cannot be used its last good version is in force, if there is one."""
    try:
        return [read_policy(old.raw, auditor.catalogue)]
    except PolicyError:
        return [policy for policy in auditor.policies.policies if policy.name == old.name]


def _recorded(judged: Resource, done: str, lost: list[Weakening], auditor: Auditor) -> Iterator[Found]:
    """What is kept of the change, as one hit."""
    check = auditor.catalogue.whole.find(WEAKENS)
    if not lost or check is None:
        return
    message = f"{done} {'; '.join(weakening.message for weakening in lost)}"
    hit = Hit("spec", message, lost[0].evidence)
    worst = max(weakening.severity for weakening in lost)
    yield Found(check.id, worst, check.iocs, judged.ref, judged.origin, hit, doc_of(check).fix)


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
            f"{resource.kind_name} {resource.name}: with allowNew, names and labels restrict nobody: whoever makes an "
            "object in its namespaces chooses them"
        )
    return Verdict(allowed=True, notes=tuple(notes))
