"""A rule that takes OPA down again and again: by itself, and beside others on the real program."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.restarts import MOST_ENDS, RestartRecord
from iocaudit.engine.languages.rego.service import OpaKeeper
from iocaudit.engine.languages.rego.setup import embedded
from tests.support.rego import REGISTRY_V1, answer_of, messages_of, question_of, reason_of, rego_rule

PATIENT = 60.0
GOOD = [rego_rule(REGISTRY_V1, name=f"good-{n}") for n in range(3)]
EATER = rego_rule('package eater\n\ndeny contains "x" if bits.lsh(1, 6000000000) == 3\n', name="eater")
# One step of an evaluation, which OPA does not give up.
ENDLESS = rego_rule(
    'package endless\n\ndeny contains "x" if {\n\tone := bits.lsh(1, 300000000)\n\tone * one == 3\n'
    '\tformat_int(one, 10) == "1"\n}\n',
    name="endless",
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def end(record: RestartRecord, generation: int, *roots: str) -> None:
    for root in roots:
        assert record.trouble(root, generation) is None
        record.unanswered(root, generation)


def test_a_rule_that_opa_ends_with_is_left_alone_longer_each_time() -> None:
    clock = Clock()
    record = RestartRecord(clock)
    for generation in range(1, MOST_ENDS + 1):
        end(record, generation, "bad")
    assert record.trouble("bad", MOST_ENDS + 1) == (
        "OPA ended 3 times while it evaluated this rule, which is not asked for 60 s"
    )
    clock.now += 61
    end(record, MOST_ENDS + 1, "bad")
    assert "4 times" in str(record.trouble("bad", MOST_ENDS + 2))
    clock.now += 61
    assert record.trouble("bad", MOST_ENDS + 2)
    clock.now += 60
    assert record.trouble("bad", MOST_ENDS + 2) is None


def test_an_answer_clears_a_rule() -> None:
    record = RestartRecord(Clock())
    for generation in range(1, 20):
        end(record, generation, "bad", "good") if generation <= MOST_ENDS else end(record, generation, "good")
        record.answered("good")
    assert record.trouble("bad", 20)
    assert record.trouble("good", 20) is None


def test_many_questions_on_the_way_to_one_that_ends_count_once() -> None:
    record = RestartRecord(Clock())
    for _ in range(2):
        for generation in (1, 2, 3):
            for _ in range(20):
                record.unanswered("a", 1)
            assert record.trouble("a", generation) is None


def test_what_is_late_and_does_not_end_opa_is_asked_on() -> None:
    record = RestartRecord(Clock())
    for _ in range(20):
        end(record, 1, "slow")


def test_only_another_process_is_an_end() -> None:
    record = RestartRecord(Clock())
    seen = []
    for root, generation in [("slow", 1), ("bad", 2)]:
        end(record, 1, root)
        assert record.trouble(root, generation) is None
        seen.append(record.has_ends)
    record.answered("bad")
    assert [*seen, record.has_ends] == [False, True, False]


def test_a_rule_that_is_gone_is_forgotten() -> None:
    record = RestartRecord(Clock())
    for generation in range(1, MOST_ENDS + 1):
        end(record, generation, "bad")
    record.keep(["other"])
    assert record.trouble("bad", 9) is None


Ask = Callable[[RegoEvaluator, Question], Mapping[str, RuleAnswer]]


def at_once(evaluator: RegoEvaluator, question: Question) -> Mapping[str, RuleAnswer]:
    return evaluator.ask(question, Deadline.within(PATIENT))


def soon(evaluator: RegoEvaluator, question: Question) -> Mapping[str, RuleAnswer]:
    return asyncio.run(evaluator.ask_soon(question, Deadline.within(PATIENT)))


def generation(evaluator: RegoEvaluator) -> int:
    return evaluator._server.access(Deadline.within(PATIENT)).generation


@pytest.mark.parametrize("ask", [at_once, soon])
def test_a_rule_that_takes_opa_down_does_not_take_the_others_down_for_ever(
    opa_program: Path, preparer: Preparer, ask: Ask
) -> None:
    evaluator = embedded(OpaKeeper(opa_program), preparer)
    try:
        leaves_the_bad_one_alone(evaluator, ask)
    finally:
        evaluator.close()


def leaves_the_bad_one_alone(evaluator: RegoEvaluator, ask: Ask) -> None:
    rules = [GOOD[0], EATER, *GOOD[1:]]
    evaluator.load(rules)
    first = generation(evaluator)
    for _ in range(30):
        answers = ask(evaluator, question_of(*rules))
        if "while it evaluated this rule" in reason_of(answers[EATER.id]):
            break
    # From here on the others are answered, and the program lives.
    assert first + 3 <= generation(evaluator) <= first + 5
    for _ in range(3):
        answers = ask(evaluator, question_of(*rules))
        assert "not asked for" in reason_of(answers[EATER.id])
        assert all(messages_of(answers[rule.id]) for rule in GOOD)


def test_an_evaluation_that_goes_on_without_its_asker_ends_the_program(evaluator: RegoEvaluator) -> None:
    evaluator.load([ENDLESS, GOOD[0]])
    first = generation(evaluator)
    assert "did not answer" in reason_of(answer_of(evaluator, ENDLESS, 1.0))
    until = time.monotonic() + 300
    while generation(evaluator) == first and time.monotonic() < until:
        time.sleep(0.5)
    assert generation(evaluator) > first
    assert messages_of(answer_of(evaluator, GOOD[0], PATIENT))
