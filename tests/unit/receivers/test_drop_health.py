"""What was dropped is told of: by Falco, the API server, Alertmanager, and the receivers themselves."""

import pytest

from iocaudit.receivers.drop_health import EVENT_DROP, DropHealth
from iocaudit.receivers.rule_health import SNAPSHOT
from iocaudit.receivers.troubles import OVER_AFTER
from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.falco import read_alert
from iocaudit.signals.signal import Signal, SignalSource, signal_of
from tests.support.audit_events import Json
from tests.support.health import BEGIN, HealthSetting
from tests.support.signal_posts import alert_message, falco_alert, sender

PLACE = LinePlace("b", 1)
FALCO, ALERTS = sender("falco", source=SignalSource.FALCO), sender("alerts", source=SignalSource.ALERTMANAGER)


def falco(rule: str, **fields: object) -> Signal:
    return signal_of(read_alert(falco_alert(rule=rule, output_fields=fields), PLACE))


def alert(message: Json) -> Signal:
    (one,) = read_alerts(message, PLACE)
    return signal_of(one)


def seen(*signals: Signal) -> list[str]:
    setting = HealthSetting()
    health = DropHealth(setting.troubles)
    for signal in signals:
        health.see(signal, FALCO if signal.source is SignalSource.FALCO else ALERTS, BEGIN)
    return [one.message for one in setting]


@pytest.mark.parametrize(("drops", "events"), [(815508, 2270350), ("815508", "2270350")])
def test_falcos_own_alert_of_dropped_system_calls(drops: object, events: object) -> None:
    found = seen(falco(EVENT_DROP, n_drops=drops, n_evts=events))
    assert found == ["Falco dropped 815,508 of 2,270,350 system calls on node-1"]


def test_snapshots_of_falco_tell_what_was_dropped_since_the_one_before() -> None:
    def snapshot(drops: int, before: int, queue: int) -> Signal:
        fields: Json = {"scap.n_drops": drops, "scap.n_drops_prev": before, "falco.outputs_queue_num_drops": queue}
        return falco(SNAPSHOT, **fields)

    assert seen(snapshot(5, 5, 3), snapshot(5, 5, 3), snapshot(5, 5, 0)) == []
    assert seen(snapshot(7, 5, 0)) == ["Falco dropped 2 system calls since its snapshot before on node-1"]
    assert seen(snapshot(0, 0, 3), snapshot(0, 0, 1003)) == [
        "Falco dropped 1,000 alerts since its snapshot before on node-1"
    ]
    assert seen(falco(SNAPSHOT, **{"scap.n_drops": "many", "scap.n_drops_prev": None})) == []


def test_the_api_servers_dropped_events_are_told_by_our_alert() -> None:
    message = alert_message(alertname="IocauditAuditEventsDropped", iocaudit_health="drops")
    message["alerts"][0]["annotations"] = {"summary": "The API server dropped audit events"}
    assert seen(alert(message)) == ["The API server dropped audit events"]
    message["alerts"][0]["status"] = "resolved"
    assert seen(alert(message)) == []


def test_alerts_that_alertmanager_left_out_are_told_of() -> None:
    assert seen(alert(alert_message() | {"truncatedAlerts": 4})) == [
        "Alertmanager left 4 alerts of a group out: raise max_alerts"
    ]
    assert seen(alert(alert_message())) == []


def test_what_receivers_refused_is_told_of_and_over_when_they_take_again() -> None:
    setting = HealthSetting()
    health = DropHealth(setting.troubles)
    health.refused("falco")
    health.refused("falco")
    health.rejected("too-large")
    health.rejected("incomplete-body")
    health.look(BEGIN)
    assert [(one.name, one.message) for one in setting] == [
        ("falco", "2 posts of falco were answered with 503: nothing of them was stored"),
        ("iocaudit", "posts were turned away unread: 1 too-large"),
    ]
    health.look(BEGIN + OVER_AFTER)
    assert setting.said() == []
    health.look(BEGIN + OVER_AFTER + 1)
    assert [one.message[:5] for one in setting] == ["over ", "over "]


def test_a_log_file_that_went_away_unread_is_told_of_once() -> None:
    setting = HealthSetting()
    health = DropHealth(setting.troubles)
    health.lost("the file is gone")
    health.look(BEGIN)
    health.look(BEGIN + 1)
    assert [(one.name, one.message, one.iocs) for one in setting] == [
        ("audit-log-file", "the file is gone", (3, 4, 5, 10))
    ]
