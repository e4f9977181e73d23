"""The operator's figures about evidence: denied attempts, and sightings at run time."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from iocaudit.evidence.key import RUNTIME, EvidenceKey


class SourceMetrics:
    """What becomes of the posts of one kind of sender. Counted as things happen; the one label is bounded."""

    def __init__(self, registry: CollectorRegistry, of: str, counted: str, what: str) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"iocaudit_operator_{of}_{name}", text, labels, registry=registry)

        self.posts = counter("posts", f"Posts of {what}, by answer.", ("answer",))
        self.counted = counter(counted, f"How many of {what} were counted on a finding.")
        self.suppressed = counter("suppressed", f"How many of {what} were counted without a write of their own.")
        self.overflowed = counter("overflowed", f"How many of {what} were counted as other, for lack of room.")
        self.dropped = counter("dropped", f"How many of {what} were lost: the API server refused their finding.")
        self.waiting = Gauge(
            f"iocaudit_operator_{of}_waiting", f"Findings of {what} not written yet.", registry=registry
        )


class IncidentMetrics:
    """What is written of incidents, and how many there are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.written = Counter(
            "iocaudit_operator_incident_writes", "Writes of IocIncidents, by action.", ("action",), registry=registry
        )
        self.dropped = Counter(
            "iocaudit_operator_incident_dropped",
            "Incidents that the API server refused.",
            registry=registry,
        )
        self.incidents = Gauge("iocaudit_operator_incidents", "IocIncidents, by state.", ("state",), registry=registry)


class EvidenceMetrics:
    """What is counted of attempts, of sightings, and of all evidence."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = SourceMetrics(registry, "attempt", "denials", "denied requests and changes of policies")
        self.sightings = SourceMetrics(registry, "sighting", "counted", "sightings at run time")
        self.lost = Counter(
            "iocaudit_operator_attempt_replicas_lost",
            "Webhook replicas that went silent: up to one interval of each may be lost.",
            registry=registry,
        )
        self.kept = Counter(
            "iocaudit_operator_attempt_kept",
            "Findings copied because their namespace was deleted.",
            registry=registry,
        )
        self.findings = Gauge("iocaudit_operator_attempt_findings", "Findings that are evidence.", registry=registry)

    def of(self, key: EvidenceKey) -> SourceMetrics:
        """The figures of what a key counts."""
        return self.sightings if key.type == RUNTIME else self.attempts
