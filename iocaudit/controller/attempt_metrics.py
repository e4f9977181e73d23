"""The operator's figures about denied attempts."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class AttemptMetrics:
    """Counted as things happen; the one label is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"iocaudit_operator_attempt_{name}", text, labels, registry=registry)

        self.posts = counter("posts", "Posts of webhook replicas, by answer.", ("answer",))
        self.counted = counter("denials", "Denied requests that were counted on a finding.")
        self.overflowed = counter("overflowed", "Denied requests counted as other, for there were too many kinds.")
        self.dropped = counter("dropped", "Denied requests lost because the API server refused their finding.")
        self.lost = counter("replicas_lost", "Replicas that went silent: up to one interval of each may be lost.")
        self.kept = counter("kept", "Findings copied because their namespace was deleted.")
        self.findings = Gauge("iocaudit_operator_attempt_findings", "Findings that are evidence.", registry=registry)
        self.waiting = Gauge("iocaudit_operator_attempt_waiting", "Attempts not written yet.", registry=registry)
