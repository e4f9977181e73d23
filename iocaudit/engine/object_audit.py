"""The audit of one object: what each check of a plan reports of it.

A hundred checks run here for each object of a scan: what can be settled before the loop over them is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING

from iocaudit.core.check import Check
from iocaudit.core.errors import DeadlineExceeded, IncompleteError
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import Kind
from iocaudit.core.place import AffectedParts
from iocaudit.core.report import Fault, Report, ReportedHit, Skipped
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.crashes import Crashes
from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.plan import AuditPlan, PlannedCheck, PlannedJudgement
from iocaudit.knowledge.credentials.credential import evidence_of, redacted
from iocaudit.knowledge.pods.images import ImageIndex
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.pods.within import PodParts

if TYPE_CHECKING:
    from iocaudit.engine.languages.asking import AnswerSource
    from iocaudit.engine.languages.rule_audit import RuleAudit

_NO_FIELDS: frozenset[str] = frozenset()
_LATE = "the audit ran out of time"
_TOO_DEEP = "the object nests too deep"


class ObjectAudit:
    """One use: make it, ask for its report."""

    __slots__ = (
        "_answers",
        "_asking",
        "_complete",
        "_crashes",
        "_deadline",
        "_old",
        "_places",
        "_plan",
        "_pods",
        "_report",
        "_request",
        "_resource",
        "_shared",
        "_subjects",
        "_world",
    )

    def __init__(
        self,
        resource: Resource,
        world: World,
        plan: AuditPlan,
        request: Request | None,
        deadline: Deadline | None,
        crashes: Crashes,
    ) -> None:
        self._resource, self._world, self._plan = resource, world, plan
        self._request, self._deadline, self._crashes = request, deadline or NO_DEADLINE, crashes
        self._report = Report(audited=1)
        self._complete = world.complete_for(resource)
        self._pods: Sequence[PodSpec] = ()
        self._subjects: Sequence[PodSpec | Resource] = (resource,)
        self._shared = False
        """Whether its pods may have parts in common."""
        self._places: list[_PlacedSubject] = []
        self._asking: dict[str, Check] = {}
        self._answers: AnswerSource | None = None
        self._old: Resource | None = None

    def ask(self, answers: AnswerSource | None, old: Resource | None) -> None:
        """Take answers to the rules of its plan from there; ``old`` is the object that a request replaces."""
        self._answers, self._old = answers, old

    def report(self) -> Report:
        """Every hit, accepted or not, and all that could not be judged."""
        report, plan = self._report, self._plan
        report.not_configured.update(plan.not_configured)
        kind = self._resource.kind
        if kind is not None and kind.pods and (refused := self._read_pods()):
            self._fail_all(refused)
            return report
        if self._resource.lacks:
            self._tell_what_it_lacks()
        pods = self._pods
        fields = pods[0].fields.union(*(pod.fields for pod in pods[1:])) if pods else _NO_FIELDS
        end, clock = self._deadline
        for planned in plan.concerned(fields) if self._complete else self._known_enough(fields):
            if clock() >= end:
                self.fail(planned, _LATE)
            else:
                self._run(planned)
        if plan.rules:
            self._judge_rules()
        if self._asking and len(self._places) > 1:
            report.found = _within(report.found, self._places, self._asking)
        if self._shared:
            report.found = _once(report.found)
            report.skipped = list(dict.fromkeys(report.skipped))
        return report

    def _read_pods(self) -> str:
        """Take the pods of the object as what checks are handed; returned is why it cannot be judged."""
        try:
            self._pods = self._subjects = pods = pods_of(self._resource)
        except RecursionError:
            return _TOO_DEEP
        self._report.images = ImageIndex(self._resource)
        for pod in pods:
            if pod.refused:
                return pod.refused
            for problem in pod.problems:
                self.skip(None, f"{problem.path} is not {problem.expected}, so it was not audited")
        self._shared = len(pods) > 1 or any(pod.moved is not None for pod in pods)
        return ""

    def _known_enough(self, fields: Set[str]) -> Iterator[PlannedCheck]:
        """The checks for which all is known that they need; of every other one it is told what it lacks."""
        for planned in self._plan.checks:
            if planned.needs and (lacking := self._incomplete(planned.needs)):
                self.skip(planned, lacking)
            elif not planned.fields or not planned.fields.isdisjoint(fields):
                yield planned

    def _run(self, planned: PlannedCheck) -> None:
        subjects, resource = self._subjects, self._resource
        run = partial(planned.run, request=self._request) if planned.wants_request else planned.run
        end, clock = self._deadline
        try:
            for subject in planned.choose(subjects, resource) if planned.whole or planned.exempt else subjects:
                for hit in run(subject):
                    if isinstance(hit, Hit):
                        self.take(planned, subject, hit)
                    else:
                        self.skip(planned, redacted(hit.reason))
                    # Between hits too: an object of megabytes can have tens of thousands of them.
                    if clock() >= end:
                        raise DeadlineExceeded(_LATE)
            # Of a kind it only uses, most of it was there to be judged.
            if not self._complete and planned.check.uses and (lacking := self._lacking(planned.check.uses)):
                self.skip(planned, lacking)
        except DeadlineExceeded as error:
            self.fail(planned, str(error))
        except IncompleteError as error:
            self.skip(planned, str(error))
        except Exception as error:  # noqa: BLE001  a check's error is data here: a Fault, judged by onFault
            self._report.faults.append(self._crashes.fault(planned.check.id, resource, error))

    def ask_rules(self) -> None:
        """Put the questions that the report will ask, without judging anything."""
        kind = self._resource.kind
        if not (kind is not None and kind.pods and self._read_pods()):
            self._rule_audit().ask(self._plan.grouped, self._pods)

    def _judge_rules(self) -> None:
        self._rule_audit().judge(self._plan.grouped, self._pods, self)

    def _rule_audit(self) -> RuleAudit:
        from iocaudit.engine.languages.asking import NoAnswers  # late: most have no rules
        from iocaudit.engine.languages.rule_audit import RuleAudit

        answers = self._answers if self._answers is not None else NoAnswers()
        return RuleAudit(self._resource, self._old, self._request, self._world, self._deadline, answers)

    def take(self, planned: PlannedJudgement, subject: PodSpec | Resource, hit: Hit) -> None:
        check = planned.check
        self._places.append((subject, hit.path))
        if check.implies_in_pods:
            self._asking[check.id] = check
        if self._shared and isinstance(subject, PodSpec):
            hit = subject.settled(hit)
        severity = planned.severity or hit.severity or check.severity
        weight = planned.mode_for(severity).weight
        ref, origin = self._resource.ref, self._resource.origin
        found = ReportedHit(check.id, severity, check.iocs, ref, origin, _withheld(hit), check.doc.fix, None, weight)
        self._report.found.append(found)

    # -- what could not be judged --------------------------------------------------------------------------

    def skip(self, planned: PlannedJudgement | None, reason: str) -> None:
        check = planned.check.id if planned is not None else None
        self._report.skipped.append(Skipped(check, self._resource.ref, reason, self._resource.origin))

    def fail(self, planned: PlannedJudgement, reason: str) -> None:
        self._report.faults.append(Fault(planned.check.id, self._resource.ref, reason, self._resource.origin))

    def _fail_all(self, reason: str) -> None:
        for check in self._plan.checks:
            self.fail(check, reason)
        for rule in self._plan.rules:
            self.fail(rule, reason)

    def _tell_what_it_lacks(self) -> None:
        """No check can say that there is nothing in what it was not shown; what is asked now is judged by onFault."""
        reason = f"the object was not read whole: {self._resource.lacks}"
        if self._request is None:
            self.skip(None, reason)
        else:
            self._fail_all(reason)

    def _lacking(self, uses: tuple[Kind, ...]) -> str | None:
        """Why an object that a check may have used is not known whole; of kinds that are not, the check says so."""
        world, asking = self._world, self._resource
        complete = (kind for kind in uses if world.incomplete(kind) is None)
        return next((why for kind in complete if (why := world.incomplete(kind, asking))), None)

    def _incomplete(self, needs: tuple[Kind, ...]) -> str | None:
        for kind in needs:
            reason = self._world.incomplete(kind, self._resource)
            if reason is not None:
                return f"needs all {kind.plural} of the cluster: {reason}"
        return None


def _withheld(hit: Hit) -> Hit:
    """The hit without a credential of a known format, in whatever value of the object it stood."""
    message, evidence = redacted(hit.message), evidence_of(hit.evidence)
    if message is hit.message and evidence is hit.evidence:
        return hit
    return hit._replace(message=message, evidence=evidence)


_PlacedSubject = tuple[PodSpec | Resource, str]
"""What a check was handed, and the path of a hit as it said it."""


def _within(
    found: list[ReportedHit], places: Iterable[_PlacedSubject], asking: Mapping[str, Check]
) -> list[ReportedHit]:
    """The hits with the parts of their pods that they are about, where those ``asking`` may imply them."""
    parts: dict[int, PodParts] = {}
    concerned = {*asking, *(name for check in asking.values() for name in check.implied)}
    settled = []
    for one, (subject, path) in zip(found, places, strict=True):
        if one.hit.within is None and one.check in concerned and isinstance(subject, PodSpec):
            known = parts.get(id(subject))
            if known is None:
                known = parts[id(subject)] = PodParts(subject)
            one = one._replace(hit=one.hit._replace(within=known.behind(path)))
        settled.append(one)
    return settled


def _once(found: list[ReportedHit]) -> list[ReportedHit]:
    """Each hit once, at its worst: pods that share a part of an object have its hits in common."""
    kept: dict[tuple[str, str, str], ReportedHit] = {}
    for one in found:
        key = (one.check, one.hit.path, one.hit.evidence)
        known = kept.get(key)
        if known is None:
            kept[key] = one
            continue
        worse = one if one.severity > known.severity else known
        kept[key] = worse._replace(hit=worse.hit._replace(within=_both(known.hit.within, one.hit.within)))
    return list(kept.values())


def _both(one: AffectedParts | None, other: AffectedParts | None) -> AffectedParts | None:
    """What a hit is about that pods share: the containers of each."""
    if one is None or other is None or one == other:
        return one or other
    containers = tuple(dict.fromkeys((*one.containers, *other.containers)))
    return AffectedParts(
        one.pod if one.pod == other.pod else "", containers, one.volume if one.volume == other.volume else ""
    )
