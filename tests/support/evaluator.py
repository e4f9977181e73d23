"""An Evaluator of rules whose answers a test gives: for what does not depend on the language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Rule

Given = Callable[[AskedRule, Question], RuleAnswer]


class FakeEvaluator:
    """Answers by ``given``; remembers the questions. A rule that was not loaded, or a late answer, is a failure."""

    def __init__(self, given: Given, broken: Mapping[str, str] | None = None) -> None:
        self._given, self._broken = given, broken or {}
        self._loaded: frozenset[str] = frozenset()
        self.questions: list[Question] = []
        self.closed = False

    def check(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        return {rule.id: self._broken[rule.id] for rule in rules if rule.id in self._broken}

    def load(self, rules: Sequence[Rule]) -> None:
        self._loaded = frozenset(rule.id for rule in rules)

    def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        self.questions.append(question)
        return {asked.rule.id: self._answer(asked, question, deadline) for asked in question.rules}

    async def ask_soon(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        return self.ask(question, deadline)

    def close(self) -> None:
        self.closed = True

    def _answer(self, asked: AskedRule, question: Question, deadline: Deadline) -> RuleAnswer:
        if asked.rule.id not in self._loaded:
            return RuleFailure("the rule is not loaded")
        if deadline.clock() >= deadline.at:
            return RuleFailure("the answer came too late")
        return self._given(asked, question)
