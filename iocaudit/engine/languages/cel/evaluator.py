"""Evaluates rules in CEL as the API server evaluates a ValidatingAdmissionPolicy with ``failurePolicy: Fail``."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from iocaudit.core.shape import Json
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.cel.connections import LateAnswerError
from iocaudit.engine.languages.cel.replies import read_answers, read_broken
from iocaudit.engine.languages.cel.service import MEMORY_BYTES, NAME, CelService
from iocaudit.engine.languages.cel.source import cel_of, digest, document
from iocaudit.engine.languages.evaluator import EngineError, EngineMissingError
from iocaudit.engine.languages.keeper import ServiceKeeper
from iocaudit.engine.languages.question import Question
from iocaudit.engine.languages.rule import Rule
from iocaudit.engine.languages.service import ProbePace
from iocaudit.supervision.backoff import Backoff

_COMPILE_SECONDS: Final = 60.0
_LOAD_AGAIN_SECONDS: Final = 40.0
"""Less than a part of a process may be silent."""
_READY_SECONDS: Final = 30.0
_LONGEST: Final = 60.0
"""Seconds for an answer that may take as long as it likes: the limit of cost ends each rule long before."""


class CelEvaluator:
    """An Evaluator on iocaudit-cel, which is started when the first rule is checked or loaded.

    ``program`` finds it, and raises EngineMissingError where it is not installed. A rule is known there by the digest
    of its text: what answers is what was asked for, also while other rules are loaded.
    """

    def __init__(
        self,
        program: Callable[[], Path],
        *,
        memory_bytes: int = MEMORY_BYTES,
        pace: ProbePace = ProbePace(),  # noqa: B008  immutable
        backoff: Backoff | None = None,
    ) -> None:
        self._program, self._memory_bytes = program, memory_bytes
        self._digests: weakref.WeakKeyDictionary[Rule, str] = weakref.WeakKeyDictionary()
        self._loading = threading.Lock()
        self._wanted: Mapping[str, Json] = {}
        self.keeper = ServiceKeeper(NAME, self._begin, load=self._load_again, pace=pace, backoff=backoff)
        """What doors have watched."""

    def check(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        documents = [{"id": rule.id, **document(cel_of(rule))} for rule in rules]
        if not documents:
            return {}
        return read_broken(self._ready().ask({"check": documents}, _COMPILE_SECONDS))

    def load(self, rules: Sequence[Rule]) -> None:
        documents = {}
        for rule in rules:
            source = cel_of(rule)
            key = self._digests[rule] = digest(source)
            documents[key] = {"id": key, **document(source)}
        with self._loading:
            if not documents and self.keeper.service is None:
                self._wanted = {}
                return
            # Whatever happens meanwhile, a process that is started anew has what may be asked for.
            self._wanted = {**self._wanted, **documents}
            self._ready().load(list(documents.values()), _COMPILE_SECONDS)
            self._wanted = documents

    def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        try:
            until = _until(deadline)
            reply = self.keeper.ensure(until).ask(self._message(question), until.left)
            return read_answers(reply, _ids(question))
        except (EngineError, EngineMissingError) as error:
            return self._failed(question, error)

    async def ask_soon(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        try:
            until = _until(deadline)
            service = await self.keeper.ensure_soon(until)
            async with asyncio.timeout(until.left):
                reply = await service.ask_soon(self._message(question), until.left)
            return read_answers(reply, _ids(question))
        except TimeoutError:
            return self._failed(question, LateAnswerError())
        except (EngineError, EngineMissingError) as error:
            return self._failed(question, error)

    def close(self) -> None:
        self.keeper.close()

    def _ready(self) -> CelService:
        return self.keeper.ensure(Deadline.within(_READY_SECONDS))

    def _begin(self, _number: int, within: float) -> CelService:
        """Raises EngineMissingError, EngineError."""
        return CelService(self._program(), self._memory_bytes, within)

    def _load_again(self, service: CelService) -> None:
        """Give a process that was started the rules that are wanted. Raises EngineError."""
        if wanted := list(self._wanted.values()):
            service.load(wanted, _LOAD_AGAIN_SECONDS)

    def _message(self, question: Question) -> Json:
        asked = {
            "rules": [
                {"id": self._digest(one.rule), "parameters": dict(one.parameters) or None} for one in question.rules
            ],
            "request": question.request,
            "namespace": question.namespace,
        }
        return {"ask": asked}

    def _failed(self, question: Question, error: Exception) -> Mapping[str, RuleAnswer]:
        if isinstance(error, LateAnswerError):
            self.keeper.doubt()
        return {rule: RuleFailure(str(error)) for rule in _ids(question)}

    def _digest(self, rule: Rule) -> str:
        known = self._digests.get(rule)
        if known is None:
            known = self._digests[rule] = digest(cel_of(rule))
        return known


def _until(deadline: Deadline) -> Deadline:
    """When the answer to a question has to be there. Raises EngineError."""
    seconds = min(_LONGEST, deadline.left)
    if seconds <= 0:
        raise EngineError("the deadline was over before it was asked")
    return Deadline.within(seconds)


def _ids(question: Question) -> list[str]:
    return [one.rule.id for one in question.rules]
