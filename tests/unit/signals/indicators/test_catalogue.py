"""Each indicator is declared once, and the samples of each detection are what they say."""

from __future__ import annotations

import pytest

from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.signals.indicators.catalogue import all_detections, all_indicators, find_detection
from iocaudit.signals.indicators.declaration import Detection
from tests.support.detection_samples import sightings

DETECTIONS = {one.id: one for one in all_detections()}


def test_there_are_ten_indicators_and_each_has_detections() -> None:
    assert [one.ioc for one in all_indicators()] == list(IoC)
    assert [one.slug for one in all_indicators() if not one.detections] == []


@pytest.mark.parametrize("detection", DETECTIONS.values(), ids=DETECTIONS)
def test_the_sample_that_fires_does(detection: Detection) -> None:
    found = [one for one in sightings(detection, detection.doc.fires) if one.rule == detection.id]
    assert len(found) == 1
    assert found[0].message
    assert found[0].is_sequence == detection.is_sequence


@pytest.mark.parametrize("detection", DETECTIONS.values(), ids=DETECTIONS)
def test_the_sample_that_does_not_fire_is_quiet(detection: Detection) -> None:
    assert [one.rule for one in sightings(detection, detection.doc.quiet) if one.rule == detection.id] == []


@pytest.mark.parametrize("detection", DETECTIONS.values(), ids=DETECTIONS)
def test_related_checks_are_there_and_ids_differ_from_theirs(detection: Detection) -> None:
    catalogue = builtin_catalogue()
    assert [one for one in detection.related if catalogue.find(one) is None] == []
    assert catalogue.find(detection.id) is None


def test_five_sequences_are_among_them() -> None:
    assert sum(one.is_sequence for one in DETECTIONS.values()) >= 5


def test_a_detection_is_found_by_its_id() -> None:
    assert find_detection("impersonation") is DETECTIONS["impersonation"]
    assert find_detection("no-such") is None
