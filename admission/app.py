"""The HTTP edge: a FastAPI app whose hot path is a plain ASGI handler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import orjson
from fastapi import FastAPI
from starlette.routing import Route

from admission.metrics import AdmissionMetrics
from admission.owners import Get
from admission.review import decide, fetch_owner, may_be_spared, respond
from iocaudit.engine.audit import Auditor, Deadline
from iocaudit.engine.posture import Verdict
from iocaudit.serving.asgi import AsgiApp, Receive, Scope, Send, answer, header
from iocaudit.serving.durations import deadline_from
from iocaudit.serving.limits import Bounds, Limits
from iocaudit.sources.admission_review import Review, ReviewError, read_review

DEFAULT_TIMEOUT = 3.0
"""Seconds the API server is taken to wait where it does not say."""
_JSON = b"application/json"

Judged = Callable[[Review, Verdict], None]


class ValidateApp:
    """``/validate`` judges; ``/validate/system`` never denies: its findings become warnings."""

    def __init__(
        self,
        auditor: Callable[[], Auditor],
        metrics: AdmissionMetrics,
        *,
        get: Get | None = None,
        judged: Judged | None = None,
    ) -> None:
        self._auditor = auditor
        self._metrics = metrics
        self._get = get
        self._judged = judged

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
        try:
            review = read_review(body)
        except ReviewError as error:
            self._metrics.malformed.inc()
            await answer(send, 400, f"{error}\n")
            return
        auditor = self._auditor()
        verdict = decide(review, auditor, deadline)
        if not verdict.allowed and self._get is not None and may_be_spared(review):
            # Only the call to the API server leaves the event loop: the world changes on it, never beside it.
            owner = await asyncio.to_thread(fetch_owner, review, self._get)
            if owner is not None:
                verdict = decide(review, auditor, deadline, owner)
        outcome = respond(review, verdict, never_deny=scope["path"].endswith("/system"))
        self._metrics.count(review, verdict, time.perf_counter() - started)
        if self._judged is not None and not review.request.dry_run:
            self._judged(review, verdict)
        payload = orjson.dumps(outcome.response)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", _JSON), (b"content-length", str(len(payload)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": payload})


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def admission_app(validate: ValidateApp, bounds: Bounds, rejected: Callable[[str], None]) -> AsgiApp:
    """The whole app: FastAPI outside, the bounded handler mounted at /validate."""
    app = FastAPI(title="iocaudit admission", docs_url=None, redoc_url=None, openapi_url=None)
    limited = Limits(validate, bounds, rejected)
    app.router.routes.append(Route("/validate", endpoint=limited))
    app.mount("/validate", limited)
    return app
