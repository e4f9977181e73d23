"""Answers that are asked at once, and those that are collected: both judge alike."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core.report import Report
from iocaudit.core.request import Operation
from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure, Violation
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.languages.asking import AskingAtOnce, CollectedAnswers, judged
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language, Rule
from iocaudit.engine.policy_reader import read_policies
from tests.support.auditing import asked, container, pod
from tests.support.evaluator import FakeEvaluator
from tests.support.rules import cel, rego

RULES = (rego("a"), rego("b"), cel("c"))
CATALOGUE = Catalogue(map(check_of, RULES))


def _evaluators(given: Any) -> dict[Language, FakeEvaluator]:
    found = {language: FakeEvaluator(given) for language in Language}
    for evaluator in found.values():
        evaluator.load(RULES)
    return found


def _auditor(answers: Any) -> Auditor:
    return Auditor(CATALOGUE, read_policies((), CATALOGUE), World(), answers=answers)


def _at_once(evaluators: Mapping[Language, FakeEvaluator], raw: dict[str, Any], **given: Any) -> Report:
    return _auditor(AskingAtOnce(evaluators)).audit(Resource(raw, ADMISSION), **given)


def _collected(evaluators: Mapping[Language, FakeEvaluator], raw: dict[str, Any], **given: Any) -> Report:
    answers = CollectedAnswers(evaluators)
    auditor = _auditor(None).asking(answers)

    async def judge() -> Report:
        return auditor.audit(Resource(raw, ADMISSION), **given)

    return asyncio.run(judged(judge, answers, Deadline.within(60)))


_ANSWERS = st.one_of(
    st.builds(RuleFailure, st.sampled_from(["boom", "late"])),
    st.lists(
        st.builds(Violation, st.sampled_from(["x", "y"]), st.sampled_from(["", "spec.a", "spec..", "spec[0]"]))
    ).map(tuple),
)


@settings(deadline=None)
@given(st.fixed_dictionaries({rule.id: _ANSWERS for rule in RULES}), st.sampled_from([None, *Operation][:3]))
def test_collected_and_asked_at_once_judge_alike(answers: dict[str, RuleAnswer], operation: Operation | None) -> None:
    def given_answer(rule: AskedRule, question: Question) -> RuleAnswer:
        return answers[rule.rule.id]

    request = asked(operation) if operation is not None else None
    one, other = (audit(_evaluators(given_answer), pod(), request=request).sorted() for audit in (_at_once, _collected))
    assert (one.found, one.faults, one.skipped) == (other.found, other.faults, other.skipped)
    failing = {name for name, answer in answers.items() if isinstance(answer, RuleFailure)}
    assert failing <= {fault.check for fault in one.faults}
    assert not failing & {found.check for found in one.found}


def test_a_question_is_fetched_once_however_often_it_is_asked() -> None:
    evaluators = _evaluators(lambda rule, question: (Violation("x"),))
    report = _collected(evaluators, pod())
    assert len(report.found) == 3
    assert [len(one.questions) for one in evaluators.values()] == [1, 1]


def test_other_objects_are_other_questions() -> None:
    answers = CollectedAnswers(_evaluators(lambda rule, question: ()))
    auditor = _auditor(answers)
    for image in ("a", "b", "a"):
        auditor.audit(Resource(pod(container(image=image)), ADMISSION))
    assert answers.waiting == 4


def test_what_is_asked_in_every_round_anew_fails_in_the_end() -> None:
    evaluators = _evaluators(lambda rule, question: ())
    answers = CollectedAnswers(evaluators)
    auditor = _auditor(answers)
    rounds: list[int] = []

    async def judge() -> Report:
        rounds.append(len(rounds))
        return auditor.audit(Resource(pod(container(image=f"i{len(rounds)}")), ADMISSION))

    report = asyncio.run(judged(judge, answers, Deadline.within(60)))
    assert len(rounds) < 10
    assert {fault.error for fault in report.faults} == {"its answer was not fetched"}


def test_after_the_deadline_nothing_is_fetched() -> None:
    evaluators = _evaluators(lambda rule, question: ())
    answers = CollectedAnswers(evaluators)
    question = Question((AskedRule(RULES[0], {}),), {"object": {}})
    answers.of(Language.REGO, question, NO_DEADLINE)
    asyncio.run(answers.fetch(Deadline(0.0, lambda: 1.0)))
    assert answers.of(Language.REGO, question, NO_DEADLINE) == {"rego-a": RuleFailure("the audit ran out of time")}
    assert not evaluators[Language.REGO].questions


@pytest.mark.parametrize("source", [AskingAtOnce, CollectedAnswers])
def test_a_language_without_an_evaluator_says_what_to_do(source: Any) -> None:
    question = Question((AskedRule(RULES[2], {}),), {"object": {}})
    (failure,) = source({}).of(Language.CEL, question, NO_DEADLINE).values()
    assert "iocaudit engines install" in failure.reason


class _Breaks(FakeEvaluator):
    def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        raise OSError("gone")

    def check(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        raise EngineError("it does not answer")


def test_an_evaluator_that_raises_is_a_fault() -> None:
    broken = {language: _Breaks(lambda rule, question: ()) for language in Language}
    for audit in (_at_once, _collected):
        report = audit(broken, pod())
        assert {fault.error for fault in report.faults} == {"OSError: gone"}


def test_an_object_that_json_cannot_hold_fails() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    question = Question((AskedRule(RULES[0], {}),), {"object": deep})
    answers = CollectedAnswers(_evaluators(lambda rule, question: ()))
    (failure,) = answers.of(Language.REGO, question, NO_DEADLINE).values()
    assert isinstance(failure, RuleFailure)
    assert "JSON" in failure.reason
    while deep:
        deep = deep.pop()


def test_an_audit_without_an_end_bounds_each_question() -> None:
    seen: list[Deadline] = []

    class Noting(FakeEvaluator):
        def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
            seen.append(deadline)
            return {}

    AskingAtOnce({Language.REGO: Noting(lambda r, q: ())}, 3).of(
        Language.REGO, Question((AskedRule(RULES[0], {}),), {}), NO_DEADLINE
    )
    assert seen[0].at - seen[0].clock() <= 3


def test_partial_rounds_are_not_needed() -> None:
    """A judgement that asks nothing is made once."""
    calls: list[int] = []

    async def judge() -> int:
        calls.append(1)
        return 7

    answers = CollectedAnswers({})
    assert asyncio.run(partial(judged, judge, answers, NO_DEADLINE)()) == 7
    assert len(calls) == 1
