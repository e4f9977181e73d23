"""The HTTP edge: a FastAPI app whose hot path is a plain ASGI handler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TypeVar

import orjson
from fastapi import FastAPI

from admission.metrics import AdmissionMetrics
from admission.owners import Get
from admission.review import (
    decide,
    fetch_adopter,
    fetch_owners,
    is_adopted,
    may_be_spared,
    respond,
    unread,
    with_adopter,
)
from admission.told import with_told
from iocaudit.core.own_names import NEVER_DENIES_PATH, VALIDATE_PATH
from iocaudit.engine.audit import Auditor, Deadline
from iocaudit.engine.posture import Verdict, spare
from iocaudit.engine.waivers import LONGEST
from iocaudit.serving.asgi import AsgiApp, Receive, Scope, Send, answer, header
from iocaudit.serving.durations import deadline_from
from iocaudit.serving.limits import Bounds, Limits
from iocaudit.sources.admission_review import Review, ReviewError, read_review

DEFAULT_TIMEOUT = 3.0
"""Seconds the API server is taken to wait where it does not say."""
_JSON = b"application/json"
_BELOW = f"{VALIDATE_PATH}/"
_NEVER_DENIES = NEVER_DENIES_PATH.removeprefix(VALIDATE_PATH)
_SYSTEM = "system"

T = TypeVar("T")
LARGE = 64 * 1024
"""Bytes from which a review is judged in a thread of its own: below, it takes a few milliseconds at most."""
Denied = Callable[[Review, Verdict], None]
"""Told of each request that was really denied, or of which something is recorded: no dry run, and by the webhook that
denies."""
Answered = Callable[[Review, Verdict], None]
"""Told of each request that was answered by a verdict."""
Hold = Callable[[], AbstractContextManager[None]]


class ValidateApp:
    """``/validate`` judges; ``/validate/system`` never denies: its findings become warnings."""

    def __init__(
        self,
        auditor: Callable[[], Auditor],
        metrics: AdmissionMetrics,
        *,
        get: Get | None = None,
        denied: Denied | None = None,
        answered: Answered | None = None,
        hold: Hold = nullcontext,
        longest_waiver: timedelta = LONGEST,
    ) -> None:
        """``hold`` keeps the auditor's world from changing while it is entered."""
        self._longest_waiver = longest_waiver
        self._auditor = auditor
        self._metrics = metrics
        self._get = get
        self._denied, self._answered = denied, answered
        self._hold = hold
        self._large = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        deadline = Deadline.within(deadline_from(scope.get("query_string", b""), DEFAULT_TIMEOUT))
        aside = len(body) >= LARGE

        def judge() -> tuple[Review, Verdict]:
            review = read_review(body)
            return review, decide(review, self._auditor(), deadline, longest_waiver=self._longest_waiver)

        spares = scope["path"].endswith(_NEVER_DENIES)
        try:
            review, verdict = await self._aside(judge) if aside else judge()
        except ReviewError as error:
            self._metrics.malformed.inc()
            if error.uid:
                verdict = unread(error)
                denies = not spares and self._auditor().policies.denies
                await _send(send, error.uid, verdict if denies else spare(verdict, _SYSTEM))
            else:
                await answer(send, 400, f"{error}\n")
            return
        if not verdict.allowed and self._get is not None and may_be_spared(review):
            owners = await asyncio.to_thread(fetch_owners, review, self._get)
            if owners:

                def judge_again() -> Verdict:
                    return decide(review, self._auditor(), deadline, owners)

                verdict = await self._aside(judge_again) if aside else judge_again()
        elif verdict.allowed and self._get is not None and is_adopted(review):
            adopter = await asyncio.to_thread(fetch_adopter, review, self._get)
            if adopter is not None:
                allowed, found = verdict, adopter

                def judge_adoption() -> Verdict:
                    return with_adopter(review, allowed, found, self._auditor(), deadline)

                verdict = await self._aside(judge_adoption) if aside else judge_adoption()
        review.forget_pods()
        if spares:
            verdict = spare(verdict, _SYSTEM)
        judged, catalogue = verdict, self._auditor().catalogue
        verdict = await self._aside(lambda: with_told(judged, catalogue)) if aside else with_told(judged, catalogue)
        self._metrics.count(review, verdict, time.perf_counter() - started)
        await _send(send, review.uid, verdict)
        # Once the answer is on its way, so that nothing of this can be in its way.
        if self._answered is not None:
            self._answered(review, verdict)
        is_evidence = not verdict.allowed or bool(verdict.recorded)
        if self._denied is not None and is_evidence and not review.request.dry_run:
            self._denied(review, verdict)

    async def _aside(self, work: Callable[[], T]) -> T:
        """Work in a thread, one at a time, so that others are answered meanwhile; the world stays as it is."""
        async with self._large:
            with self._hold():
                return await asyncio.to_thread(work)


async def _send(send: Send, uid: str, verdict: Verdict) -> None:
    payload = orjson.dumps(respond(uid, verdict))
    headers = [(b"content-type", _JSON), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


async def _whole(receive: Receive) -> bytes:
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["path"] == VALIDATE_PATH or scope["path"].startswith(_BELOW)):
            await self._reviews(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def admission_app(validate: ValidateApp, bounds: Bounds, rejected: Callable[[str], None]) -> AsgiApp:
    """The whole app: FastAPI, the handler with its bounds at /validate and below."""
    return AdmissionApi(Limits(validate, bounds, rejected))
