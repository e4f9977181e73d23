"""The HTTP edge: a FastAPI app whose hot path is a plain ASGI handler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial
from typing import TypeVar

import orjson
from fastapi import FastAPI

from admission.metrics import AdmissionMetrics
from admission.rollouts import RolloutWatch
from admission.rule_edge import RuleEdge, UntilKnown
from iocaudit.core.own_names import NEVER_DENIES_PATH, VALIDATE_PATH
from iocaudit.engine.audit import Auditor
from iocaudit.engine.deadline import Deadline
from iocaudit.engine.posture import Verdict, spare
from iocaudit.engine.waivers import LONGEST
from iocaudit.judging.owners import Get
from iocaudit.judging.review import SYSTEM, ask_ahead, decide, look_up, may_need_look_up, respond, tell, unread
from iocaudit.live.engines import Engines
from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, answer, header
from iocaudit.serving.durations import deadline_from
from iocaudit.serving.limits import Bounds, Limits
from iocaudit.sources.admission_review import Review, ReviewError, read_review

DEFAULT_TIMEOUT = 3.0
"""Seconds the API server is taken to wait where it does not say."""
_JSON = b"application/json"
_BELOW = f"{VALIDATE_PATH}/"
_NEVER_DENIES = NEVER_DENIES_PATH.removeprefix(VALIDATE_PATH)

T = TypeVar("T")
LARGE = 64 * 1024
"""Bytes from which a review is judged in a thread of its own: below, it takes a few milliseconds at most."""
DenialHook = Callable[[Review, Verdict], None]
"""Told of each request that was really denied, or of which something is recorded: no dry run, and by the webhook that
denies."""
AnswerHook = Callable[[Review, Verdict], None]
"""Told of each request that was answered by a verdict."""
HoldFactory = Callable[[], AbstractContextManager[None]]


class ValidateApp:
    """``/validate`` judges; ``/validate/system`` never denies: its findings become warnings."""

    def __init__(
        self,
        auditor: Callable[[], Auditor],
        metrics: AdmissionMetrics,
        *,
        get: Get | None = None,
        denied: DenialHook | None = None,
        rollouts: RolloutWatch | None = None,
        answered: AnswerHook | None = None,
        hold: HoldFactory = nullcontext,
        longest_waiver: timedelta = LONGEST,
        rules: RuleEdge | None = None,
    ) -> None:
        """``hold`` keeps the auditor's world from changing while it is entered."""
        self._rules = rules if rules is not None else RuleEdge(Engines({}))
        self._longest_waiver = longest_waiver
        self._auditor = auditor
        self._metrics = metrics
        self._get = get
        self._denied, self._answered = denied, answered
        self._rollouts = rollouts
        self._hold = hold
        self._large = asyncio.Lock()

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "POST":
            await answer(send, 405, "send an AdmissionReview by POST\n", [(b"allow", b"POST")])
            return
        content_type = (header(scope, b"content-type") or _JSON).split(b";")[0].strip().lower()
        if content_type != _JSON:
            await answer(send, 415, "send the AdmissionReview as application/json\n")
            return
        body = await _whole(receive)
        started = time.perf_counter()
        seconds = deadline_from(scope.get("query_string", b""), DEFAULT_TIMEOUT)
        deadline = Deadline.within(seconds)
        aside = len(body) >= LARGE
        spares = scope["path"].endswith(_NEVER_DENIES)
        try:
            review = await self._aside(partial(read_review, body)) if aside else read_review(body)
        except ReviewError as error:
            self._metrics.malformed.inc()
            if error.uid:
                verdict = unread(error)
                denies = not spares and self._auditor().policies.denies
                await _send(send, error.uid, verdict if denies else spare(verdict, SYSTEM))
            else:
                await answer(send, 400, f"{error}\n")
            return
        await self._rules.compile_declared(review, self._auditor(), deadline)
        told = await self._rules.judged(self._auditor, deadline, partial(self._judge, review, deadline, spares, aside))
        self._metrics.count(review, told, time.perf_counter() - started)
        await _send(send, review.uid, told)
        # Once the answer is on its way, so nothing of this can be in its way.
        if self._answered is not None:
            self._answered(review, told)
        is_evidence = not told.allowed or bool(told.recorded)
        if self._denied is not None and is_evidence and not review.request.dry_run:
            self._denied(review, told)
        if self._rollouts is not None and not spares and not review.request.dry_run:
            await self._rollouts.follow(review, told, self._auditor(), partial(self._judge_by, review, seconds, aside))
        review.forget_pods()

    async def _judge(
        self, review: Review, deadline: Deadline, spares: bool, aside: bool, auditor: Auditor, until_known: UntilKnown
    ) -> Verdict:
        """The verdict as it is told, by one auditor, its owners looked up where that may change it."""

        async def told(judge: Callable[[Auditor, Deadline], Verdict]) -> tuple[Verdict, Verdict]:
            def work() -> tuple[Verdict, Verdict]:
                verdict = judge(auditor, deadline)
                return verdict, tell(verdict, auditor, never_denies=spares)

            return await self._aside(work) if aside else work()

        first = partial(decide, review, longest_waiver=self._longest_waiver, compile_rules=self._rules.known)
        first = partial(first, read_modules=self._rules.known_modules)

        async def ask() -> None:
            work = partial(ask_ahead, review, auditor, deadline)
            await self._aside(work) if aside else work()

        verdict, shown = await until_known(partial(told, first), ask)
        if self._get is not None and may_need_look_up(review, verdict):
            again = await asyncio.to_thread(look_up, review, verdict, self._get)
            if again is not None:
                _, shown = await until_known(partial(told, again))
        return shown

    async def _judge_by(self, review: Review, seconds: float, aside: bool, auditor: Auditor) -> Verdict:
        """The verdict on a request by another auditor, owners and all, within as much time again."""
        deadline = Deadline.within(seconds)
        judge = partial(self._judge, review, deadline, False, aside)
        return await self._rules.judged(lambda: auditor, deadline, judge)

    async def _aside(self, work: Callable[[], T]) -> T:
        """Work in a thread, one at a time, so others are answered meanwhile; the world stays as it is."""
        async with self._large:
            with self._hold():
                return await asyncio.to_thread(work)


async def _send(send: AsgiSend, uid: str, verdict: Verdict) -> None:
    payload = orjson.dumps(respond(uid, verdict))
    headers = [(b"content-type", _JSON), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


async def _whole(receive: AsgiReceive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


class AdmissionApi(FastAPI):
    """FastAPI, with reviews handed to a plain ASGI handler before any middleware and routing.

    Those cost a fifth of a whole review and have nothing to do for it: no parameters, no dependencies, an answer
    that is bytes already.
    """

    def __init__(self, reviews: AsgiApp) -> None:
        super().__init__(title="iocaudit admission", docs_url=None, redoc_url=None, openapi_url=None)
        self._reviews = reviews

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] == "http" and (scope["path"] == VALIDATE_PATH or scope["path"].startswith(_BELOW)):
            await self._reviews(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def admission_app(validate: ValidateApp, bounds: Bounds, rejected: Callable[[str], None]) -> AsgiApp:
    """The whole app: FastAPI, the handler with its bounds at /validate and below."""
    return AdmissionApi(Limits(validate, bounds, rejected))
