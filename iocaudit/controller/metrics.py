"""The operator's figures."""

from __future__ import annotations

import time
from collections import Counter as Count

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as CounterMetric

from iocaudit.controller.registration import Registration
from iocaudit.controller.sweep import ClusterAuditor
from iocaudit.controller.worker import Worker
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waivers import WaiverState
from iocaudit.serving.metrics import WatchMetrics


class OperatorMetrics:
    """Set after each turn of the worker; label sets are bounded (severity, state, action)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"iocaudit_operator_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> CounterMetric:
            return CounterMetric(f"iocaudit_operator_{name}", text, labels, registry=registry)

        self.leader = gauge("leader", "1 while this process holds the Lease.")
        self.sweep_end = gauge("last_sweep_timestamp_seconds", "Unix time at which the last complete sweep ended.")
        self.sweep_duration = gauge("sweep_duration_seconds", "How long the last complete sweep took.")
        self.objects = gauge("objects", "Objects audited and known.")
        self.queue = gauge("queue_length", "Changes that wait to be audited.")
        self.findings = gauge("findings", "Findings as stored.", ("severity", "state"))
        self.implied = gauge("implied_hits", "Hits that are reported with the finding that is their cause.")
        self.faults = gauge("faults", "Checks that failed on an object, as of the last audit of each.")
        self.policies_refused = gauge("policies_refused", "AuditPolicies that cannot be used as they are.")
        self.denying = gauge("denying_checks", "Checks that can deny under the policies in force.")
        self.waivers = gauge("waivers", "IocWaivers by the state in their status.", ("state",))
        for word in WaiverState:
            self.waivers.labels(word.value).set(0)
        self.registered = gauge("webhook_registered", "1 while the webhook configuration is as it should be.")
        self.expiry = gauge("certificate_expiry_timestamp_seconds", "When the issued serving certificate expires.")
        self.writes = counter("writes", "Writes of findings and reports.", ("action",))
        self.write_errors = counter("write_errors", "Refused writes of findings and reports.", ("action",))
        self.failures = counter("failures", "Sweeps and turns that failed and are made again.")
        self.missed = gauge("kinds_missed", "Kinds that could not be listed in the last sweep.")
        self.unfollowed = gauge("kinds_unfollowed", "Kinds whose changes are not seen now.")
        self.watching = WatchMetrics(registry)
        self._counted: dict[str, Count[str]] = {"written": Count(), "failed": Count()}
        self._failures = 0
        self._policies: PolicySet | None = None

    def update(self, cluster: ClusterAuditor, worker: Worker, registration: Registration | None) -> None:
        if registration is not None:
            self.registered.set(registration.registered)
            self.expiry.set(registration.expires)
        publisher = cluster.publisher
        if cluster.swept_at is not None:
            self.sweep_end.set(time.time() - (time.monotonic() - cluster.swept_at))
            self.sweep_duration.set(cluster.duration)
        self.objects.set(len(cluster.inventory))
        self.queue.set(worker.pending)
        self.implied.set(cluster.implied)
        self.faults.set(sum(len(kept.faults) for kept in cluster.inventory))
        self.policies_refused.set(len(cluster.policies.refused))
        if (policies := cluster.policies.current) is not self._policies:
            self._policies = policies
            self.denying.set(sum(map(policies.denying.anywhere, policies.catalogue)))
        for word, count in cluster.waivers.states.items():
            self.waivers.labels(word.value).set(count)
        states = Count((one.severity, one.state) for one in publisher.stored)
        for severity in ("critical", "high", "medium", "low"):
            for state in ("Open", "Waived", "Resolved"):
                self.findings.labels(severity, state).set(states[(severity, state)])
        for name, metric, now in (
            ("written", self.writes, publisher.written),
            ("failed", self.write_errors, publisher.failed),
        ):
            for action, count in now.items():
                metric.labels(action).inc(count - self._counted[name][action])
            self._counted[name] = Count(now)
        self.missed.set(len(cluster.missed))
        self.unfollowed.set(len(cluster.unfollowed))
        self.failures.inc(worker.failures - self._failures)
        self._failures = worker.failures
