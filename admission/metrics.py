"""What the webhook counts. Labels are bounded: kinds we don't know count as ``other``."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from iocaudit.core.kinds import Kind
from iocaudit.engine.posture import Verdict
from iocaudit.serving.fault_log import FaultLog
from iocaudit.serving.metrics import LATENCY_BUCKETS, WatchMetrics
from iocaudit.sources.admission_review import Review

_LAG_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class AdmissionMetrics:
    """Verdicts, latency, faults, staleness."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.verdicts = Counter(
            "iocaudit_admission_verdicts_total",
            "Answers by verdict, operation and kind.",
            ["verdict", "operation", "kind"],
            registry=registry,
        )
        self.denied_by = Counter("iocaudit_admission_denials_total", "Denials by check.", ["check"], registry=registry)
        self.latency = Histogram(
            "iocaudit_admission_seconds", "Seconds from body to answer.", buckets=LATENCY_BUCKETS, registry=registry
        )
        self._fault_log = FaultLog()
        self.faults = Counter("iocaudit_admission_faults_total", "Checks that failed.", ["check"], registry=registry)
        self.waived = Counter(
            "iocaudit_admission_waived_total",
            "Requests with hits that a waiver covers, by check.",
            ["check"],
            registry=registry,
        )
        self.waivers = Gauge(
            "iocaudit_waivers", "IocWaivers by whether they can be read.", ["state"], registry=registry
        )
        self.malformed = Counter(
            "iocaudit_admission_malformed_total", "Request bodies that were not an AdmissionReview.", registry=registry
        )
        self.watching = WatchMetrics(registry)
        self.lag = Histogram(
            "iocaudit_world_lag_seconds",
            "Seconds from answering a request that creates an object until the webhook knows of the object.",
            ["kind"],
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.policies = Gauge("iocaudit_policies", "AuditPolicies by state.", ["state"], registry=registry)
        # Looking a child up by its labels costs as much as a check; they are bounded, so each is looked up once.
        self._verdict = cache(self.verdicts.labels)

    def saw(self, kind: Kind, seconds: float) -> None:
        """Take down how long the webhook did not know of an object."""
        self.lag.labels(str(kind)).observe(seconds)

    def count(self, review: Review, verdict: Verdict, seconds: float) -> None:
        kind = review.resource.kind.name if review.resource is not None and review.resource.kind else "other"
        word = "denied" if not verdict.allowed else "warned" if verdict.warnings else "allowed"
        self._verdict(word, review.request.operation.value, kind).inc()
        self.latency.observe(seconds)
        for check in {found.check for found in verdict.denials}:
            self.denied_by.labels(check).inc()
        for check in {waived.found.check for waived in verdict.waived}:
            self.waived.labels(check).inc()
        faults = (*verdict.faults, *verdict.fault_denials)
        for fault in faults:
            self.faults.labels(fault.check).inc()
        self._fault_log.note(faults)
