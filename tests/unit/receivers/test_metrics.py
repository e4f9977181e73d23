"""What receivers count."""

from prometheus_client import CollectorRegistry

from iocaudit.receivers.metrics import SignalMetrics
from iocaudit.signals.signal import SignalSource


def test_a_post_counts_what_is_new_and_what_is_repeated() -> None:
    registry = CollectorRegistry()
    metrics = SignalMetrics(registry)
    metrics.stored(SignalSource.FALCO, "falco", 3, 0)
    metrics.stored(SignalSource.FALCO, "falco", 0, 2)
    labels = {"source": "falco", "sender": "falco"}
    assert registry.get_sample_value("iocaudit_receiver_signals_total", {**labels, "state": "new"}) == 3
    assert registry.get_sample_value("iocaudit_receiver_signals_total", {**labels, "state": "repeated"}) == 2
    assert registry.get_sample_value("iocaudit_receiver_posts_total", {**labels, "result": "stored"}) == 2
    assert registry.get_sample_value("iocaudit_receiver_last_post_timestamp_seconds", {"sender": "falco"})
