"""Rules that are not loaded are told of within the time that a sender's entry gives, and again when they are."""

from dataclasses import replace

from iocaudit.receivers.rule_health import SNAPSHOT, RuleHealth
from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.detector_health import RULE_GROUPS
from iocaudit.signals.falco import read_alert
from iocaudit.signals.signal import Signal, SignalSource, signal_of
from tests.support.health import HealthSetting
from tests.support.signal_posts import alert_message, falco_alert, sender

PLACE = LinePlace("b", 1)
ALERTS = replace(sender("alerts", source=SignalSource.ALERTMANAGER), heartbeat_within=90)
FALCO = replace(sender("falco", source=SignalSource.FALCO), heartbeat_within=90)
DIGEST = "falco.sha256_rules_file."


def heartbeat(rules: str, status: str = "firing") -> Signal:
    message = alert_message(alertname="IocauditHeartbeat", rules=rules, iocaudit_health="heartbeat")
    message["alerts"][0]["status"] = status
    (alert,) = read_alerts(message, PLACE)
    return signal_of(alert)


def snapshot(node: str, *files: str) -> Signal:
    fields = {DIGEST + name: "0" * 64 for name in files}
    return signal_of(read_alert(falco_alert(node=node, rule=SNAPSHOT, source="internal", output_fields=fields), PLACE))


class Watched(HealthSetting):
    def __init__(self, *senders: object) -> None:
        super().__init__(*senders)  # type: ignore[arg-type]
        self.health = RuleHealth(self.in_force, self.troubles, self.clock)

    def beat(self, *left_out: str) -> None:
        for rules in RULE_GROUPS:
            if rules not in left_out:
                self.health.see(heartbeat(rules), ALERTS, self.now)

    def after(self, seconds: float) -> list[str]:
        self.now += seconds
        self.health.look(self.now)
        return [one.message for one in self.said()]


def test_a_prometheus_without_our_rules_is_told_of() -> None:
    watched = Watched(ALERTS)
    assert watched.after(90) == []
    [said] = watched.after(1)
    assert said.startswith("alerts: IocauditHeartbeat does not fire for the rules dns, health, http_errors, ")
    watched.beat()
    [said] = watched.after(1)
    assert said.startswith("over (it lasted from 2026-11-30T10:01:31Z): alerts shows that they are loaded")
    assert watched.after(60) == []


def test_one_file_that_is_taken_away_is_named_and_the_indicators_are_those_of_the_source() -> None:
    watched = Watched(ALERTS)
    watched.beat()
    assert watched.after(80) == []
    watched.beat("dns")
    watched.now += 20
    watched.health.look(watched.now)
    [told] = watched.said()
    assert "for the rules dns: Prometheus has not loaded them" in told.message
    assert told.iocs == (1, 2, 5, 7, 8, 10)


def test_an_alert_that_prometheus_ended_is_told_of_at_once() -> None:
    watched = Watched(ALERTS)
    watched.beat()
    watched.health.see(heartbeat("inbound", "resolved"), ALERTS, watched.now)
    [said] = watched.after(1)
    assert "for the rules inbound:" in said


def test_falco_without_our_rules_or_without_snapshots_is_told_of() -> None:
    watched = Watched(FALCO)
    assert watched.after(60) == []
    watched.health.see(snapshot("node-1", "iocaudit_rules_yaml"), FALCO, watched.now)
    watched.health.see(snapshot("node-2", "falco_rules_yaml"), FALCO, watched.now)
    assert watched.after(1) == ["falco: Falco on node-2 has not loaded iocaudit_rules.yaml"]
    watched.health.see(snapshot("node-2", "falco_rules", "iocaudit_rules"), FALCO, watched.now)
    assert watched.after(1)[0].startswith("over ")
    [said] = watched.after(100)
    assert said == (
        "falco: no metrics snapshot of Falco since 2026-11-30T10:01:01Z: set metrics.enabled and metrics.output_rule"
    )


def test_a_node_that_went_away_is_not_told_of_for_ever() -> None:
    watched = Watched(FALCO)
    watched.health.see(snapshot("node-2"), FALCO, watched.now)
    assert len(watched.after(1)) == 1
    watched.now += 90
    watched.health.see(snapshot("node-1", "iocaudit_rules"), FALCO, watched.now)
    assert watched.after(1)[0].startswith("over ")


def test_nobody_else_is_asked_and_one_who_is_not_any_more_is_over() -> None:
    quiet = replace(ALERTS, heartbeat_within=None)
    watched = Watched(quiet, replace(sender("api"), heartbeat_within=30))
    watched.health.see(heartbeat("dns"), quiet, watched.now)
    assert watched.after(10_000) == []
    watched.senders = [ALERTS]
    assert len(watched.after(1)) == 1
    watched.senders = [quiet]
    assert watched.after(1)[0].startswith("over ")


def test_what_waits_to_be_read_is_not_missed() -> None:
    watched = Watched(ALERTS)
    watched.beat()
    read_until = watched.now + 10
    watched.now += 3600
    watched.health.look(read_until)
    assert watched.said() == []
