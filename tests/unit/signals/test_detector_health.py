"""What is wrong with detectors has an id of its own."""

from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.signals.detector_health import HEALTH_RULES
from iocaudit.signals.indicators.catalogue import all_detections


def test_ids_are_those_of_no_check_and_no_detection() -> None:
    taken = {check.id for check in builtin_catalogue()} | {one.id for one in all_detections()}
    assert len(HEALTH_RULES) == 3
    assert not taken & set(HEALTH_RULES)
    assert all(rule.title and rule.iocs for rule in HEALTH_RULES.values())
