"""What Falco's alerts show."""

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.detector import Detector
from iocaudit.signals.falco import read_alert
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.signal import SignalSource, signal_of
from tests.support.detection_samples import PLACE


def test_each_indicator_that_falco_can_see_has_one_detection() -> None:
    found = [one.indicator for one in all_detections() if one.feeds is SignalSource.FALCO and not one.asks_profiles]
    assert sorted(found) == sorted(set(found))
    assert set(IoC) - set(found) == {IoC.RESPONSE_SIZE, IoC.HTTP_ERRORS}


def test_an_alert_is_one_sighting_of_one_indicator() -> None:
    raw = {"rule": "Write below etc", "priority": "Error", "output_fields": {"fd.name": "/etc/x"}}
    (one,) = Detector().take(signal_of(read_alert(raw, PLACE)))
    assert (one.rule, one.severity) == ("falco-file", Severity.MEDIUM)


def test_an_alert_that_nothing_tells_of_is_quiet() -> None:
    assert Detector().take(signal_of(read_alert({"rule": "x", "priority": "Error", "output": "y"}, PLACE))) == []
