"""Evaluators of a process: made when needed, watched as they answer, tried again where they do not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleFailure, Violation
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError, Evaluator
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language, RegoSource
from iocaudit.live import engines as engines_module
from iocaudit.live.engines import Engines
from tests.support.fake_rego import FakeRego, engines_with
from tests.support.rules import cel, rego


class Observer:
    def __init__(self) -> None:
        self.outcomes: list[Mapping[str, int]] = []
        self.loads: list[tuple[Language, int, str | None]] = []

    def evaluated(self, language: Language, outcomes: Mapping[str, int], seconds: float) -> None:
        assert seconds >= 0
        self.outcomes.append({name: count for name, count in outcomes.items() if count})

    def loaded(self, language: Language, rules: int, reason: str | None) -> None:
        self.loads.append((language, rules, reason))


def question(*rules: Any) -> Question:
    return Question(tuple(AskedRule(rule, {}) for rule in rules), {"object": {}})


def soon(seconds: float = 5.0) -> Deadline:
    return Deadline.within(seconds)


def test_nothing_is_started_before_there_is_a_rule() -> None:
    made: list[str] = []

    def make() -> Evaluator:
        made.append("rego")
        return FakeRego(lambda _asked, _question: ())

    engines = Engines({Language.REGO: make, Language.CEL: make})
    engines.load([])
    assert made == []
    assert engines.compile([rego("one")]) == {}
    engines.load([rego("one")])
    assert made == ["rego"], "of that language alone, and once"


def test_one_that_is_looked_at_and_away_is_trouble_though_nobody_asks() -> None:
    class Elsewhere(FakeRego):
        away = ""

    evaluator = Elsewhere(lambda _asked, _question: ())
    engines = engines_with(evaluator)
    engines.load([rego("one")])
    assert engines.trouble == {}
    evaluator.away = "OPA at https://opa: it cannot be reached"
    assert engines.trouble == {Language.REGO: evaluator.away}
    evaluator.away = ""
    assert engines.trouble == {}


def test_a_rule_is_compiled_once_until_its_text_changes() -> None:
    checked: list[str] = []

    class Counting(FakeRego):
        def check(self, rules: Any) -> Mapping[str, str]:
            checked.extend(rule.id for rule in rules)
            return super().check(rules)

    engines = engines_with(Counting(lambda _asked, _question: ()))
    broken = rego("bad", source=RegoSource("broken"))
    for _ in range(3):
        assert engines.compile([rego("good"), broken]) == {"rego-bad": "line 1, column 1: broken"}
    assert checked == ["rego-good", "rego-bad"]
    assert engines.compile([rego("bad", source=RegoSource("mended"))]) == {}
    assert engines.known([broken, rego("other")]) == {"rego-bad": "line 1, column 1: broken"}


def test_without_the_program_its_rules_are_refused_with_the_command() -> None:
    def missing() -> Evaluator:
        raise EngineMissingError("not installed. Install it with: iocaudit engines install opa")

    engines = Engines({Language.REGO: missing})
    said = engines.compile([rego("one"), cel("two")])
    assert said["rego-one"] == "not installed. Install it with: iocaudit engines install opa"
    assert "iocaudit engines install" in said["cel-two"]
    assert engines.trouble == {Language.REGO: said["rego-one"]}, "it may be installed later"


def test_one_that_does_not_answer_refuses_nothing_and_is_asked_again() -> None:
    observer = Observer()
    evaluator = FakeRego(lambda _asked, _question: ())
    engines = engines_with(evaluator, observer)
    evaluator.unready = EngineError("OPA is away")
    one = rego("one", source=RegoSource("broken"))
    assert engines.compile([one]) == {}
    engines.load([one])
    assert engines.trouble == {Language.REGO: "OPA is away"}
    evaluator.unready = None
    engines.forget_trouble()
    assert engines.compile([one]) == {"rego-one": "line 1, column 1: broken"}, "nothing was taken for known"
    engines.load([])
    assert engines.trouble == {}
    assert observer.loads == [(Language.REGO, 1, "OPA is away"), (Language.REGO, 0, None)]


def test_the_same_rules_are_not_loaded_again_unless_that_failed() -> None:
    observer = Observer()
    engines = engines_with(FakeRego(lambda _asked, _question: ()), observer)
    one, two = rego("one"), rego("two")
    engines.load([two, one])
    engines.load([one, two])
    assert observer.loads == [(Language.REGO, 2, None)]


def test_how_each_rule_fared_last_is_known_by_either_way_of_asking() -> None:
    answers: dict[str, Any] = {"rego-fine": (), "rego-bad": (Violation("no"),), "rego-slow": RuleFailure("late")}
    observer = Observer()
    engines = engines_with(FakeRego(lambda asked, _question: answers[asked.rule.id]), observer)
    rules = [rego("fine"), rego("bad"), rego("slow")]
    engines.load(rules)
    evaluator = engines.evaluators[Language.REGO]
    assert evaluator.ask(question(*rules), soon()) == answers
    assert engines.failing == {"rego-slow": "late"}
    assert observer.outcomes == [{"passed": 1, "violated": 1, "failed": 1}]
    answers["rego-slow"] = ()
    assert asyncio.run(evaluator.ask_soon(question(rules[2]), soon())) == {"rego-slow": ()}
    assert engines.failing == {}
    answers["rego-slow"] = RuleFailure("late")
    evaluator.ask(question(rules[2]), soon())
    engines.load(rules[:2])
    assert engines.failing == {}, "of a rule that is gone nothing is told"


def test_a_rule_that_is_asked_before_anything_is_loaded_fails() -> None:
    engines = engines_with(FakeRego(lambda _asked, _question: ()))
    evaluator = engines.evaluators[Language.REGO]
    for answers in (
        evaluator.ask(question(rego("one")), soon()),
        asyncio.run(evaluator.ask_soon(question(rego("one")), soon())),
    ):
        assert answers == {"rego-one": RuleFailure("its rules are not loaded yet")}
    assert evaluator.made is None


def test_what_was_started_is_closed() -> None:
    evaluator = FakeRego(lambda _asked, _question: ())
    engines = engines_with(evaluator)
    engines.close()
    assert not evaluator.closed
    engines.load([rego("one")])
    engines.close()
    assert evaluator.closed


@pytest.mark.parametrize("error", [EngineError("away"), EngineMissingError("missing")])
def test_modules_that_cannot_be_read_now_are_each_refused_with_the_reason(error: Exception) -> None:
    evaluator = FakeRego(lambda _asked, _question: ())
    engines = engines_with(evaluator)
    evaluator.unready = error
    assert engines.read_modules({"a.rego": "x", "b.rego": "y"}, "ConfigMap one") == (
        [],
        {"a.rego": str(error), "b.rego": str(error)},
    )
    assert engines.trouble == {Language.REGO: str(error)}
    assert Engines({}).read_modules({"a.rego": "x"}, "ConfigMap one")[1].keys() == {"a.rego"}


def test_a_rule_that_is_late_again_and_again_is_left_alone_for_a_while_and_its_neighbours_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines_module, "_LATE", 0.01)
    asked: list[str] = []

    def answer(one: AskedRule, _question: Question) -> Any:
        asked.append(one.rule.id)
        time.sleep(0.02)
        return RuleFailure("late") if one.rule.id == "rego-slow" else ()

    engines = engines_with(FakeRego(answer))
    rules = [rego("slow"), rego("quick")]
    engines.load(rules)
    evaluator = engines.evaluators[Language.REGO]
    for _ in range(5):
        assert evaluator.ask(question(*rules), soon()).keys() == {"rego-slow", "rego-quick"}
    assert (asked.count("rego-slow"), asked.count("rego-quick")) == (2, 5)
    assert "not asked for a while" in engines.failing["rego-slow"]
    assert isinstance(asyncio.run(evaluator.ask_soon(question(rules[0]), soon()))["rego-slow"], RuleFailure)
    assert asked.count("rego-slow") == 3, "a request has its own deadline"
    engines.load(rules[1:])
    engines.load(rules)
    evaluator.ask(question(rules[0]), soon())
    assert asked.count("rego-slow") == 4, "with other rules it is worth a try"
