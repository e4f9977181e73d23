"""Messages of Alertmanager's webhook."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.alerts import is_alertmanager, read_alerts
from iocaudit.signals.audit_event import LinePlace
from tests.support.detection_samples import ANYTHING

PLACE = LinePlace("x", 1)
ALERT = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generator"), ANYTHING
    ),
)


def message(**given: Any) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "status": "firing",
        "receiver": "iocaudit",
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "A", "namespace": "shop", "workload": "web", "workload_type": "deployment"},
                "startsAt": "2026-11-30T10:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": "abc",
            }
        ],
        **given,
    }


def test_an_alert_is_read_whole() -> None:
    (one,) = read_alerts(message(), PLACE)
    assert (one.name, one.fingerprint, one.workload, one.is_firing) == ("A", "abc", "Deployment/web", True)
    assert one.when is not None


def test_an_alert_that_is_over_says_when() -> None:
    alert = message()["alerts"][0] | {"status": "resolved", "endsAt": "2026-11-30T11:00:00Z"}
    (one,) = read_alerts(message(status="resolved", alerts=[alert]), PLACE)
    assert not one.is_firing
    assert one.when is not None
    assert one.when.hour == 11


def test_what_was_left_out_is_told_and_unknown_keys_are_passed_over() -> None:
    (one,) = read_alerts(message(truncatedAlerts=7, later={"key": 1}), PLACE)
    assert one.truncated == 7


def test_common_labels_hold_for_each_alert() -> None:
    alert = {"labels": {"alertname": "B"}}
    (one,) = read_alerts(message(commonLabels={"ioc": "5", "alertname": "x"}, alerts=[alert]), PLACE)
    assert dict(one.labels) == {"ioc": "5", "alertname": "B"}
    assert one.fingerprint


def test_a_workload_is_what_the_labels_name() -> None:
    def workload(**labels: str) -> str:
        return next(iter(read_alerts(message(alerts=[{"labels": labels}]), PLACE))).workload

    assert workload(owner_kind="StatefulSet", owner_name="db") == "StatefulSet/db"
    assert workload(daemonset="agent") == "DaemonSet/agent"
    assert workload(pod="web-0") == ""


@given(st.lists(ALERT | ANYTHING, max_size=4), ANYTHING, ANYTHING)
def test_hostile_messages_lose_no_neighbour(alerts: list[Any], truncated: Any, common: Any) -> None:
    good = message()["alerts"][0]
    raw = message(alerts=[*alerts, good], truncatedAlerts=truncated, commonLabels=common)
    assert is_alertmanager(raw)
    found = list(read_alerts(raw, PLACE))
    assert found[-1].fingerprint == "abc"
    assert len(found) == 1 + sum(isinstance(one, dict) for one in alerts)
    assert all(isinstance(one.when, object) and isinstance(one.workload, str) for one in found)
