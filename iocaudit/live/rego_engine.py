"""The Evaluator of Rego as a process of a cluster has it: with its OPA looked after, and with modules of ConfigMaps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer
from iocaudit.engine.languages.ending import EndCause
from iocaudit.engine.languages.programs import find_program
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rego.evaluator import RegoEvaluator
from iocaudit.engine.languages.rego.modules import read_modules
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.service import OpaKeeper, OpaService
from iocaudit.engine.languages.rego.setup import embedded, remote
from iocaudit.engine.languages.rule import Language, Rule
from iocaudit.engine.languages.sources import Engine
from iocaudit.live.engine_options import EngineOptions
from iocaudit.supervision.part import Life

_log = logging.getLogger(__name__)
Supervise = Callable[[str, Callable[[Life], None]], object]
"""Runs a part in a thread, again and again, as `Supervisor.thread` does."""
OPA_PART = "opa"
_LOOK_EVERY = 2.0
"""Seconds between two looks at an OPA that runs elsewhere."""


class RegoEngine:
    """An Evaluator that reads modules as well."""

    def __init__(self, evaluator: RegoEvaluator) -> None:
        self._evaluator = evaluator
        self.away = ""
        """Why an OPA that runs elsewhere cannot be asked, as it was last looked at; empty where it can."""
        self.check, self.load, self.close = evaluator.check, evaluator.load, evaluator.close

    def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        return self._evaluator.ask(question, deadline)

    async def ask_soon(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        return await self._evaluator.ask_soon(question, deadline)

    def watch(self, life: Life) -> None:
        """Look at it until the life is over: what it lost is loaded again before anybody asks."""
        while not life.wait(_LOOK_EVERY):
            away = self._evaluator.look()
            if away != self.away:
                self.away = away
                _log.log(logging.ERROR if away else logging.INFO, "%s", away or "OPA answers, with the rules in force")

    def read_modules(self, texts: Mapping[str, str], where: str) -> tuple[list[Rule], dict[str, str]]:
        """The rules in modules by key, and by key why one cannot be used. Raises EngineMissingError, EngineError."""
        return read_modules(texts, where, self._evaluator.preparer)

    def converted(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, the texts in Rego v1 of the sources that are written in v0. Raises EngineMissingError, EngineError."""
        found = self._evaluator.converted(rules)
        return {name: "\n".join(filter(None, texts)) for name, texts in found.items()}


class ProcessObserver(Protocol):
    """Told of the programs that are kept running, for metrics; called from any thread."""

    def started(self, language: Language) -> None:
        """One was started, with the rules in force loaded."""
        ...

    def ended(self, language: Language, cause: EndCause) -> None:
        """One ended, or did not start."""
        ...


def own_opa(supervise: Supervise, observer: ProcessObserver | None = None) -> RegoEngine:
    """One that asks a child of this process, which is a part of it. Raises EngineMissingError, EngineError."""
    program = find_program(Engine.OPA)
    keeper = OpaKeeper(program)
    evaluator = embedded(keeper, Preparer(program))

    def load_again(_service: OpaService) -> None:
        evaluator.reload()
        if observer is not None:
            observer.started(Language.REGO)

    ended = partial(observer.ended, Language.REGO) if observer is not None else None
    supervise(OPA_PART, lambda life: keeper.watch(life, load_again, ended))
    return RegoEngine(evaluator)


def opa_elsewhere(options: EngineOptions, supervise: Supervise) -> RegoEngine:
    """One that asks the OPA of the options, which is looked at. Raises EngineMissingError, EngineError."""
    found = remote(
        options.opa_url,
        Preparer(find_program(Engine.OPA)),
        token_file=options.opa_token_file,
        ca_file=options.opa_ca_file,
        loads=options.loads,
        allow_reaching_out=options.allow_reaching_out,
        owner=options.opa_owner,
    )
    engine = RegoEngine(found)
    supervise(OPA_PART, engine.watch)
    return engine
