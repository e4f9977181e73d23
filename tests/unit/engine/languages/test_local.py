"""What evaluates the rules of one run: started for the first rule of its language, loaded once, ended with the run."""

import pytest

from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.deadline import NO_DEADLINE
from iocaudit.engine.languages.answer import Violation
from iocaudit.engine.languages.as_checks import check_of
from iocaudit.engine.languages.evaluator import EngineMissingError
from iocaudit.engine.languages.local import LocalRules
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language
from tests.support.evaluator import FakeEvaluator
from tests.support.rules import cel, rego


class _Loading(FakeEvaluator):
    def __init__(self) -> None:
        super().__init__(lambda rule, question: (Violation("x"),), {"rego-b": "1:1: broken"})
        self.loads: list[list[str]] = []

    def load(self, rules: object) -> None:
        assert isinstance(rules, tuple)
        self.loads.append([rule.id for rule in rules])
        super().load(rules)


def _missing() -> FakeEvaluator:
    raise EngineMissingError("install it")


def test_the_program_of_a_language_is_started_for_its_first_rule_and_ended() -> None:
    made = _Loading()
    with LocalRules({Language.REGO: lambda: made, Language.CEL: _missing}) as local:
        one, catalogue = rego("a"), Catalogue([check_of(rego("z"))])
        local.begin(catalogue)
        local.begin(catalogue)
        local.begin(Catalogue([check_of(one)]))
        assert made.loads == [["rego-z"], ["rego-a"]]
        answers = local.of(Language.REGO, Question((AskedRule(one, {}),), {}), NO_DEADLINE)
        assert answers == {"rego-a": (Violation("x"),)}
    assert made.closed


def test_a_program_that_is_missing_is_told_before_anything_is_judged() -> None:
    with LocalRules({Language.CEL: _missing}) as local:
        local.begin(Catalogue([]))
        with pytest.raises(EngineMissingError):
            local.begin(Catalogue([check_of(cel("a"))]))
        with pytest.raises(EngineMissingError):
            local.compile([cel("a")])


def test_broken_rules_are_told_by_id() -> None:
    with LocalRules({Language.REGO: _Loading}) as local:
        assert local.compile([rego("a"), rego("b")]) == {"rego-b": "1:1: broken"}
