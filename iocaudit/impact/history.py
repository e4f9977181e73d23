"""What policies would have denied of the requests that an audit log holds, each judged by itself as the webhook would.

The world is today's: what the log says of other objects is not played back. What went on in the log goes on here, so
that a pod of a Deployment that would have been denied is judged by that Deployment all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from iocaudit.cluster.errors import NotFoundError
from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.partial import lacking, lacks_of
from iocaudit.core.report import ReportedHit
from iocaudit.core.request import Operation
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, lookup, mapping, text
from iocaudit.engine.audit import Auditor
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.posture import Verdict
from iocaudit.impact.applied_patch import applied
from iocaudit.impact.asked import AskedRequests
from iocaudit.impact.denied_causes import CauseKey, DenialReason, DeniedCauses
from iocaudit.impact.known_objects import KnownObjects
from iocaudit.impact.recorded_request import (
    NotJudgedReason,
    RefusedBy,
    connection_of,
    is_api_servers_own,
    is_failed,
    object_of,
    operation_of,
    refused_by,
    review_of_event,
)
from iocaudit.judging.owners import Get, is_made_by_controller
from iocaudit.judging.review import answer, decide, may_need_look_up
from iocaudit.judging.wording import OBJECT
from iocaudit.knowledge.controllers import CONTROLLERS
from iocaudit.knowledge.pods.images import ImageIndex
from iocaudit.knowledge.rbac.bindings import ADMIN_NAMESPACE
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.sources.admission_review import Review

_DEEPEST = 3
_FOREVER = Deadline(1.0, lambda: 0.0)
_MOST_EXAMPLES = 3


class JudgedRequest(NamedTuple):
    """A request with the answer that it would have got."""

    event: AuditEvent
    review: Review
    verdict: Verdict


@dataclass(slots=True)
class HistoryTally:
    """What became of the requests of a log that the webhook would have been asked about.

    ``judged`` went on then and have an answer now, of which ``denied`` are denials; ``as_sent`` of them were judged by
    the object as it was sent, since the log does not hold what was stored. ``not_judged`` are those of which
    this is not known, by reason, with the first places. ``refused`` did not go on then, by who refused them.
    ``not_evaluated`` are checks that may deny and could not say anything, with on how many requests. ``unasked``
    are those that no webhook gets, as deletions and writes of a status, and ``elsewhere`` those in namespaces that
    were not asked for: each event counts under one of ``judged``, ``not_judged``, ``refused``, ``dry_runs``,
    ``unasked`` and ``elsewhere``.
    """

    judged: int = 0
    denied: int = 0
    as_sent: int = 0
    not_judged: Counter[NotJudgedReason] = field(default_factory=Counter)
    examples: dict[NotJudgedReason, list[str]] = field(default_factory=dict)
    refused: Counter[RefusedBy] = field(default_factory=Counter)
    dry_runs: int = 0
    unasked: int = 0
    elsewhere: int = 0
    without_groups: int = 0
    not_evaluated: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        return self.judged + self.not_judged.total()

    @property
    def share(self) -> float:
        """Which share of what went on could be judged."""
        return self.judged / self.asked if self.asked else 1.0


class History:
    """Takes events in the order of time. ``causes`` is what would have been denied."""

    def __init__(
        self, auditor: Auditor, asked: AskedRequests, *, today: Get | None = None, has_world: bool = True
    ) -> None:
        """``today`` looks up owners that the log does not hold; raises NotFoundError where there is none.

        ``has_world``: the auditor's world is that of files or of a cluster; else nothing can be looked up.
        """
        self._auditor, self._asked, self._today, self._has_world = auditor, asked, today, has_world
        denying = [check.id for check in auditor.catalogue if auditor.policies.denying.anywhere(check)]
        self._denying = auditor.seeing(auditor.world, auditor.catalogue.select(denying))
        self.known = KnownObjects()
        self._missed = False
        self._looked_up_today = False
        self.tally = HistoryTally()
        self.causes = DeniedCauses()

    def take(self, event: AuditEvent) -> JudgedRequest | None:
        """Judge a request; None where there is nothing to judge, or nobody can."""
        tally = self.tally
        kind = self._asked.kind(event.target)
        if kind is None:
            tally.unasked += 1
            self._learn_from_subresource(event)
            return None
        operation = operation_of(event, kind)
        is_asked = self._asked.is_asked(event.target, operation) and not is_api_servers_own(event)
        failed = is_failed(event, operation)
        if event.is_dry_run:
            tally.dry_runs += 1
            return None
        if not is_asked:
            tally.unasked += 1
            if not failed:
                self._learn(event, kind, operation)
            return None
        if failed:
            tally.refused[refused_by(event)] += 1
            return None
        found = self._judged(event, kind, operation)
        if isinstance(found, NotJudgedReason):
            tally.not_judged[found] += 1
            places = tally.examples.setdefault(found, [])
            if len(places) < _MOST_EXAMPLES:
                places.append(str(event.place))
            return None
        return found

    # -- judging --------------------------------------------------------------------------------------------

    def _judged(self, event: AuditEvent, kind: Kind, operation: Operation) -> JudgedRequest | NotJudgedReason:
        raw: Json | None = None
        before: Json | None = None
        stored = True
        name, namespace = _name(event), event.target.namespace or None
        if not event.requester.username:
            self._learn(event, kind, operation)
            return NotJudgedReason.NO_USER
        if operation is Operation.CONNECT:
            raw = connection_of(event, kind)
        elif operation is Operation.DELETE:
            before = self.known.get(kind, namespace, name)
        else:
            if operation is Operation.UPDATE:
                now = event.response_object or (event.request_object if event.verb == "update" else None) or {}
                before = self.known.before(kind, namespace, name, now)
            found = object_of(event, kind, before)
            if isinstance(found, NotJudgedReason):
                self.known.forget(kind, namespace, name)
                return found
            raw, stored = found
            self.known.put(kind, namespace, name, raw)
        review = review_of_event(event, kind, operation, raw, before)
        if isinstance(review, NotJudgedReason):
            return review
        verdict = self._answer(review)
        if not verdict.allowed and (reason := self._doubt(review, verdict)) is not None:
            return reason
        self._count(event, review, verdict, stored)
        review.forget_pods()
        return JudgedRequest(event, review, verdict)

    def _answer(self, review: Review) -> Verdict:
        self._missed = self._looked_up_today = False
        resource = review.resource or review.old
        home = resource.home if resource is not None else None
        # No webhook that denies is asked about what is done there.
        never = home in (ADMIN_NAMESPACE, self._auditor.world.own_namespace)
        # What no check that may deny objects to is allowed; the others matter to what is taken for existing.
        quick = decide(review, self._denying, _FOREVER)
        if quick.allowed and not may_need_look_up(review, quick):
            return quick
        return answer(review, self._auditor, _FOREVER, get=self._get, never_denies=never)

    def _doubt(self, review: Review, verdict: Verdict) -> NotJudgedReason | None:
        """Why a denial is uncertain, for lack of what is not in the log; None where it is certain."""
        resource = review.resource
        if resource is None or verdict.refusal:
            return None
        if review.request.operation is Operation.UPDATE and review.old is None and resource.group != GROUP:
            return NotJudgedReason.NOT_BEFORE
        if self._missed and is_made_by_controller(resource, review.request):
            return NotJudgedReason.NO_OWNER
        only_incomplete = verdict.incomplete_denials and not (verdict.denials or verdict.fault_denials)
        return NotJudgedReason.NO_WORLD if only_incomplete and not self._has_world else None

    def _get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        """An owner as the log had it last, else as it is today."""
        found = self.known.get(kind, namespace, name)
        if found is not None:
            return found
        if self._today is not None:
            try:
                found = self._today(kind, namespace, name)
            except NotFoundError:
                pass
            else:
                self._looked_up_today = True
                return found
        self._missed = True
        raise NotFoundError(f"{kind} {name}", 404, "NotFound", "the log does not hold it")

    def _count(self, event: AuditEvent, review: Review, verdict: Verdict, stored: bool) -> None:
        tally = self.tally
        tally.judged += 1
        tally.as_sent += not stored
        tally.without_groups += not event.knows_groups
        for one in {one.check or OBJECT for one in (*verdict.skipped, *verdict.incomplete_denials)}:
            tally.not_evaluated[one] += 1
        if verdict.allowed:
            return
        tally.denied += 1
        judged = review.resource or review.old
        subject = judged.kind_name if judged is not None else review.kind_name
        self.causes.add(event, subject, review.request.operation.value, self._reasons(review, verdict))

    def _reasons(self, review: Review, verdict: Verdict) -> Iterator[DenialReason]:
        judged = review.resource or review.old
        assert judged is not None, "nothing without an object is denied"
        namespace, group, kind, name = self._top(judged)
        images = ImageIndex(judged)

        def key(check: str) -> CauseKey:
            return CauseKey(check, namespace, group, kind, name)

        for found in verdict.causes.denials:
            behind = images.at(found.hit.path) if judged.kind is not None and judged.kind.pods else ()
            yield DenialReason(key(found.check), found.severity, found.message, behind, self._is_on_today(found))
        for fault in verdict.fault_denials:
            yield DenialReason(key(f"{fault.check} (fault)"), None, fault.error, (), False)
        for gap in verdict.incomplete_denials:
            check = f"{gap.check or OBJECT} (not evaluated)"
            yield DenialReason(key(check), None, gap.reason, (), True)
        if verdict.refusal:
            yield DenialReason(key(OBJECT), None, verdict.refusal, (), False)

    def _is_on_today(self, found: ReportedHit) -> bool:
        check = self._auditor.catalogue.find(found.check)
        return self._looked_up_today or (check is not None and bool(check.needs or check.uses))

    def _top(self, resource: Resource) -> tuple[str | None, str, str, str]:
        """Where it is and what it belongs to: the top-level owner as far as the log knows, else the one it names."""
        home, current = resource.namespace, resource
        # A name that is made anew each time is one attempt each time.
        generated = text(resource.metadata.get("generateName"))
        named = generated if generated and resource.name.startswith(generated) else resource.name
        top = (resource.group, resource.kind_name, named)
        for _ in range(_DEEPEST):
            reference = current.controller
            if reference is None:
                break
            group = text(reference.get("apiVersion")).rpartition("/")[0]
            top = (group, text(reference.get("kind")), text(reference.get("name")))
            owner = self._owner(current, reference)
            if owner is None:
                break
            current = owner
        return (home, *top)

    def _owner(self, made: Resource, reference: Json) -> Resource | None:
        kinds = CONTROLLERS.get(made.kind, {}) if made.kind is not None else {}
        for kind in kinds:
            if kind.name == reference.get("kind"):
                raw = self.known.get(kind, made.namespace, text(reference.get("name")))
                owner = Resource(raw, CLUSTER, kind=kind) if raw is not None else None
                return owner if owner is not None and owner.uid == text(reference.get("uid")) else None
        return None

    # -- learning -------------------------------------------------------------------------------------------

    def _learn(self, event: AuditEvent, kind: Kind, operation: Operation) -> None:
        """Keep what a request that the webhook is not asked about made of an object."""
        if operation not in (Operation.CREATE, Operation.UPDATE) or kind in CONNECTIONS:
            return
        name, namespace = _name(event), event.target.namespace or None
        found = object_of(event, kind, self.known.get(kind, namespace, name))
        if isinstance(found, NotJudgedReason):
            self.known.forget(kind, namespace, name)
        else:
            self.known.put(kind, namespace, name, found[0])

    def _learn_from_subresource(self, event: AuditEvent) -> None:
        """A status, a scale and a binding change an object without the webhook being asked."""
        kind = self._asked.told_of(event.target)
        if kind is None or event.is_dry_run or is_failed(event, Operation.UPDATE):
            return
        name, namespace = _name(event), event.target.namespace or None
        before = self.known.get(kind, namespace, name)
        subresource = event.target.subresource
        if subresource == "status":
            found = object_of(event, kind, None)
            if not isinstance(found, NotJudgedReason) and (found[1] or before is not None):
                self.known.put(kind, namespace, name, found[0] if found[1] else _with_status(before, found[0]))
            return
        if before is None:
            return
        if subresource == "scale":
            replicas = lookup(event.response_object or event.request_object, "spec", "replicas")
            changed = applied(before, {"spec": {"replicas": replicas}}) if replicas is not None else None
        else:
            node = text(lookup(event.request_object, "target", "name"))
            changed = _on_node(before, node) if node else None
        if changed is None:
            self.known.forget(kind, namespace, name)
        else:
            self.known.put(kind, namespace, name, changed)


def _name(event: AuditEvent) -> str:
    """The object's name; with generateName the answer has it."""
    if event.target.name:
        return event.target.name
    for raw in (event.response_object, event.request_object):
        if name := text(lookup(raw, "metadata", "name")):
            return name
    return ""


def _with_status(before: Json | None, sent: Json) -> Json:
    """The object with the status that was sent: a write of a status changes nothing else."""
    assert before is not None
    return lacking({**before, "status": sent.get("status")}, lacks_of(before))


def _on_node(before: Json, node: str) -> Json:
    """The pod once it is bound, which does not count up its generation.

    Source: kubernetes, pkg/registry/core/pod/storage, assignPod.
    """
    return lacking({**before, "spec": {**mapping(before.get("spec")), "nodeName": node}}, lacks_of(before))
