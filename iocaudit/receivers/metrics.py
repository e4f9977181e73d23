"""What receivers count. Labels are bounded: sources are three, senders those of the file."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from iocaudit.signals.signal import SignalSource


class SignalMetrics:
    """Posts by what became of them, signals by what they were found to be."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.posts = Counter(
            "iocaudit_receiver_posts_total",
            "Posts of signals, by result (stored, full, unreadable, refused).",
            ["source", "sender", "result"],
            registry=registry,
        )
        self.signals = Counter(
            "iocaudit_receiver_signals_total",
            "Signals that were stored (new), or had been stored before (repeated).",
            ["source", "sender", "state"],
            registry=registry,
        )
        self.last = Gauge(
            "iocaudit_receiver_last_post_timestamp_seconds",
            "Unix time of the last post of a sender that was stored.",
            ["sender"],
            registry=registry,
        )
        self.sightings = Counter(
            "iocaudit_receiver_sightings_total",
            "What detections saw in signals, by whether its origin was proven (attributed, unattributed).",
            ["source", "state"],
            registry=registry,
        )
        self.faults = Counter(
            "iocaudit_receiver_faults_total", "Detections that failed on a signal, and bodies.", registry=registry
        )
        self.waiting = Gauge(
            "iocaudit_receiver_waiting_bytes", "Bytes of bodies in the write-ahead file.", registry=registry
        )
        self.behind = Gauge(
            "iocaudit_receiver_behind_seconds",
            "How long ago the body that is read next was stored; 0 where none waits.",
            registry=registry,
        )

        self.incidents = Gauge(
            "iocaudit_receiver_known_incidents", "Incidents of the last day, and those open.", registry=registry
        )
        self.strands = Gauge(
            "iocaudit_receiver_strands",
            "Strands of sightings (by rule, account and target) that incidents are made from.",
            registry=registry,
        )

    def stored(self, source: SignalSource, sender: str, new: int, repeated: int) -> None:
        """Count a post that was stored."""
        self.posts.labels(source, sender, "stored").inc()
        self.signals.labels(source, sender, "new").inc(new)
        if repeated:
            self.signals.labels(source, sender, "repeated").inc(repeated)
        self.last.labels(sender).set_to_current_time()
