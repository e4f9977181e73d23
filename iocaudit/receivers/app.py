"""Where signals are posted: ``/falco``, ``/alertmanager``, ``/audit``, each for senders that may.

- 200: all of it stands in the file; ``new`` says how much of it had not been there before.
- 400: it cannot be read, and sending it again does not help. 401: nobody we know. 403: not this source.
- 503 with Retry-After: nothing was stored; to be sent again.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson
from fastapi import FastAPI

from iocaudit.receivers.body import BodyError
from iocaudit.receivers.intake import Intake
from iocaudit.receivers.journal import JournalFullError
from iocaudit.receivers.metrics import SignalMetrics
from iocaudit.receivers.senders import Sender, Senders
from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, answer, header
from iocaudit.serving.limits import Bounds, Limits
from iocaudit.serving.protocol import CLIENT_NAME
from iocaudit.signals.signal import SignalSource

PATHS = {f"/{source}": source for source in SignalSource}
RETRY_AFTER = 5
BOUNDS = Bounds(max_body=20 << 20, max_buffered=64 << 20, max_concurrent=512, max_queued=512, retry_after=RETRY_AFTER)
_BEARER = b"bearer "
_JSON = b"application/json"
_CLOSE = (b"connection", b"close")


_SENDER = "iocaudit.sender"
"""The key of a request's scope with the Sender that proved itself."""


class CredentialGate:
    """Lets through whom the file of senders knows, before a byte of the body is read: others cost no memory."""

    def __init__(self, app: AsgiApp, senders: Callable[[], Senders], metrics: SignalMetrics) -> None:
        self._app, self._senders, self._metrics = app, senders, metrics

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        source = source_of(scope)
        if scope["method"] != "POST":
            await answer(send, 405, "POST signals here\n", [(b"allow", b"POST"), _CLOSE])
            return
        sender = self._sender(scope)
        if sender is None:
            self._metrics.posts.labels(source, "", "refused").inc()
            await answer(send, 401, "no sender has this certificate or token\n", [_CLOSE])
        elif source not in sender.sources:
            self._metrics.posts.labels(source, sender.name, "refused").inc()
            await answer(send, 403, f"{sender.name} may not send {source}\n", [_CLOSE])
        else:
            scope[_SENDER] = sender
            await self._app(scope, receive, send)

    def _sender(self, scope: AsgiScope) -> Sender | None:
        senders = self._senders()
        if name := scope.get(CLIENT_NAME):
            return senders.by_certificate(name)
        given = header(scope, b"authorization")
        if given is None or given[: len(_BEARER)].lower() != _BEARER:
            return None
        return senders.by_token(given[len(_BEARER) :].strip().decode("latin-1"))


class SignalApp:
    """The posts, as a plain ASGI handler behind `CredentialGate` and `Limits`: it gets each body whole."""

    def __init__(
        self, intake: Intake, metrics: SignalMetrics, heard: Callable[[str], None], refused: Callable[[str], None]
    ) -> None:
        self._intake, self._metrics, self._heard, self._refused = intake, metrics, heard, refused

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        source, sender = source_of(scope), scope[_SENDER]
        body = (await receive())["body"]
        try:
            stored = await self._intake.take(source, sender, body)
        except BodyError as error:
            self._metrics.posts.labels(source, sender.name, "unreadable").inc()
            await answer(send, 400, f"{error}\n")
            return
        except JournalFullError:
            self._metrics.posts.labels(source, sender.name, "full").inc()
            self._refused(sender.name)
            await answer(send, 503, "nothing was stored: try again\n", [(b"retry-after", str(RETRY_AFTER).encode())])
            return
        self._heard(sender.name)
        self._metrics.stored(source, sender.name, stored.new, stored.entries - stored.new)
        await answer(send, 200, orjson.dumps(stored._asdict()).decode(), content_type=_JSON)


def source_of(scope: AsgiScope) -> SignalSource:
    """What is posted there; of a path in ``PATHS``."""
    return PATHS[scope["path"].rstrip("/")]


class ReceiverApi(FastAPI):
    """FastAPI, with posts handed to a plain ASGI handler before middleware and routing, as the webhook's are."""

    def __init__(self, posts: AsgiApp) -> None:
        super().__init__(title="iocaudit receivers", docs_url=None, redoc_url=None, openapi_url=None)
        self._posts = posts

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/") in PATHS:
            await self._posts(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def receiver_app(
    senders: Callable[[], Senders],
    intake: Intake,
    metrics: SignalMetrics,
    rejected: Callable[[str], None],
    heard: Callable[[str], None] = lambda _sender: None,
    refused: Callable[[str], None] = lambda _sender: None,
) -> AsgiApp:
    """The whole app. ``heard`` is told of the sender of each post that was stored, ``refused`` of one that was not."""
    posts = Limits(SignalApp(intake, metrics, heard, refused), BOUNDS, rejected)
    return ReceiverApi(CredentialGate(posts, senders, metrics))
