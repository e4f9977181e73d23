"""Posts denied attempts, and sightings, to the operator, beside the work and never in its way.

A post is sent again until the operator says that it is stored; only then the next one is made. So nothing is lost
or doubled while the operator is away or changes. A replica that is killed loses what it had not posted: at most
one interval where the operator is there.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge

from iocaudit.core.errors import IocauditError
from iocaudit.core.own_names import ATTEMPTS_PATH
from iocaudit.evidence.post import Post, to_bytes
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.errors import CertificateError
from iocaudit.supervision.backoff import Backoff
from iocaudit.supervision.part import Life, beating

_log = logging.getLogger(__name__)

INTERVAL = 2.0
HEARTBEAT = 30.0
"""Seconds after which a replica with nothing to say posts all the same, so a killed one is missed."""
FAREWELL = 5.0
_TIMEOUT = 5.0
_FIRST_RETRY, _LONGEST_RETRY = 0.25, 10.0


class PostDelayedError(IocauditError):
    """The next post cannot be made yet; says why."""


class PostSource(Protocol):
    """Where posts come from: what is counted, and the one post that is under way."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be posted since the last post was made."""

    @property
    def posting(self) -> bool:
        """Whether a post is under way."""

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever counted or posted."""

    @property
    def waiting(self) -> int:
        """How much was counted and is not known to be stored."""

    @property
    def heartbeat(self) -> float | None:
        """Seconds within which this replica is to speak; None where it need not."""

    def next_post(self, *, last: bool = False) -> Post:
        """The post to send now. Raises PostDelayedError."""

    def stored(self, number: int) -> int:
        """The operator has stored a post; how much was in it."""


class AttemptsUrlError(IocauditError):
    """The operator's URL cannot be used."""


class ReporterMetrics:
    """What becomes of denied attempts, or of sightings, in this replica."""

    def __init__(
        self, registry: CollectorRegistry, prefix: str = "iocaudit_admission_attempts", what: str = "Denials"
    ) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"{prefix}_{name}", text, registry=registry)

        self.counted = counter("counted", f"{what} counted, each for the check or detection that is behind it.")
        self.posted = counter("posted", f"{what} that the operator has stored.")
        self.overflowed = counter("overflowed", f"{what} counted as other, because the map was full.")
        self.failures = counter("post_failures", "Posts that failed and are sent again.")
        self.lost = counter("lost", f"{what} that could not be posted before the process ended.")
        self.waiting = Gauge(f"{prefix}_waiting", f"{what} counted and not known to be stored.", registry=registry)


PostSender = Callable[[bytes], int]
"""Sends a body and returns the HTTP status; raises OSError, HTTPException or CertificateError."""


class OperatorConnection:
    """One kept connection to the operator, with the webhook's certificate as identity.

    A thread that hangs with it takes it along: the next one makes its own.
    """

    def __init__(self, url: str, source: CertificateSource, *, timeout: float = _TIMEOUT) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise AttemptsUrlError(f"{url!r}: {error}") from error
        if parts.scheme != "https" or not host or parts.path not in ("", "/") or parts.query:
            raise AttemptsUrlError(f"{url!r}: give https://HOST:PORT of the operator's receiver, without a path")
        self._host, self._port = host, port or 443
        self._source, self._timeout = source, timeout
        self._connection: http.client.HTTPSConnection | None = None

    def send(self, body: bytes) -> int:
        """A new connection after every failure: the Service may then lead to another pod, the leader."""
        connection, self._connection = self._connection, None
        if connection is None:
            # The files as they are now: trust and identity follow a rotation.
            context = self._source.client_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        try:
            connection.request("POST", ATTEMPTS_PATH, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read(4096)
        except BaseException:
            connection.close()
            raise
        if answer.status not in (200, 202) or answer.will_close:
            connection.close()
        else:
            self._connection = connection
        return answer.status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def _rest(seconds: float, life: Life | None) -> None:
    await (asyncio.sleep(seconds) if life is None else beating(asyncio.sleep(seconds), life))


class Reporter:
    """`run` posts until cancelled, `finish` posts what is left. ``what`` is the word for what is posted."""

    def __init__(
        self,
        attempts: PostSource,
        send: PostSender,
        metrics: ReporterMetrics,
        *,
        what: str = "denied attempts",
        interval: float = INTERVAL,
        heartbeat: float = HEARTBEAT,
        first_retry: float = _FIRST_RETRY,
    ) -> None:
        self._attempts, self._send, self._metrics, self._what = attempts, send, metrics, what
        self._interval, self._heartbeat = interval, heartbeat
        self._backoff = Backoff(first_retry, _LONGEST_RETRY)
        self._said = ""
        self._call: asyncio.Future[int] | None = None
        metrics.waiting.set_function(lambda: attempts.waiting)

    async def run(self, life: Life | None = None) -> None:
        """Post every interval; what fails is sent again, at growing distances."""
        spoke = 0.0
        while True:
            await _rest(self._interval, life)
            if self._attempts.is_empty and not self._attempts.posting and time.monotonic() - spoke < self._silence:
                continue
            while not await self._post_next():
                await _rest(self._backoff.next(), life)
            spoke = time.monotonic()

    async def _post_next(self) -> bool:
        try:
            post = self._attempts.next_post()
        except PostDelayedError as error:
            self._failed(str(error))
            return False
        return await self._post(post)

    @property
    def _silence(self) -> float:
        """Seconds for which this replica may say nothing; in the last interval of these it speaks."""
        asked = self._attempts.heartbeat
        return self._heartbeat if asked is None else min(self._heartbeat, asked - self._interval)

    async def finish(self, seconds: float = FAREWELL) -> None:
        """Post all that is left, and say that nothing follows. What stays behind is counted and said."""
        if self._attempts.is_new:
            return
        try:
            async with asyncio.timeout(seconds):
                if self._call is not None:
                    # The thread of a cancelled `run` still has the connection.
                    await asyncio.wait([self._call])
                last = False
                while not last:
                    post = self._attempts.next_post(last=True)
                    last = post.last
                    while not await self._post(post):
                        await asyncio.sleep(self._backoff.next(0.5))
        except TimeoutError:
            left = self._attempts.waiting
            self._metrics.lost.inc(left)
            _log.warning("%s not sent to the operator before the process ended: %d", self._what, left)

    async def _post(self, post: Post) -> bool:
        """Whether the operator says that it has stored the post."""
        # Out of the event loop, TLS and all; shielded, because a thread cannot be cancelled.
        self._call = asyncio.ensure_future(asyncio.to_thread(lambda: self._send(to_bytes(post, time.time()))))
        try:
            status = await asyncio.shield(self._call)
        except (OSError, http.client.HTTPException, CertificateError) as error:
            self._failed(f"{type(error).__name__}: {error}")
            return False
        if status == 200:
            self._metrics.posted.inc(self._attempts.stored(post.number))
            self._backoff.reset()
            self._said = ""
            return True
        if status == 400:
            # It will never be taken, however often it is sent: a fault of ours, which must not stop the next one.
            lost = self._attempts.stored(post.number)
            self._metrics.lost.inc(lost)
            _log.error("the operator refused a post of %s as invalid; lost: %d", self._what, lost)
            return True
        if status != 202:  # 202: taken, and asked for again until it is stored
            self._failed(f"HTTP {status}")
        return False

    def _failed(self, reason: str) -> None:
        self._metrics.failures.inc()
        if not self._said:
            _log.warning("%s are not posted yet: %s", self._what, reason)
        self._said = reason
