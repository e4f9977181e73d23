"""What is wrong with detectors has an id of its own."""

from iocaudit.core.severity import IoC
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.signals.detector_health import HEALTH_RULES, WITNESSES, seen_by
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.signal import SignalSource


def test_ids_are_those_of_no_check_and_no_detection() -> None:
    taken = {check.id for check in builtin_catalogue()} | {one.id for one in all_detections()}
    assert len(HEALTH_RULES) == 8
    assert not taken & set(HEALTH_RULES)
    assert all(rule.title and rule.iocs for rule in HEALTH_RULES.values())


def test_who_sees_an_indicator_has_a_detection_for_it() -> None:
    feeds = {(one.indicator, one.feeds) for one in all_detections()}
    assert set(WITNESSES) == set(IoC)
    assert all((ioc, source) in feeds for ioc, sources in WITNESSES.items() for source in sources)


def test_what_senders_of_some_sources_see() -> None:
    assert seen_by(frozenset()) == ()
    assert seen_by(frozenset({SignalSource.AUDIT})) == (3, 4, 5, 10)
    assert seen_by(frozenset(SignalSource)) == tuple(IoC)
