"""Metrics with prometheus_client, in a registry of our own so that nothing is counted by accident."""

import platform
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    PlatformCollector,
    ProcessCollector,
    make_asgi_app,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import iocaudit
from iocaudit.core.kinds import Kind
from iocaudit.serving.asgi import AsgiApp, AsgiReceive, AsgiScope, AsgiSend, answer
from iocaudit.serving.connections import Connections, Rank, Reason
from iocaudit.supervision.supervisor import Supervisor

LATENCY_BUCKETS = (
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0,
)  # fmt: skip
"""Seconds; fine where an admission review lies (1 to 15 ms)."""


def new_registry(component: str) -> CollectorRegistry:
    """A registry with the process's figures and ``iocaudit_build_info``; ``component`` is webhook, operator."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Info("iocaudit_build", "Version of the running program.", registry=registry)
    build.info({"component": component, "version": iocaudit.__version__, "python": platform.python_version()})
    return registry


def metrics_app(registry: CollectorRegistry) -> AsgiApp:
    """``/metrics`` in the format the scraper asks for."""
    exposition = make_asgi_app(registry=registry)

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] != "/metrics":
            await answer(send, 404, "not found: try /metrics\n")
            return
        await exposition(scope, receive, send)

    return app


class WatchMetrics:
    """How the watches fare, by kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stale = Gauge(
            "iocaudit_world_seconds_since_contact",
            "Seconds since the API server last answered for a kind.",
            ["kind"],
            registry=registry,
        )
        self.errors = Counter(
            "iocaudit_watch_errors_total",
            "Failures to list or watch a kind, or to ask what is served.",
            ["kind"],
            registry=registry,
        )

    def failed(self, kind: object) -> None:
        """Count a failure of a kind's watch; of the discovery where it is None."""
        self.errors.labels(str(kind) if kind is not None else "discovery").inc()

    def follow(self, kinds: Iterable[Kind], seconds: Callable[[Kind], float]) -> None:
        """Say of each kind how long ago the API server last said something of it, whenever that is asked."""
        for kind in kinds:
            self.stale.labels(str(kind)).set_function(partial(seconds, kind))


class PartCollector(Collector):
    """What the supervisor knows of the parts of the process; ``part`` is bounded by their names."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        supervisor = self._supervisor
        restarts = CounterMetricFamily("iocaudit_part_restarts", "Times a part had to be restarted.", labels=["part"])
        silent = GaugeMetricFamily(
            "iocaudit_part_seconds_since_progress", "Seconds since a part last made progress.", labels=["part"]
        )
        for part in supervisor.parts:
            restarts.add_metric([part.name], part.restarts)
            silent.add_metric([part.name], supervisor.seconds_since_progress(part))
        yield restarts
        yield silent
        yield GaugeMetricFamily(
            "iocaudit_threads_hanging", "Threads that were given up and have not ended.", value=supervisor.hanging
        )
        yield GaugeMetricFamily(
            "iocaudit_threads_unsupervised", "Threads that nothing looks after.", value=len(supervisor.unsupervised())
        )


class CertificateMetrics:
    """When each certificate in use expires, and how its reloads went; ``name`` says which certificate."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.expiry = Gauge(
            "iocaudit_certificate_expiry_timestamp_seconds",
            "Unix time at which the certificate in use expires.",
            ["name"],
            registry=registry,
        )
        self.reloads = Counter(
            "iocaudit_certificate_reloads_total",
            "Changes of the certificate's files, by result (loaded, refused).",
            ["name", "result"],
            registry=registry,
        )


class LimitMetrics:
    """Requests that were turned away before any work, by reason; call it as `limits.Limits`' ``rejected``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rejected = Counter(
            "iocaudit_http_rejected_total",
            "Requests turned away unread, by reason (too-large, incomplete-body, busy, memory).",
            ["reason"],
            registry=registry,
        )

    def __call__(self, reason: str) -> None:
        self._rejected.labels(reason).inc()


class ConnectionMetrics:
    """The connections of each listener by what they do, and those that it closed by itself, by reason."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "iocaudit_connections", "Open connections, by what they do.", ["listener", "state"], registry=registry
        )
        self._closed = Counter(
            "iocaudit_connections_closed_total",
            "Connections that the listener closed by itself, by reason.",
            ["listener", "reason"],
            registry=registry,
        )

    def watch(self, listener: str, connections: Connections) -> None:
        """Show a listener's connections from now on."""
        for rank in Rank:
            self._open.labels(listener, rank.name.lower()).set_function(partial(connections.of, rank))

    def closed(self, listener: str) -> Callable[[Reason], None]:
        """What counts for a listener. Each reason is shown as 0 from the start: the first is an increase."""
        counters = {reason: self._closed.labels(listener, reason.value) for reason in Reason}
        return lambda reason: counters[reason].inc()
