"""Exported policies on iocaudit-cel, which evaluates them by the API server's own packages, with its limits of cost."""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.core.severity import Severity
from iocaudit.core.shape import Json
from iocaudit.engine.deadline import NO_DEADLINE
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.cel.evaluator import CelEvaluator
from iocaudit.engine.languages.rule import CelCondition, CelSource, CelValidation, Language, Rule
from tests.support.cel_rules import cel_program, cel_rule, question, request_for, rule_of


class ExportedCel:
    """Asks exported policies about objects."""

    def __init__(self) -> None:
        self._evaluator = CelEvaluator(cel_program)

    def close(self) -> None:
        self._evaluator.close()

    def load(self, objects: Iterable[Json]) -> list[Rule]:
        """The policies among these objects, each ready to be asked."""
        rules = [_rule(one) for one in objects if one["kind"] == "ValidatingAdmissionPolicy"]
        broken = self._evaluator.check(rules)
        assert not broken, broken
        self._evaluator.load(rules)
        return rules

    def ask(self, rules: list[Rule], judged: Json, old: Json | None = None) -> dict[str, RuleAnswer]:
        """By the name of the policy, violations or why it fails."""
        answers = self._evaluator.ask(question(rules, request_for(judged, old)), NO_DEADLINE)
        return {one.id: answers[one.id] for one in rules}

    def each(self, items: str, condition: str, constants: Iterable[tuple[str, str]], judged: Json) -> list[str]:
        """What an expression of a string, on ``it``, gives for each item of a list of the object."""
        told = CelValidation("false", "", f"{items}.map(it, {condition}).join('\\t')")
        rule = cel_rule("each", told, variables=dict(constants))
        broken = self._evaluator.check([rule])
        assert not broken, broken
        self._evaluator.load([rule])
        answer = self._evaluator.ask(question([rule], request_for(judged)), NO_DEADLINE)[rule.id]
        assert not isinstance(answer, RuleFailure), answer
        (said,) = answer
        return said.message.split("\t")

    def holding(self, items: str, condition: str, constants: Iterable[tuple[str, str]], judged: Json) -> list[bool]:
        """Whether a condition on ``it`` holds for each item of a list of the object."""
        return [one == "1" for one in self.each(items, f"{condition} ? '1' : '0'", constants, judged)]


def _rule(policy: Json) -> Rule:
    spec = policy["spec"]
    source = CelSource(
        tuple(
            CelValidation(one["expression"], one["message"], one["messageExpression"]) for one in spec["validations"]
        ),
        tuple(CelCondition(one["name"], one["expression"]) for one in spec["variables"]),
    )
    found = rule_of(f"cel-{policy['metadata']['name']}", Language.CEL, source)
    assert found.severity is Severity.HIGH
    return found
