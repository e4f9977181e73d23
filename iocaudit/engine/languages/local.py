"""What evaluates the rules of one run of the command line: the program of a language is started for its first rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.as_checks import rule_of
from iocaudit.engine.languages.asking import Answers, AskingAtOnce
from iocaudit.engine.languages.embedded import EMBEDDED
from iocaudit.engine.languages.evaluator import Evaluator
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rule import Language, Rule

if TYPE_CHECKING:
    from types import TracebackType

EvaluatorFactory = Callable[[], Evaluator]


class LocalRules:
    """Compiles rules, and answers for those of the catalogue in force: an ``AnswerSource``.

    ``programs`` make the Evaluator of a language. Used as a context, it ends what it has started.
    """

    def __init__(self, programs: Mapping[Language, EvaluatorFactory] | None = None) -> None:
        self._programs = programs if programs is not None else EMBEDDED
        self._evaluators: dict[Language, Evaluator] = {}
        self._loaded: dict[Language, tuple[Rule, ...]] = {}
        self._source = AskingAtOnce(self._evaluators)

    def __enter__(self) -> LocalRules:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def compile(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id why a rule is broken. Raises EngineMissingError, EngineError."""
        broken: dict[str, str] = {}
        for language, ours in _by_language(rules).items():
            broken |= self._evaluator(language).check(ours)
        return broken

    def begin(self, catalogue: Catalogue) -> LocalRules:
        """Take the rules of a catalogue as those that are asked for. Raises EngineMissingError, EngineError."""
        rules = [rule for check in catalogue if check.asks and (rule := rule_of(check)) is not None]
        for language, ours in _by_language(rules).items():
            if self._loaded.get(language) != ours:
                self._evaluator(language).load(ours)
                self._loaded[language] = ours
        return self

    def of(self, language: Language, question: Question, deadline: Deadline) -> Answers:
        return self._source.of(language, question, deadline)

    def close(self) -> None:
        """End the programs that were started."""
        for evaluator in self._evaluators.values():
            evaluator.close()
        self._evaluators.clear()
        self._loaded.clear()

    def _evaluator(self, language: Language) -> Evaluator:
        found = self._evaluators.get(language)
        if found is None:
            found = self._evaluators[language] = self._programs[language]()
        return found


def _by_language(rules: Sequence[Rule]) -> dict[Language, tuple[Rule, ...]]:
    found = {language: tuple(rule for rule in rules if rule.language is language) for language in Language}
    return {language: ours for language, ours in found.items() if ours}
