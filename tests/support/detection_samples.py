"""The samples in the documentation of detections, as signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import strategies as st

from iocaudit.core.shape import Json
from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.falco import read_alert
from iocaudit.signals.indicators.declaration import Detection
from iocaudit.signals.profiles.profile import ProfileSet
from iocaudit.signals.profiles.reader import read_profile
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import Signal, SignalSource, signal_of

PLACE = LinePlace("sample", 1)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
"""Whatever JSON can hold."""


def reports(sample: str) -> list[Json]:
    """The reports of a sample. ``many: N`` beside one stands for N of it, in whose strings ``%d`` counts."""
    raw = yaml.safe_load(sample)
    listed = raw if isinstance(raw, list) else [raw]
    found = []
    for one in listed:
        many = one.pop("many", 1)
        found += [_counted(one, number) for number in range(many)] if many > 1 else [one]
    return found


def _counted(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {key: _counted(one, number) for key, one in value.items()}
    if isinstance(value, list):
        return [_counted(one, number) for one in value]
    return value.replace("%d", str(number)) if isinstance(value, str) else value


def signals(detection: Detection, sample: str) -> Iterator[Signal]:
    """The signals of a sample, read as what feeds the detection."""
    for raw in reports(sample):
        if detection.feeds is SignalSource.AUDIT:
            yield signal_of(read_event(raw, PLACE, "native"))
        elif detection.feeds is SignalSource.FALCO:
            yield signal_of(read_alert(raw, PLACE))
        else:
            yield from map(signal_of, read_alerts(raw, PLACE))


def seen(*events: Json) -> list[str]:
    """The ids of the detections that fire on events, which follow each other by a minute where they have no time."""
    detector = Detector()
    found: list[str] = []
    for number, one in enumerate(events):
        raw = {"stageTimestamp": f"2026-11-30T10:{number % 60:02}:00Z", **one}
        found += [each.rule for each in detector.take(signal_of(read_event(raw, PLACE, "native")))]
    assert not detector.faults, detector.faults
    return found


def sightings(detection: Detection, sample: str) -> list[Sighting]:
    """What all detections see in a sample, one after the other."""
    detector = Detector(profiles=sample_profiles(detection))
    found = [one for signal in signals(detection, sample) for one in detector.take(signal)]
    assert not detector.faults, detector.faults
    return found


def sample_profiles(detection: Detection) -> ProfileSet | None:
    """The ActivityProfile of a detection's documentation, enforced in the namespace ``shop``."""
    if not detection.asks_profiles:
        return None
    spec = {**yaml.safe_load(detection.doc.profile), "mode": "enforce"}
    metadata = {"name": "sample", "namespace": "shop"}
    return ProfileSet([read_profile({"kind": "ActivityProfile", "metadata": metadata, "spec": spec})])
