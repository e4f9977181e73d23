"""Where the webhook's replicas post denied attempts, and receivers sightings: HTTPS, for those alone.

Who may post: anyone who shows a certificate of our own authority (TLS 1.3, `CertificateSource` with ``client_ca``).
That authority signs the webhook's certificate, whose key lies in a Secret that only operator and webhook read; so its
holder is the webhook, or could pass for it before the API server anyway. Where there are receivers of signals it signs
theirs, under a name of its own: the holder of that one can post sightings, and no denied attempt. A ServiceAccount's
token with an audience would prove no more, would need the cluster-wide right to create TokenReviews, and would make
counting denials depend on the API server just when it is in trouble.

Only the leader listens: it is the one that has the certificate and that writes. A standby refuses the connection,
so a replica that met it through the Service tries again at once and meets the leader. It stays Ready all the
same: were readiness leadership, a rolling update would wait for ever for a new pod to become ready.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from iocaudit.core.own_names import ATTEMPTS_PATH, RECEIVERS
from iocaudit.evidence.ledger import Ledger
from iocaudit.evidence.post import read_post
from iocaudit.evidence.post_fields import PostError
from iocaudit.evidence.posts import Answer
from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, answer
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.errors import CertificateError, ListenError
from iocaudit.serving.health import Readiness
from iocaudit.serving.limits import Bounds, Limits
from iocaudit.serving.listener import FEW, Listeners, ListenerSpec
from iocaudit.serving.metrics import CertificateMetrics, ConnectionMetrics, LimitMetrics
from iocaudit.serving.protocol import CLIENT_NAME
from iocaudit.supervision.part import Life, beating
from iocaudit.supervision.supervisor import Supervisor

_log = logging.getLogger(__name__)

BOUNDS = Bounds(max_body=8 * 1024 * 1024, max_buffered=24 * 1024 * 1024, max_concurrent=2, max_queued=64)
_STATUS = {Answer.STORED: 200, Answer.WAITING: 202, Answer.BUSY: 503}
_RETRY = 5.0


def attempts_app(ledger: Ledger) -> AsgiApp:
    """``POST /attempts``: 200 stored, 202 taken (ask again), 503 not taken (send again), 400 with the reason."""

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] != ATTEMPTS_PATH or scope["method"] != "POST":
            await answer(send, 404, f"not found: POST to {ATTEMPTS_PATH}\n")
            return
        body = (await receive())["body"]
        try:
            # Off the event loop: a full post takes a while to read, and probes are answered on it.
            post = await asyncio.to_thread(read_post, body, time.time())
        except PostError as error:
            await answer(send, 400, f"{error}\n")
            return
        if post.has_attempts and scope.get(CLIENT_NAME) == RECEIVERS:
            await answer(send, 403, "receivers post what was seen, not what was denied\n")
            return
        found = await asyncio.to_thread(ledger.accept, post)
        await answer(send, _STATUS[found], found.value + "\n")

    return app


@dataclass(frozen=True, slots=True)
class ReceiverMetrics:
    """What its listener counts."""

    limits: LimitMetrics
    certificates: CertificateMetrics
    connections: ConnectionMetrics


async def receive(
    ledger: Ledger,
    folder: Path,
    host: str,
    port: int,
    metrics: ReceiverMetrics,
    supervisor: Supervisor,
    life: Life,
) -> None:
    """Listen until cancelled; begun again where there is no certificate yet, or the port is taken.

    ``folder`` holds tls.crt, tls.key and ca.crt. What audits the cluster must not end because nobody can post.
    """
    source = CertificateSource.from_folder(
        folder, client_ca=folder / "ca.crt", name="attempts", metrics=metrics.certificates
    )
    drain = Drain(Readiness([]), grace=0.0, finish=1.0)
    app = Limits(attempts_app(ledger), BOUNDS, metrics.limits)
    while True:
        life.beat()
        listen = ListenerSpec("attempts", app, host, port, source, FEW)
        listeners = Listeners([listen], drain, metrics=metrics.connections, supervisor=supervisor)
        try:
            await listeners.start()
        except (CertificateError, ListenError) as error:
            _log.error("denied attempts cannot be received yet: %s", error)
            await beating(asyncio.sleep(_RETRY), life)
            continue
        try:
            await beating(listeners.failed(), life)
        finally:
            await listeners.stop(force=True)
