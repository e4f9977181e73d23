"""What alerts of Prometheus show."""

from iocaudit.core.severity import IoC
from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.detector import Detector
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.signal import SignalSource, signal_of
from tests.support.detection_samples import PLACE


def test_the_indicators_of_metrics() -> None:
    found = {one.indicator for one in all_detections() if one.feeds is SignalSource.ALERTMANAGER}
    assert {int(ioc) for ioc in found} == {1, 2, 5, 7, 8, 10}
    assert IoC.USER_ACTIVITY not in found


def test_each_alert_of_a_message_is_a_sighting() -> None:
    alerts = [{"labels": {"alertname": "A", "ioc": str(number), "namespace": "shop"}} for number in (1, 2, 5, 7, 8, 10)]
    detector = Detector()
    found = [one for alert in read_alerts({"alerts": alerts}, PLACE) for one in detector.take(signal_of(alert))]
    assert [int(one.iocs[0]) for one in found] == [1, 2, 5, 7, 8, 10]
    assert found[0].message == "A on shop"


def test_what_is_over_is_quiet() -> None:
    raw = {"alerts": [{"status": "resolved", "labels": {"alertname": "A", "ioc": "1"}}]}
    assert [one for alert in read_alerts(raw, PLACE) for one in Detector().take(signal_of(alert))] == []
