"""What evaluates the rules of a process: started where there is a rule of its language, and watched as it answers.

An engine that is missing refuses its rules, with the command that installs it. One that is there and does not answer
refuses nothing: its rules fail, which ``onFault`` judges, until it answers again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol, runtime_checkable

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.asking import no_program
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError, Evaluator
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rule import Language, Rule
from iocaudit.knowledge.clipping import clip

EngineMaker = Callable[[], Evaluator]
ModuleReading = tuple[Sequence[Rule], Mapping[str, str]]
"""The rules in modules, and by key why one cannot be used."""
_MOST_COMPILED: Final = 2_000
_MOST_READ: Final = 16
"""ConfigMaps whose modules were read for reviews, and may be asked for at any moment."""
_LONGEST_REASON: Final = 500
_LATE: Final = 1.0
"""Seconds from which on an answer is late to an audit of what stands, if it is a failure."""
_MOST_LATE: Final = 2
_REST: Final = 10.0
"""How many times as long as it took a rule is left alone; at most ``_LONGEST_REST`` seconds."""
_LONGEST_REST: Final = 120.0
_RESTS: Final = "it took too long twice in a row, and is not asked for a while"
_NOT_LOADED: Final = "its rules are not loaded yet"


class EngineObserver(Protocol):
    """Told of every evaluation, for metrics; called from any thread."""

    def evaluated(self, language: Language, outcomes: Mapping[str, int], seconds: float) -> None:
        """How many rules of one question passed, found something (``violated``) or ``failed``."""
        ...

    def loaded(self, language: Language, rules: int, reason: str | None) -> None:
        """How many rules are in force; ``reason`` says why they could not be loaded."""
        ...


class _SilentObserver:
    def evaluated(self, language: Language, outcomes: Mapping[str, int], seconds: float) -> None:
        """Nobody is told."""

    def loaded(self, language: Language, rules: int, reason: str | None) -> None:
        """Nobody is told."""


@runtime_checkable
class ModuleReader(Protocol):
    """An Evaluator of Rego, as far as it reads modules that no policy declares."""

    def read_modules(self, texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
        """The rules in modules by key, and by key why one cannot be used."""
        ...

    def converted(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, the text in Rego v1 by which a rule that is written in v0 is evaluated."""
        ...


@runtime_checkable
class LookedAt(Protocol):
    """An Evaluator whose program is probed whether or not it is asked."""

    away: str
    """Why it cannot be asked; empty where it can."""


class WatchedEvaluator:
    """An Evaluator that is made when it is first needed, and of which it is known how each rule fared last."""

    def __init__(self, language: Language, make: EngineMaker, observer: EngineObserver) -> None:
        self._language, self._make, self._observer = language, make, observer
        self._lock = threading.Lock()
        self._made: Evaluator | None = None
        self._late: dict[str, int] = {}
        self._rests_until: dict[str, float] = {}
        self.failing: dict[str, str] = {}
        """By the id of a rule, why it could not be evaluated when it was last asked."""

    @property
    def made(self) -> Evaluator | None:
        """The Evaluator itself; None while there was no rule for it."""
        return self._made

    @property
    def away(self) -> str:
        """Why what evaluates the rules cannot be asked, of one that is probed; empty where it can."""
        return self._made.away if isinstance(self._made, LookedAt) else ""

    def _needed(self) -> Evaluator:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def check(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        return self._needed().check(rules)

    def read_modules(self, texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
        """The rules in modules of Rego by key, and by key why one cannot be used.

        Raises EngineMissingError, EngineError.
        """
        evaluator = self._needed()
        return evaluator.read_modules(texts, where) if isinstance(evaluator, ModuleReader) else ([], {})

    def converted(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, the text evaluated in place of one in an older syntax. Raises EngineMissingError, EngineError."""
        evaluator = self._needed()
        return evaluator.converted(rules) if isinstance(evaluator, ModuleReader) else {}

    def load(self, rules: Sequence[Rule]) -> None:
        self._needed().load(rules)
        there = {rule.id for rule in rules}
        self._late.clear()
        self._rests_until.clear()
        for gone in [name for name in self.failing if name not in there]:
            self.failing.pop(gone, None)

    def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        if self._made is None:
            return self._none_yet(question)
        begun = time.monotonic()
        resting = {asked.rule.id for asked in question.rules if self._rests_until.get(asked.rule.id, 0.0) > begun}
        asked = question
        if resting:
            asked = replace(question, rules=tuple(one for one in question.rules if one.rule.id not in resting))
        answers = dict(self._made.ask(asked, deadline)) if asked.rules else {}
        took = time.monotonic() - begun
        for name, answer in answers.items():
            self._note_time(name, took, failed=isinstance(answer, RuleFailure))
        answers |= dict.fromkeys(resting, RuleFailure(_RESTS))
        return self._noted(answers, begun)

    def _note_time(self, name: str, took: float, *, failed: bool) -> None:
        """A rule that was late twice in a row is not asked for a while: an audit of many objects has to come to an end.

        Once is not enough, as it may have been a neighbour of it that was slow.
        """
        if not failed or took < _LATE:
            self._late.pop(name, None)
            return
        self._late[name] = self._late.get(name, 0) + 1
        if self._late[name] >= _MOST_LATE:
            self._rests_until[name] = time.monotonic() + min(_LONGEST_REST, _REST * took)

    async def ask_soon(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        if self._made is None:
            return self._none_yet(question)
        begun = time.monotonic()
        return self._noted(await self._made.ask_soon(question, deadline), begun)

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _none_yet(self, question: Question) -> Mapping[str, RuleAnswer]:
        none: Mapping[str, RuleAnswer] = {asked.rule.id: RuleFailure(_NOT_LOADED) for asked in question.rules}
        return self._noted(none, time.monotonic())

    def _noted(self, answers: Mapping[str, RuleAnswer], begun: float) -> Mapping[str, RuleAnswer]:
        outcomes = {"passed": 0, "violated": 0, "failed": 0}
        for name, answer in answers.items():
            if isinstance(answer, RuleFailure):
                outcomes["failed"] += 1
                self.failing[name] = clip(answer.reason, _LONGEST_REASON)
            else:
                outcomes["violated" if answer else "passed"] += 1
                if name in self.failing:
                    self.failing.pop(name, None)
        self._observer.evaluated(self._language, outcomes, time.monotonic() - begun)
        return answers


class Engines:
    """The Evaluators of a process by language. Compiling and loading is for one thread at a time, asking for any."""

    def __init__(self, factories: Mapping[Language, EngineMaker], observer: EngineObserver | None = None) -> None:
        self._observer: EngineObserver = observer or _SilentObserver()
        self.evaluators = {
            language: WatchedEvaluator(language, make, self._observer) for language, make in factories.items()
        }
        self._compiled: dict[tuple[Any, ...], str | None] = {}
        self._compiling = threading.Lock()
        self._read: dict[tuple[Any, ...], ModuleReading] = {}
        self._loaded: dict[Language, tuple[Rule, ...]] = {}
        self._missing: dict[Language, str] = {}
        self._uncompiled: dict[Language, str] = {}
        self._unloaded: dict[Language, str] = {}

    @property
    def trouble(self) -> Mapping[Language, str]:
        """Why the rules of a language are not compiled or loaded as they should be: it is worth another try later."""
        away = {language: why for language, one in self.evaluators.items() if (why := one.away)}
        return {**away, **self._uncompiled, **self._unloaded}

    @property
    def failing(self) -> Mapping[str, str]:
        """By the id of a rule, why it could not be evaluated when it was last asked."""
        return {name: why for one in self.evaluators.values() for name, why in list(one.failing.items())}

    def compile(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, why each rule that is broken is; those for which nothing answers are taken as they are, and fail."""
        broken: dict[str, str] = {}
        for language in dict.fromkeys(rule.language for rule in rules):
            ours = [rule for rule in rules if rule.language is language]
            broken |= self._compile(language, ours)
        return broken

    def known(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """The same of those that were compiled before, without asking anybody."""
        found = {rule.id: self._compiled.get(_key(rule), self._refusal(rule.language)) for rule in rules}
        return {name: why for name, why in found.items() if why is not None}

    def _refusal(self, language: Language) -> str | None:
        """Why no rule of a language can be used, as far as that is known."""
        return self._missing.get(language) if language in self.evaluators else _no_program(language)

    def _compile(self, language: Language, rules: Sequence[Rule]) -> Mapping[str, str]:
        evaluator = self.evaluators.get(language)
        if evaluator is None:
            return dict.fromkeys((rule.id for rule in rules), _no_program(language))
        with self._compiling:
            new = [rule for rule in rules if _key(rule) not in self._compiled]
            broken: Mapping[str, str] = {}
            if new:
                try:
                    broken = evaluator.check(new)
                except EngineMissingError as error:
                    self._missing[language] = self._uncompiled[language] = str(error)
                    return self.known(rules)
                except EngineError as error:
                    self._uncompiled[language] = str(error)
                    self._missing.pop(language, None)
                    return self.known(rules)
                self._missing.pop(language, None)
                if len(self._compiled) + len(new) > _MOST_COMPILED:
                    self._compiled.clear()
                self._compiled |= {_key(rule): broken.get(rule.id) for rule in new}
            return {**self.known(rules), **broken}

    def read_modules(self, texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
        """The rules in modules of Rego by key, and why each that cannot be used is."""
        evaluator = self.evaluators.get(Language.REGO)
        reason = _no_program(Language.REGO) if evaluator is None else ""
        if evaluator is not None:
            try:
                return evaluator.read_modules(texts, where)
            except (EngineMissingError, EngineError) as error:
                reason = self._uncompiled[Language.REGO] = str(error)
        return [], dict.fromkeys(texts, reason)

    def read_for_review(self, texts: Mapping[str, str], where: str) -> None:
        """Read modules for ``known_modules`` to know them; nothing is noted of an engine that is away."""
        evaluator = self.evaluators.get(Language.REGO)
        if evaluator is None:
            return
        with suppress(EngineMissingError, EngineError):
            rules, broken = evaluator.read_modules(texts, where)
            if len(self._read) >= _MOST_READ:
                self._read.clear()
            self._read[where, tuple(sorted(texts.items()))] = (tuple(rules), broken)

    def known_modules(self, texts: Mapping[str, str], where: str) -> ModuleReading | None:
        """The rules in modules that were read before, and by key why one cannot be used; asks nobody."""
        return self._read.get((where, tuple(sorted(texts.items()))))

    def converted(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, the text in Rego v1 by which a rule that is written in v0 is evaluated; of the others nothing."""
        evaluator = self.evaluators.get(Language.REGO)
        ours = [rule for rule in rules if rule.language is Language.REGO]
        if evaluator is None or not ours:
            return {}
        try:
            return evaluator.converted(ours)
        except (EngineMissingError, EngineError):
            return {}

    def forget_trouble(self) -> None:
        """What could not be compiled is about to be compiled again."""
        self._uncompiled.clear()

    def load(self, rules: Iterable[Rule]) -> None:
        """Take these as the rules in force. What cannot be loaded is ``trouble``."""
        by_language: dict[Language, list[Rule]] = {language: [] for language in self._loaded}
        for rule in rules:
            by_language.setdefault(rule.language, []).append(rule)
        for language, ours in by_language.items():
            self._load(language, tuple(sorted(ours, key=lambda rule: rule.id)))

    def _load(self, language: Language, rules: tuple[Rule, ...]) -> None:
        evaluator = self.evaluators.get(language)
        if evaluator is None or (language not in self._unloaded and self._loaded.get(language) == rules):
            return
        try:
            evaluator.load(rules)
        except (EngineMissingError, EngineError) as error:
            self._unloaded[language] = str(error)
        else:
            self._unloaded.pop(language, None)
        self._loaded[language] = rules
        self._observer.loaded(language, len(rules), self._unloaded.get(language))

    def close(self) -> None:
        """End what was started."""
        for evaluator in self.evaluators.values():
            evaluator.close()


def _no_program(language: Language) -> str:
    return no_program(language).reason


def _key(rule: Rule) -> tuple[Any, ...]:
    """What decides whether a rule compiles."""
    return (rule.id, rule.source, rule.kinds, rule.operations, bool(rule.parameters))
