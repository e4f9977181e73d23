"""AuditPolicies and IocWaivers as they arrive: one that could not be used is refused with the reason.

This is a courtesy to anyone who writes them, and fails open: the operator refuses the same ones in their status, and
the webhook puts none of them in force. A change of a policy that takes away from what is denied is reported to the one
who makes it, recorded with the user, and allowed: anyone who may write policies decides.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds.ours import AUDIT_POLICY, GROUP, IOC_WAIVER
from iocaudit.core.moments import rfc3339
from iocaudit.core.own_names import OPERATOR
from iocaudit.core.resource import Resource
from iocaudit.core.shape import mapping
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.cautions import cautions
from iocaudit.engine.languages.asking import Compile
from iocaudit.engine.places import namespaces_in
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.posture import Verdict
from iocaudit.engine.waiver_reader import WaiverError, read_waiver
from iocaudit.engine.weakening import taken_by_change, without
from iocaudit.judging.recorded import MOST_NAMESPACES, recorded
from iocaudit.sources.admission_review import Review

_NOTHING = Verdict(allowed=True)


def judge_own(
    review: Review, auditor: Auditor, longest: timedelta, compile_rules: Compile | None = None
) -> Verdict | None:
    """The verdict on an object of our own kinds; None for any other. An update that leaves the spec unchanged
    passes."""
    resource, old = review.resource, review.old
    judged = resource or old
    if judged is None or judged.group != GROUP:
        return None
    if review.request.subresource:
        return _status(review, auditor) if judged.kind is AUDIT_POLICY else _NOTHING
    if resource and old and _wanted(resource) == _wanted(old):
        return _NOTHING
    try:
        if judged.kind is AUDIT_POLICY:
            return _policy(judged, resource, old, auditor, compile_rules)
        if judged.kind is IOC_WAIVER and resource is not None:
            return _waiver(resource, auditor.catalogue, longest)
    except (PolicyError, WaiverError) as error:
        return Verdict(allowed=False, refusal=str(error))
    return _NOTHING


def _status(review: Review, auditor: Auditor) -> Verdict:
    """What becomes of a policy whose status is written: how far its rollout is decides what is denied."""
    resource, old = review.resource, review.old
    operator = f"system:serviceaccount:{auditor.world.own_namespace}:{OPERATOR}"
    if resource is None or old is None or review.request.username == operator:
        return _NOTHING
    said, before = (mapping(one.raw.get("status")).get("rollout") for one in (resource, old))
    if said == before:
        return _NOTHING
    try:
        return _policy(resource, resource, old, auditor)
    except PolicyError:
        return _NOTHING  # its spec is not written here


def _wanted(resource: Resource) -> dict[str, Any]:
    """What someone wrote; a field beside the spec may be one that was meant to be in it."""
    return {name: value for name, value in resource.raw.items() if name not in ("metadata", "status")}


def _policy(
    judged: Resource,
    resource: Resource | None,
    old: Resource | None,
    auditor: Auditor,
    compile_rules: Compile | None = None,
) -> Verdict:
    """What becomes of a policy that is made, changed or, where there is no ``resource``, removed."""
    made = None
    if resource is not None:
        made = read_policy(resource.raw, auditor.catalogue, live=True, compile_rules=compile_rules)
    title = f"{judged.kind_name} {judged.name}"
    kept = [] if old is None else _as_it_was(old, auditor)
    before, after = (
        without(auditor.policies, judged.name, *some) for some in (kept, [made] if made is not None else [])
    )
    lost = taken_by_change(before, after, judged.name, islice(namespaces_in(auditor.world), MOST_NAMESPACES))
    done = title if made is not None else f"{title} is removed, which"
    notes = [f"{done} {weakening.message}" for weakening in lost]
    if made is not None:
        notes += [f"{title}: {caution.message}" for caution in cautions(made, auditor.catalogue)]
    return Verdict(allowed=True, notes=tuple(notes), recorded=tuple(recorded(judged, "spec", done, lost, auditor)))


def _as_it_was(old: Resource, auditor: Auditor) -> list[Policy]:
    """The policy before the change; of one that cannot be used its last good version is in force, if there is one."""
    try:
        return [read_policy(old.raw, auditor.catalogue, live=True)]
    except PolicyError:
        return [policy for policy in auditor.policies.policies if policy.name == old.name]


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
            f"{resource.kind_name} {resource.name}: with allowNew, names and labels restrict nobody: anyone who may "
            "make an object in its namespaces chooses them"
        )
    return Verdict(allowed=True, notes=tuple(notes))
