"""How the webhook gets the answers of rules in languages of their own: all questions of a request together.

A request for which no rule is asked takes none of these steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.shape import mapping
from iocaudit.engine.audit import Auditor
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.languages.asking import CollectedAnswers, judged
from iocaudit.engine.languages.rule import Rule
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.posture import Verdict
from iocaudit.judging.rule_maps import modules_in
from iocaudit.live.engines import Engines, ModuleReading
from iocaudit.sources.admission_review import Review

_MOST_TRIES: Final = 3
_SWITCH: Final = 1.0
"""Seconds that a change of what is in force may take once its rules are loaded."""
_MARGIN: Final = 0.1
"""The part of the time that is left to judge by the answers, and to be told."""
T = TypeVar("T")


class UntilKnown(Protocol):
    """Calls what judges until every answer is known that it asks for; ``ask_ahead`` puts what is known before."""

    async def __call__(
        self, judge: Callable[[], Awaitable[T]], ask_ahead: Callable[[], Awaitable[None]] | None = None
    ) -> T: ...


AuditorJudge = Callable[[Auditor, UntilKnown], Awaitable[Verdict]]
SupersessionWait = Callable[[Auditor, float], Awaitable[bool]]
"""Waits so many seconds until an auditor is not in force any more, where another is on its way; whether that is so."""


async def _never(_auditor: Auditor, _seconds: float) -> bool:
    return False


class _AnswerFetcher:
    """Fetches what a request asks, and has it judged again, until all is known."""

    def __init__(self, answers: CollectedAnswers, deadline: Deadline) -> None:
        self._answers, self._deadline = answers, deadline

    async def __call__(
        self, judge: Callable[[], Awaitable[T]], ask_ahead: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        return await judged(judge, self._answers, self._deadline, ask_ahead)


async def _at_once(
    judge: Callable[[], Awaitable[T]],
    ask_ahead: Callable[[], Awaitable[None]] | None = None,  # noqa: ARG001
) -> T:
    return await judge()


class RuleEdge:
    """Judges requests together with what their rules say."""

    def __init__(self, engines: Engines, superseded: SupersessionWait = _never) -> None:
        self._engines, self._superseded = engines, superseded
        self._compiling = asyncio.Lock()

    async def judged(self, auditor: Callable[[], Auditor], deadline: Deadline, judge: AuditorJudge) -> Verdict:
        """The verdict on a request by the auditor in force.

        The rules of an auditor that is about to be replaced may have no answer any more: the next one judges then.
        """
        asked_until = Deadline(deadline.at - _MARGIN * max(0.0, deadline.at - deadline.clock()), deadline.clock)
        for _ in range(_MOST_TRIES):
            now = auditor()
            if not now.catalogue.asks:
                return await judge(now, _at_once)
            answers = CollectedAnswers(self._engines.evaluators)

            verdict = await judge(now.asking(answers), _AnswerFetcher(answers, asked_until))
            if not self._has_failed(verdict, now):
                break
            left = asked_until.at - asked_until.clock()
            if not await self._superseded(now, min(left, _SWITCH) if now is auditor() else 0.0):
                break
        return verdict

    @staticmethod
    def _has_failed(verdict: Verdict, auditor: Auditor) -> bool:
        faults = (*verdict.faults, *verdict.fault_denials)
        return any(check.asks for one in faults if (check := auditor.catalogue.find(one.check)) is not None)

    async def compile_declared(self, review: Review, auditor: Auditor, deadline: Deadline) -> None:
        """Compile the rules that a policy or a ConfigMap under review brings along, so it is known what is wrong."""
        resource = review.resource
        if resource is None:
            return
        texts = modules_in(resource, auditor.world.own_namespace)
        if not texts and (resource.kind is not AUDIT_POLICY or "rules" not in mapping(resource.raw.get("spec"))):
            return

        def compile_them() -> None:
            if texts:
                self._engines.read_for_review(texts, f"{CONFIG_MAP.name} {resource.name}")
                return
            with suppress(PolicyError):  # it is told when the request is judged
                read_policy(resource.raw, auditor.catalogue, live=True, compile_rules=self._engines.compile)

        left = (deadline.at - deadline.clock()) * (1 - _MARGIN)
        with suppress(TimeoutError):  # it fails open: the policy is refused once it is read, and its status says so
            async with asyncio.timeout(left):
                await self._compiling.acquire()
                # The next one waits for its end, also where this one does not: a thread cannot be given up, and there
                # are few.
                compiling = asyncio.ensure_future(asyncio.to_thread(compile_them))
                compiling.add_done_callback(self._compiled)
                await asyncio.shield(compiling)

    def _compiled(self, compiling: asyncio.Future[None]) -> None:
        self._compiling.release()
        if not compiling.cancelled():
            compiling.exception()  # who waits for it is told; nobody may

    def known(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, why each of these rules that is known to be broken is."""
        return self._engines.known(rules)

    def known_modules(self, texts: Mapping[str, str], where: str) -> ModuleReading | None:
        """What modules that were read hold; None where they were not."""
        return self._engines.known_modules(texts, where)
