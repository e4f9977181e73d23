"""What every Evaluator promises, whatever its language: a failure is an answer, and never "no violation"."""

from __future__ import annotations

import asyncio

from iocaudit.core.kinds import POD
from iocaudit.core.severity import Severity
from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.answer import RuleFailure, Violation
from iocaudit.engine.languages.evaluator import Evaluator
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language, RegoSource, Rule
from tests.support.evaluator import FakeEvaluator

RULE = Rule("rego-registry", Language.REGO, RegoSource("package a"), (POD,), Severity.HIGH, "rules.rego")
QUESTION = Question((AskedRule(RULE, {}),), {"operation": "CREATE"})
BAD = (Violation("an image is bad"),)


def test_a_rule_that_is_not_loaded_and_a_late_answer_are_failures() -> None:
    evaluator: Evaluator = FakeEvaluator(lambda *_: BAD)
    assert isinstance(evaluator.ask(QUESTION, NO_DEADLINE)[RULE.id], RuleFailure)
    evaluator.load([RULE])
    assert evaluator.ask(QUESTION, NO_DEADLINE) == {RULE.id: BAD}
    assert isinstance(evaluator.ask(QUESTION, Deadline(1.0, lambda: 2.0))[RULE.id], RuleFailure)


def test_an_event_loop_gets_the_same_answer() -> None:
    evaluator: Evaluator = FakeEvaluator(lambda *_: BAD)
    evaluator.load([RULE])
    assert asyncio.run(evaluator.ask_soon(QUESTION, NO_DEADLINE)) == evaluator.ask(QUESTION, NO_DEADLINE)
