"""The one seam between the audit and the languages: an Evaluator compiles rules and answers questions in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from iocaudit.core.errors import IocauditError
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rule import Rule


class EngineMissingError(IocauditError):
    """The program that evaluates a language is not installed; the message has the command that installs it."""


class EngineError(IocauditError):
    """The program that evaluates a language cannot be used, or does not answer: away, slow, of another revision."""


class Evaluator(Protocol):
    """Evaluates the rules of one language. Safe to use from several threads; ``ask_soon`` from one event loop."""

    def check(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """Compile rules without taking them: by id, why each that is broken is (with line and column of its text).

        Raises EngineMissingError, EngineError.
        """
        ...

    def load(self, rules: Sequence[Rule]) -> None:
        """Take these as the rules in force, in place of all before; those of before answer until it is done.

        Raises EngineMissingError, EngineError.
        """
        ...

    def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        """A RuleAnswer for each rule asked for, by id. It raises nothing: what fails is a RuleFailure for each rule."""
        ...

    async def ask_soon(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        """The same for an event loop, which goes on meanwhile."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...
