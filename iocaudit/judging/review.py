"""Dispatch: an AdmissionReview in, an audit of its objects, a verdict out.

Whatever says what the webhook answers goes through here: its HTTP edge, the unit tests of policies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence, Set
from datetime import timedelta
from functools import partial
from typing import Any

from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.report import Report, SameHit
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.completion import judge_completed, without_repeats
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.asking import Compile
from iocaudit.engine.own_install import judge_own_install
from iocaudit.engine.posture import Verdict, join, judge, spare
from iocaudit.engine.setting import Setting
from iocaudit.engine.waivers import LONGEST
from iocaudit.judging import wording
from iocaudit.judging.adoption import judge_adopted, judge_unknown_owner
from iocaudit.judging.aggregation import is_aggregated_anew
from iocaudit.judging.own_kinds import judge_own
from iocaudit.judging.owners import (
    Get,
    claimed_owner,
    in_use,
    is_made_by_controller,
    is_placed_anew,
    may_be_adopted,
    stored_owners,
)
from iocaudit.judging.rule_maps import ReadModules, judge_rule_map
from iocaudit.judging.told import with_told
from iocaudit.judging.warning_lines import warnings
from iocaudit.sources.admission_review import API_VERSION, Review, ReviewError

_log = logging.getLogger(__name__)
_NOTHING = Verdict(allowed=True)
SYSTEM = "system"
"""Why a denial is spared where the webhook never denies."""
JudgeAgain = Callable[[Auditor, Deadline], Verdict]


def decide(
    review: Review,
    auditor: Auditor,
    deadline: Deadline,
    owners: Sequence[Resource] = (),
    *,
    longest_waiver: timedelta = LONGEST,
    compile_rules: Compile | None = None,
    read_modules: ReadModules | None = None,
) -> Verdict:
    """Audit what the request carries and judge it. An unknown kind, or a DELETE of what is not ours, is
    allowed.

    ``owners`` are the verified owners of what a controller makes, nearest first, if they were fetched: what is in
    their templates, as far as those run, and what their waivers cover there, is the owner's matter.
    ``longest_waiver`` is how long an IocWaiver may hold. ``compile_rules`` says of the rules that a policy declares
    which are broken, ``read_modules`` which rules a ConfigMap holds; without them that is not known.
    """
    if (own := judge_own(review, auditor, longest_waiver, compile_rules)) is not None:
        return own
    resource, of_rules = review.resource, judge_rule_map(review, auditor, read_modules)
    if resource is None:
        return of_rules or _NOTHING
    verdict, report = _NOTHING, None
    if auditor.catalogue.for_kind(resource.kind):
        report = auditor.audit(resource, request=review.request, deadline=deadline, old=review.old)
        verdict = _judge(review, resource, report, auditor, deadline, owners)
    completed = judge_completed(resource, review.old, auditor, review.request, deadline)
    if completed is not None:
        verdict = join((verdict, without_repeats(completed, report or Report())))
    verdict = judge_own_install(resource, review.old, review.request, verdict, auditor)
    if of_rules is not None:
        return join((verdict, of_rules))
    return spare(verdict, "aggregation") if is_aggregated_anew(review) else verdict


def ask_ahead(review: Review, auditor: Auditor, deadline: Deadline) -> None:
    """Put the questions about its object that `decide` will ask."""
    resource = review.resource
    if resource is not None and resource.group != GROUP:
        auditor.ask_ahead(resource, request=review.request, deadline=deadline, old=review.old)


def _judge(
    review: Review,
    resource: Resource,
    report: Report,
    auditor: Auditor,
    deadline: Deadline,
    owners: Sequence[Resource],
) -> Verdict:
    """The verdict on the object itself, by its audit."""
    settings = auditor.settings_for(resource, review.request)
    old: Report | None = None
    if review.old is not None and (report.found or report.faults) and not is_placed_anew(resource, review.old):
        old = auditor.audit(review.old, request=review.request, deadline=deadline, settings=settings)
    templates: list[Report] = []
    idle: set[SameHit] = set()
    unspared: frozenset[SameHit] = frozenset()
    if owners:
        audited = [
            (owner, auditor.audit(owner, request=review.request, deadline=deadline, settings=settings))
            for owner in owners
        ]
        left = auditor.inherit(report, audited)
        running = in_use(resource, owners)
        templates = [one for owner, one in audited if owner in running]
        idle = {found.in_template for owner, one in audited if owner not in running for found in one.found}
        there = frozenset(found.in_template for one in templates for found in one.found)
        unspared = left | (there - hits_by_themselves(owners, settings, auditor, review.request, deadline))
    verdict = judge(
        report,
        settings,
        review.request,
        old=old,
        owners=templates,
        unspared=unspared,
        leaves=auditor.leaves(resource) if old is not None else None,
    )
    return _with_idle(verdict, idle) if idle else verdict


def _with_idle(verdict: Verdict, idle: Set[SameHit]) -> Verdict:
    """The same, saying of what was denied that its owner has it but runs nothing."""
    why = ", and its owner has it too but runs no pods, so it does not count as existing"
    return verdict._replace(
        denials=tuple(
            found._replace(hit=found.hit._replace(message=found.hit.message + why))
            if found.in_template in idle
            else found
            for found in verdict.denials
        )
    )


def hits_by_themselves(
    owners: Iterable[Resource],
    settings: dict[str, Setting],
    auditor: Auditor,
    request: Request,
    deadline: Deadline | None = None,
) -> frozenset[SameHit]:
    """The hits of templates that are there without any other object, as they read on a pod."""
    world = auditor.world
    bare = World(default_namespace=world.default_namespace, own_namespace=world.own_namespace)
    alone = auditor.seeing(bare, waivers=False)
    reports = (alone.audit(owner, request=request, deadline=deadline, settings=settings) for owner in owners)
    return frozenset(found.in_template for report in reports for found in report.found)


def may_need_look_up(review: Review, verdict: Verdict) -> bool:
    """Whether the verdict may be another one once the owners of its object are known.

    A denial of what a controller makes may be spared; what comes to count as what an owner has, that did not make it,
    may be denied.
    """
    if review.resource is None:
        return False
    if not verdict.allowed:
        return is_made_by_controller(review.resource, review.request)
    return may_be_adopted(review.resource, review.old, review.request)


def look_up(review: Review, verdict: Verdict, get: Get) -> JudgeAgain | None:
    """Ask the API server for the owners; returns how to judge by what it said, None where that changes nothing.

    Owners that cannot be had speak for nothing, so a denial stays one.
    """
    if not verdict.allowed:
        owners = _fetch_owners(review, get)
        return partial(decide, review, owners=owners) if owners else None
    adopter = _fetch_adopter(review, get)
    return partial(_with_adopter, review, verdict, adopter) if adopter is not None else None


def answer(
    review: Review,
    auditor: Auditor,
    deadline: Deadline,
    *,
    get: Get | None = None,
    never_denies: bool = False,
    longest_waiver: timedelta = LONGEST,
) -> Verdict:
    """The verdict that a request is answered by, from beginning to end; the webhook takes the same steps."""
    verdict = decide(review, auditor, deadline, longest_waiver=longest_waiver)
    if get is not None and may_need_look_up(review, verdict):
        again = look_up(review, verdict, get)
        if again is not None:
            verdict = again(auditor, deadline)
    return tell(verdict, auditor, never_denies=never_denies)


def tell(verdict: Verdict, auditor: Auditor, *, never_denies: bool) -> Verdict:
    """The verdict as it is told: with its causes, and without denials where the webhook never denies."""
    return with_told(spare(verdict, SYSTEM) if never_denies else verdict, auditor.catalogue)


def _fetch_owners(review: Review, get: Get) -> list[Resource]:
    assert review.resource is not None
    found: list[Resource] = []
    try:
        found.extend(stored_owners(review.resource, review.request.username, get))
    except NotFoundError:
        return found
    except IocauditError as error:
        _log.warning("an owner could not be looked up: %s", error, extra={"object": str(review.resource.ref)})
    return found


def _fetch_adopter(review: Review, get: Get) -> Resource | IocauditError | None:
    """The owner that the object names; the error where it is not known whether it is there."""
    assert review.resource is not None
    try:
        return claimed_owner(review.resource, get)
    except NotFoundError:
        return None
    except IocauditError as error:
        _log.warning("an owner could not be looked up: %s", error, extra={"object": str(review.resource.ref)})
        return error


def _with_adopter(
    review: Review, verdict: Verdict, adopter: Resource | IocauditError, auditor: Auditor, deadline: Deadline
) -> Verdict:
    """The verdict on a request together with that on the adoption it brings."""
    assert review.resource is not None
    if isinstance(adopter, IocauditError):
        return join((verdict, judge_unknown_owner(review.resource, str(adopter), auditor, review.request)))
    adopted = judge_adopted(review.resource, adopter, auditor, review.request, deadline)
    return verdict if adopted is None else join((verdict, adopted))


def unread(error: ReviewError) -> Verdict:
    """What is said of a request that cannot be read: what it asks for is not known, so it is refused."""
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
