"""The part of an audit of one object that rules in languages of their own judge.

The rules become one question for each group of them and input: the object itself, and each pod that is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from iocaudit.core.errors import IncompleteError, PathSyntaxError
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import Kind
from iocaudit.core.request import Request
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json
from iocaudit.core.world import World
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.as_checks import hits_of
from iocaudit.engine.languages.asking import AnswerSource
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.requests import (
    TooLargeError,
    in_template,
    inventory_of,
    namespace_of,
    pod_request,
    request_for,
)
from iocaudit.engine.languages.rule_groups import GroupedRules, RuleGroup
from iocaudit.engine.plan import PlannedJudgement, PlannedRule
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import redacted
from iocaudit.knowledge.pods.pod import PodSpec

_LATE = "the audit ran out of time"
_NO_ANSWER = RuleFailure("the program that evaluates it gave no answer for it")
_LONGEST_REASON = 1000


class RuleReport(Protocol):
    """Where the outcome of each rule goes."""

    def take(self, planned: PlannedJudgement, subject: PodSpec | Resource, hit: Hit) -> None: ...

    def skip(self, planned: PlannedJudgement | None, reason: str) -> None: ...

    def fail(self, planned: PlannedJudgement, reason: str) -> None: ...


class _AskedQuestion(NamedTuple):
    """A question about the object, or about a pod that is made of it."""

    subject: PodSpec | Resource
    group: RuleGroup
    question: Question


class _Unheard:
    """Takes what is told before anything is judged: it is told again then."""

    def take(self, planned: PlannedJudgement, subject: PodSpec | Resource, hit: Hit) -> None:
        """Nobody hears it."""

    def skip(self, planned: PlannedJudgement | None, reason: str) -> None:
        """Nobody hears it."""

    def fail(self, planned: PlannedJudgement, reason: str) -> None:
        """Nobody hears it."""


class RuleAudit:
    """One use: make it, and let it judge the rules of a plan."""

    def __init__(
        self,
        resource: Resource,
        old: Resource | None,
        request: Request | None,
        world: World,
        deadline: Deadline,
        answers: AnswerSource,
    ) -> None:
        self._resource, self._old, self._request = resource, old, request
        self._world, self._deadline, self._answers = world, deadline, answers

    def judge(self, rules: GroupedRules, pods: Sequence[PodSpec], report: RuleReport) -> None:
        """Tell the report the hits of every rule, or why there is no answer."""
        for put in self._questions(rules, pods, report):
            answers = self._answers.of(put.group.language, put.question, self._deadline)
            for planned in put.group.rules:
                # Nearly all of them find nothing.
                if answer := answers.get(planned.rule.id, _NO_ANSWER):
                    _tell(planned, put, answer, report)

    def ask(self, rules: GroupedRules, pods: Sequence[PodSpec]) -> None:
        """Put the same questions, and leave the answers alone."""
        for put in self._questions(rules, pods, _Unheard()):
            self._answers.of(put.group.language, put.question, self._deadline)

    def _questions(self, rules: GroupedRules, pods: Sequence[PodSpec], report: RuleReport) -> Iterator[_AskedQuestion]:
        """What is asked; of rules that are not, the report is told why."""
        namespace = namespace_of(self._resource, self._world)
        unknown: set[str] = set()
        if whole := self._known(rules.whole, unknown, report):
            request = request_for(self._resource, self._old, self._request, self._world)
            yield from self._put(self._resource, request, namespace, whole, report)
        if made := self._known(rules.templates, unknown, report):
            for pod in pods:
                request = pod_request(pod, self._request, self._world)
                yield from self._put(pod, request, namespace, made, report)

    def _known(self, groups: Iterable[RuleGroup], unknown: set[str], report: RuleReport) -> list[RuleGroup]:
        """The groups for which all is known that they look up; of any other it is told once what is not."""
        found = []
        for group in groups:
            reason = next((why for kind in group.needs if (why := self._lacking(kind))), None)
            if reason is None:
                found.append(group)
                continue
            for planned in group.rules:
                if planned.rule.id not in unknown:
                    unknown.add(planned.rule.id)
                    report.skip(planned, reason)
        return found

    def _lacking(self, kind: Kind) -> str:
        reason = self._world.incomplete(kind, self._resource)
        return f"needs all {kind.plural} of the cluster: {reason}" if reason else ""

    def _put(
        self,
        subject: PodSpec | Resource,
        request: Json,
        namespace: Json | None,
        groups: Iterable[RuleGroup],
        report: RuleReport,
    ) -> Iterator[_AskedQuestion]:
        for group in groups:
            if self._deadline.clock() >= self._deadline.at:
                for planned in group.rules:
                    report.fail(planned, _LATE)
                continue
            try:
                inventory = inventory_of(group.needs, self._resource, self._world) if group.needs else None
            except (TooLargeError, IncompleteError) as error:
                for planned in group.rules:
                    report.skip(planned, str(error))
                continue
            yield _AskedQuestion(subject, group, Question(group.asked, request, namespace, inventory))


def _tell(planned: PlannedRule, put: _AskedQuestion, answer: RuleAnswer, report: RuleReport) -> None:
    if isinstance(answer, RuleFailure):
        report.fail(planned, clip(redacted(answer.reason), _LONGEST_REASON))
        return
    try:
        # All of them first: half an answer would look like a whole one.
        hits = list(hits_of(answer, put.question.request["object"], planned.check.worst))
    except PathSyntaxError as error:
        report.fail(planned, clip(f"its answer names a path that cannot be read: {error}", _LONGEST_REASON))
        return
    for hit in hits:
        if isinstance(put.subject, PodSpec):
            report.take(planned, put.subject, in_template(hit, put.subject))
        else:
            report.take(planned, put.subject, hit)
