"""Run the webhook: watches first, ready once all it needs is loaded, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry

from admission.app import ValidateApp, admission_app
from admission.lag import Lag
from admission.metrics import AdmissionMetrics
from admission.options import WebhookOptions
from admission.rollouts import RolloutCounts, RolloutWatch
from admission.rule_edge import RuleEdge
from admission.rules import RulePart
from admission.state import State, loop_sink
from iocaudit.cluster.api import ListScope
from iocaudit.cluster.client import Client
from iocaudit.cluster.watch import Watches
from iocaudit.core.kinds import CONFIG_MAP, Kind
from iocaudit.engine.catalogue import installed_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.posture import Verdict
from iocaudit.evidence.counting import Attempts
from iocaudit.evidence.reporter import OperatorConnection, Reporter, ReporterMetrics
from iocaudit.live.engine_factories import factories
from iocaudit.live.engines import Engines
from iocaudit.live.modules import SELECTOR
from iocaudit.live.rulebook import RULEBOOK_KINDS
from iocaudit.serving.certificate_source import CertificateSource
from iocaudit.serving.drain import Drain
from iocaudit.serving.garbage import settle
from iocaudit.serving.health import Readiness, health_app
from iocaudit.serving.heap import keep_large_blocks_apart
from iocaudit.serving.limits import Bounds
from iocaudit.serving.listener import ListenerSpec, run, serve
from iocaudit.serving.logs import configure_logging
from iocaudit.serving.metrics import (
    CertificateMetrics,
    ConnectionMetrics,
    LimitMetrics,
    PartCollector,
    metrics_app,
    new_registry,
)
from iocaudit.serving.rule_metrics import RuleMetrics
from iocaudit.sources.admission_review import Review
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
    catalogue = installed_catalogue()
    registry = new_registry("webhook")
    rule_metrics = RuleMetrics(registry)
    engines = Engines(factories(options.engines, supervisor.thread, rule_metrics), rule_metrics)
    state = State(
        catalogue,
        profile=options.profile,
        longest_waiver=options.longest_waiver,
        own_namespace=options.namespace,
        engines=engines,
    )
    client = Client.connect(options.kubeconfig, options.context)
    owners = Client.connect(options.kubeconfig, options.context, timeout=1.0)
    rule_metrics.follow(lambda: engines.failing, lambda: state.module_problems, lambda: engines.trouble)
    metrics = AdmissionMetrics(registry)
    for word, count in state.counts.items():
        metrics.policies.labels(word).set_function(count)
    for word, count in state.waiver_counts.items():
        metrics.waivers.labels(word).set_function(count)
    readiness = Readiness([*(str(kind) for kind in state.kinds), "rules"])
    drain = Drain(readiness, grace=options.drain_seconds)
    drain.on_signals()

    lag = Lag(state.kinds, metrics.saw)
    loop = asyncio.get_running_loop()

    def ready(condition: str, lacking: str | None) -> None:
        was_ready = readiness.ready
        readiness.set(condition, lacking is None, lacking or "")
        if readiness.ready and not was_ready:
            settle()

    rules = _rule_part(state, loop, ready)
    unread = set(RULEBOOK_KINDS)

    def loaded(kind: Kind, lacking: str | None) -> None:
        if kind not in state.kinds:
            return  # what only rules look up: without it these are skipped, and all else is judged
        ready(str(kind), lacking)
        if lacking is None and kind in unread:
            unread.discard(kind)
            if not unread:
                rules.start_loading()

    sink = loop_sink(state, loop, loaded, lag.seen)
    registry.register(PartCollector(supervisor))
    modules = ListScope(options.namespace, SELECTOR)
    watches = Watches(client, state.kinds, sink, supervisor, metrics.watching.failed, scopes={CONFIG_MAP: modules})
    metrics.watching.follow(watches.kinds, watches.seconds_since_contact)
    state.require = watches.require
    supervisor.pulse("large review", state.progress_at)
    supervisor.pulse("drain", drain.progress_at, silence=options.drain_seconds + _LONGEST_END, at_once=True)
    supervisor.start()
    supervisor.thread("rules", rules.run)
    watches.start()
    source = CertificateSource.from_folder(
        options.certificates, client_ca=options.client_ca, metrics=CertificateMetrics(registry)
    )
    counts = RolloutCounts(lambda: state.auditor.policies)
    reporter, denied = _reporter(options.attempts_url, source, registry, counts)
    app = ValidateApp(
        lambda: state.auditor,
        metrics,
        get=owners.get,
        denied=denied,
        rollouts=RolloutWatch(counts) if reporter is not None else None,
        answered=lag.answered,
        hold=state.hold,
        longest_waiver=options.longest_waiver,
        rules=RuleEdge(engines, state.superseded),
    )
    try:
        await serve(
            [
                ListenerSpec(
                    "admission",
                    admission_app(app, Bounds(), LimitMetrics(registry)),
                    options.host,
                    options.port,
                    source,
                ),
                ListenerSpec.plain(
                    "health", health_app(readiness, supervisor.reason), options.host, options.health_port
                ),
                ListenerSpec.plain("metrics", metrics_app(registry), options.host, options.metrics_port),
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
        engines.close()


def _rule_part(state: State, loop: asyncio.AbstractEventLoop, ready: Callable[[str, str | None], None]) -> RulePart:
    """What reads policies and modules aside; it hands over to the event loop what is in force."""

    def put_in_force(policies: PolicySet) -> None:
        state.take(policies)
        rules.in_force()

    def use(policies: PolicySet) -> None:
        loop.call_soon_threadsafe(state.change, partial(put_in_force, policies))

    def loaded(lacking: str | None) -> None:
        loop.call_soon_threadsafe(ready, "rules", lacking)

    rules = RulePart(use, loaded)
    state.read_aside, state.is_changing = rules.read, lambda: rules.is_changing
    return rules


def _reporter(
    url: str | None, source: CertificateSource, registry: CollectorRegistry, rollouts: RolloutCounts
) -> tuple[Reporter, Callable[[Review, Verdict], None]] | tuple[None, None]:
    """What posts denied attempts, and what counts a denied request; nothing where there is nowhere to post."""
    if not url:
        return None, None
    metrics = ReporterMetrics(registry)
    # Never the same name twice: a replica numbers its posts from 1.
    host = re.sub(r"[^A-Za-z0-9.-]", "-", os.environ.get("POD_NAME") or socket.gethostname())
    replica = f"{host[:100]}-{secrets.token_hex(4)}"
    attempts = Attempts(replica, rollouts=rollouts, overflowed=metrics.overflowed.inc)

    def denied(review: Review, verdict: Verdict) -> None:
        metrics.counted.inc(attempts.count(review, verdict))

    return Reporter(attempts, OperatorConnection(url, source).send, metrics), denied
