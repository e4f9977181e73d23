"""Run the webhook: watches first, ready once all it needs is loaded, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import sys
from functools import partial

from admission.app import ValidateApp, admission_app
from admission.attempts import Attempts
from admission.lag import Lag
from admission.metrics import AdmissionMetrics
from admission.options import WebhookOptions
from admission.reporter import AttemptMetrics, Operator, Reporter
from admission.state import State, loop_sink
from iocaudit.cluster.client import Client
from iocaudit.cluster.watch import Watches
from iocaudit.core.kinds import Kind
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.garbage import settle
from iocaudit.serving.health import Readiness, health_app
from iocaudit.serving.heap import keep_large_blocks_apart
from iocaudit.serving.limits import Bounds
from iocaudit.serving.listener import Listen, run, serve
from iocaudit.serving.logs import configure_logging
from iocaudit.serving.metrics import (
    CertificateMetrics,
    ConnectionMetrics,
    LimitMetrics,
    PartCollector,
    metrics_app,
    new_registry,
)
from iocaudit.supervision.supervisor import Supervisor

_SWITCH_SECONDS = 0.0005
_LONGEST_END = 30.0
"""Seconds that the process may take to end once it no longer serves."""


def main(options: WebhookOptions) -> None:
    """Serve until told to stop. Raises our own errors for what cannot be used at start."""
    configure_logging()
    # A large review is judged in a thread: the event loop gets its turn this much later at most (5 ms by default).
    sys.setswitchinterval(_SWITCH_SECONDS)
    keep_large_blocks_apart()
    supervisor = Supervisor(exit_within=options.drain_seconds + _LONGEST_END)
    try:
        run(_serve(options, supervisor))
    finally:
        supervisor.close()


async def _serve(options: WebhookOptions, supervisor: Supervisor) -> None:
    catalogue = builtin_catalogue()
    state = State(
        catalogue,
        profile=options.profile,
        longest_waiver=options.longest_waiver,
        own_namespace=options.namespace,
    )
    client = Client.connect(options.kubeconfig, options.context)
    owners = Client.connect(options.kubeconfig, options.context, timeout=1.0)
    registry = new_registry("webhook")
    metrics = AdmissionMetrics(registry)
    for word, count in state.counts.items():
        metrics.policies.labels(word).set_function(count)
    for word, count in state.waiver_counts.items():
        metrics.waivers.labels(word).set_function(count)
    readiness = Readiness([str(kind) for kind in state.kinds])
    drain = Drain(readiness, grace=options.drain_seconds)
    drain.on_signals()

    lag = Lag(state.kinds, metrics.saw)

    def loaded(kind: Kind, lacking: str | None) -> None:
        was_ready = readiness.ready
        readiness.set(str(kind), lacking is None, lacking or "")
        if readiness.ready and not was_ready:
            settle()

    sink = loop_sink(state, asyncio.get_running_loop(), loaded, lag.seen)
    registry.register(PartCollector(supervisor))
    watches = Watches(client, state.kinds, sink, supervisor, metrics.watching.failed)
    metrics.watching.follow(watches.kinds, watches.seconds_since_contact)
    supervisor.pulse("large review", state.progress_at)
    supervisor.pulse("drain", drain.progress_at, silence=options.drain_seconds + _LONGEST_END, at_once=True)
    supervisor.start()
    watches.start()
    source = CertificateSource.from_folder(
        options.certificates, client_ca=options.client_ca, metrics=CertificateMetrics(registry)
    )
    reporter = _reporter(options.attempts_url, source, AttemptMetrics(registry)) if options.attempts_url else None
    app = ValidateApp(
        lambda: state.auditor,
        metrics,
        get=owners.get,
        denied=reporter.denied if reporter is not None else None,
        answered=lag.answered,
        hold=state.hold,
        longest_waiver=options.longest_waiver,
    )
    try:
        await serve(
            [
                Listen(
                    "admission",
                    admission_app(app, Bounds(), LimitMetrics(registry)),
                    options.host,
                    options.port,
                    source,
                ),
                Listen.plain("health", health_app(readiness, supervisor.reason), options.host, options.health_port),
                Listen.plain("metrics", metrics_app(registry), options.host, options.metrics_port),
            ],
            drain,
            metrics=ConnectionMetrics(registry),
            background=[
                supervisor.failed,
                supervisor.keep_loop,
                *([partial(supervisor.keep, "attempts", reporter.run)] if reporter is not None else []),
            ],
            supervisor=supervisor,
        )
    finally:
        supervisor.stop()
        if reporter is not None:
            await reporter.finish()


def _reporter(url: str, source: CertificateSource, metrics: AttemptMetrics) -> Reporter:
    # Never the same name twice: a replica numbers its posts from 1.
    host = re.sub(r"[^A-Za-z0-9.-]", "-", os.environ.get("POD_NAME") or socket.gethostname())
    replica = f"{host[:100]}-{secrets.token_hex(4)}"
    return Reporter(Attempts(replica, overflowed=metrics.overflowed.inc), Operator(url, source).send, metrics)
