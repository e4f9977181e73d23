"""Which indicator an alert of Prometheus shows."""

import pytest

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.alerts import MetricAlert, read_alerts
from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.metric_rules import indicator_of_metric, severity_of_metric


def alert(**labels: str) -> MetricAlert:
    return next(iter(read_alerts({"alerts": [{"labels": labels}]}, LinePlace("x", 1))))


@pytest.mark.parametrize(
    ("label", "ioc"), [("1", 1), ("ioc-10", 10), ("IoC 8", 8), ("0", 0), ("11", 0), ("x", 0), ("²", 0)]
)
def test_by_the_label_of_our_own_rules(label: str, ioc: int) -> None:
    found = indicator_of_metric(alert(alertname="own", ioc=label))
    assert found is (IoC(ioc) if ioc else None)


def test_by_a_well_known_name() -> None:
    assert indicator_of_metric(alert(alertname="CPUThrottlingHigh")) is IoC.RESOURCE_SPIKE
    assert indicator_of_metric(alert(alertname="CoreDNSErrorsHigh")) is IoC.DNS_ANOMALY
    assert indicator_of_metric(alert(alertname="Watchdog")) is None


def test_severity_is_that_of_the_label() -> None:
    assert severity_of_metric(alert(severity="critical")) is Severity.HIGH
    assert severity_of_metric(alert(severity="warning")) is Severity.MEDIUM
    assert severity_of_metric(alert()) is Severity.LOW
