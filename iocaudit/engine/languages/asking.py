"""Where the answers to the questions of an audit come from: asked at once, or collected and fetched together.

Scans, tests of policies and the operator ask as they audit. The webhook must not wait in the middle of an audit: it
puts the questions of an object first, fetches the answers all at once and audits. Where the audit asks more, it fetches
that as well and audits again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import orjson

from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.evaluator import Evaluator
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rule import Language, Rule

Answers = Mapping[str, RuleAnswer]
Evaluators = Mapping[Language, Evaluator]
Compile = Callable[[Sequence[Rule]], Mapping[str, str]]
"""Says of rules, by id, why each that is broken is."""
T = TypeVar("T")
SECONDS = 10.0
"""How long one question may take where nothing else says so."""
_MOST_ROUNDS = 8
_NOT_ASKED = RuleFailure("its answer was not fetched")
_LATE = RuleFailure("the audit ran out of time")


class AnswerSource(Protocol):
    """What an audit asks."""

    def of(self, language: Language, question: Question, deadline: Deadline) -> Answers:
        """A RuleAnswer for each rule asked for, by id; what is missing is a failure."""
        ...


def no_program(language: Language) -> RuleFailure:
    """Why a rule cannot be judged where nothing evaluates its language, and what to do."""
    name = {Language.REGO: "Rego", Language.CEL: "CEL"}[language]
    return RuleFailure(f"no program that evaluates {name} is running here: `iocaudit engines install` installs it")


def failed(question: Question, failure: RuleFailure) -> Answers:
    """One failure for all rules of a question."""
    return dict.fromkeys((asked.rule.id for asked in question.rules), failure)


class NoAnswers:
    """The source of an audit that nothing was given to evaluate rules with: each of them fails."""

    def of(self, language: Language, question: Question, deadline: Deadline) -> Answers:  # noqa: ARG002
        return failed(question, no_program(language))


class AskingAtOnce:
    """Asks each question as it comes up. ``seconds`` bounds one where the audit itself has no end."""

    def __init__(self, evaluators: Evaluators, seconds: float = SECONDS) -> None:
        self._evaluators, self._seconds = evaluators, seconds

    def of(self, language: Language, question: Question, deadline: Deadline) -> Answers:
        evaluator = self._evaluators.get(language)
        if evaluator is None:
            return failed(question, no_program(language))
        if deadline is NO_DEADLINE:
            deadline = Deadline.within(self._seconds)
        try:
            return evaluator.ask(question, deadline)
        except Exception as error:  # noqa: BLE001  an Evaluator that breaks its word is a fault of the rules
            return failed(question, RuleFailure(f"{type(error).__name__}: {error}"))


class CollectedAnswers:
    """The answers of one request: what is not known yet is noted, and fetched before it is judged again.

    Questions are told apart by what they say, so one that is made again of the same objects is the same.
    """

    def __init__(self, evaluators: Evaluators) -> None:
        self._evaluators = evaluators
        self._known: dict[bytes, Answers] = {}
        self._waiting: dict[bytes, tuple[Language, Question]] = {}
        self._keys = _Keys()
        self.closed = False
        """Whether no more is fetched: what is not known then fails."""

    @property
    def waiting(self) -> int:
        """How many questions wait to be fetched."""
        return len(self._waiting)

    def of(self, language: Language, question: Question, deadline: Deadline) -> Answers:  # noqa: ARG002
        if language not in self._evaluators:
            return failed(question, no_program(language))
        try:
            key = self._keys.of(language, question)
        except (TypeError, ValueError, RecursionError) as error:
            return failed(question, RuleFailure(f"the object cannot be written as JSON: {error}"))
        known = self._known.get(key)
        if known is not None:
            return known
        if not self.closed:
            self._waiting[key] = (language, question)
        return failed(question, _NOT_ASKED)

    async def fetch(self, deadline: Deadline) -> None:
        """Ask all that waits, together."""
        import asyncio  # late: a run of the command line asks at once, and starts sooner without it

        waiting, self._waiting = self._waiting, {}
        asked = [self._ask(language, one, deadline) for language, one in waiting.values()]
        # Nearly always it is one, which needs no task of its own.
        answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
        self._known.update(zip(waiting, answers, strict=True))

    async def _ask(self, language: Language, question: Question, deadline: Deadline) -> Answers:
        if deadline.clock() >= deadline.at:
            return failed(question, _LATE)
        try:
            return await self._evaluators[language].ask_soon(question, deadline)
        except Exception as error:  # noqa: BLE001  an Evaluator that breaks its word is a fault of the rules
            return failed(question, RuleFailure(f"{type(error).__name__}: {error}"))


async def judged(
    judge: Callable[[], Awaitable[T]],
    answers: CollectedAnswers,
    deadline: Deadline,
    ask_ahead: Callable[[], Awaitable[None]] | None = None,
) -> T:
    """The outcome once all is known that it asks for. ``judge`` is called again after each fetch; it must not act.

    ``ask_ahead`` puts the questions that are known before. The old object, the owners and what a request completes may
    ask more in a later round: after a few rounds, or when time is up, what is not known is a failure.
    """
    answers.closed = False
    if ask_ahead is not None:
        await ask_ahead()
        if answers.waiting:
            await answers.fetch(deadline)
    for number in range(_MOST_ROUNDS):
        outcome = await judge()
        if not answers.waiting:
            return outcome
        await answers.fetch(deadline)
        answers.closed = number + 2 >= _MOST_ROUNDS
    return outcome


class _Keys:
    """Names questions by what they say. An inventory is one value while nothing changes, and is told by itself."""

    def __init__(self) -> None:
        self._kept: list[object] = []
        """What is told by its id: that of one that is gone would be given to another."""

    def of(self, language: Language, question: Question) -> bytes:
        """Raises TypeError, ValueError or RecursionError where it cannot be written as JSON."""
        self._kept.append((question.rules, question.inventory))
        rules = [(id(asked.rule), asked.parameters) for asked in question.rules]
        said = [language.value, rules, question.request, question.namespace, id(question.inventory)]
        return orjson.dumps(said, option=orjson.OPT_NON_STR_KEYS)
