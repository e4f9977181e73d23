"""Sightings counted, not repeated, and bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from iocaudit.core.severity import IoC, Severity
from iocaudit.detecting.summary import SightingSummary
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import signal_of
from tests.support.audit_events import event

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)


def sighting(rule: str = "r", severity: Severity = Severity.LOW, minute: int = 0, name: str = "web") -> Sighting:
    ref = {"resource": "pods", "namespace": "shop", "name": name}
    when = (NOW + timedelta(minutes=minute)).isoformat()
    signal = signal_of(read_event(event(objectRef=ref, stageTimestamp=when), LinePlace("log", minute + 1), "native"))
    return Sighting(rule, "It happens", (IoC.DNS_ANOMALY,), severity, f"{rule} in {name}", signal)


def test_the_same_is_counted_and_the_worst_stands_for_all() -> None:
    summary = SightingSummary()
    for severity, minute in ((Severity.LOW, 5), (Severity.HIGH, 3), (Severity.MEDIUM, 9)):
        summary.add(sighting(severity=severity, minute=minute))
    (group,) = summary.groups()
    assert (group.count, group.severity, group.place) == (3, Severity.HIGH, "log:4")
    assert (group.first, group.last) == (NOW + timedelta(minutes=3), NOW + timedelta(minutes=9))
    assert summary.worst is Severity.HIGH


def test_groups_differ_by_rule_and_target_and_the_worst_is_first() -> None:
    summary = SightingSummary()
    for one in (sighting("b"), sighting("a"), sighting("a", name="db"), sighting("c", Severity.CRITICAL)):
        summary.add(one)
    assert [(one.key.rule, one.key.target) for one in summary.groups()] == [
        ("c", "Pod/web"),
        ("a", "Pod/db"),
        ("a", "Pod/web"),
        ("b", "Pod/web"),
    ]
    assert len(summary.groups(Severity.HIGH)) == 1
    assert summary.count_below(Severity.HIGH) == 3


def test_it_is_bounded_and_a_worse_one_finds_room() -> None:
    summary = SightingSummary(3)
    for number in range(5):
        summary.add(sighting(name=f"pod-{number}"))
    summary.add(sighting("bad", Severity.CRITICAL))
    assert len(summary.groups()) == 3
    assert summary.groups()[0].key.rule == "bad"
    assert dict(summary.beyond) == {Severity.LOW: 3}
    assert summary.sightings == 6 == sum(one.count for one in summary.groups()) + sum(summary.beyond.values())


def test_what_was_not_kept_still_counts_for_the_worst() -> None:
    summary = SightingSummary(1)
    summary.add(sighting(severity=Severity.HIGH))
    summary.add(sighting(severity=Severity.HIGH, name="other"))
    assert summary.worst is Severity.HIGH
    assert SightingSummary().worst is None
