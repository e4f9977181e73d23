"""The rules for Prometheus: what the generated object holds, and that iocaudit knows what each alert shows."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.detections.metric_rules import FOLDER, groups, prometheus_rule
from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.audit_event import LinePlace
from iocaudit.signals.detector import Detector
from iocaudit.signals.detector_health import HEALTH_LABEL, HEARTBEAT_ALERT, RULE_GROUPS
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.metric_rules import ALERTS
from iocaudit.signals.signal import SignalSource, signal_of

ROOT = Path(__file__).parents[4]
RULES: list[dict[str, Any]] = [rule for group in groups(ROOT) for rule in group["rules"]]
ALL_ALERTS = [rule for rule in RULES if "alert" in rule]
SHIPPED = [rule for rule in ALL_ALERTS if HEALTH_LABEL not in rule["labels"]]
SEEN_BY_METRICS = frozenset(one.indicator for one in all_detections() if one.feeds is SignalSource.ALERTMANAGER)
_OWN = re.compile(r"iocaudit:\w+(?::\w+)*")
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")


def test_the_object_is_what_the_files_say() -> None:
    text = (ROOT / FOLDER / "prometheus-rule.yaml").read_text(encoding="utf-8")
    assert text == prometheus_rule(ROOT)
    assert yaml.safe_load(text)["spec"]["groups"] == groups(ROOT)


def test_every_indicator_that_metrics_can_see_has_an_alert() -> None:
    assert {IoC(int(rule["labels"]["ioc"])) for rule in SHIPPED} == SEEN_BY_METRICS


@pytest.mark.parametrize("rule", SHIPPED, ids=lambda rule: rule["alert"])
def test_iocaudit_knows_what_an_alert_shows(rule: dict[str, Any]) -> None:
    labels = {"alertname": rule["alert"], "namespace": "shop", "workload_type": "Deployment", "workload": "web"}
    raw = {
        "version": "4",
        "status": "firing",
        "receiver": "iocaudit",
        "alerts": [
            {
                "status": "firing",
                "labels": labels | rule["labels"],
                "annotations": rule["annotations"],
                "startsAt": "2026-11-30T10:00:00Z",
            }
        ],
    }
    (signal,) = map(signal_of, read_alerts(raw, LinePlace("alerts", 1)))
    (seen,) = Detector().take(signal)
    assert seen.iocs == (IoC(int(rule["labels"]["ioc"])),)
    assert seen.severity in (Severity.LOW, Severity.MEDIUM)
    assert signal.locus.workload == "Deployment/web"


def test_names_are_ours_and_stand_once() -> None:
    names = [name for rule in RULES if (name := rule.get("alert") or rule["record"]) != HEARTBEAT_ALERT]
    assert len(names) == len(set(names))
    assert all(name.startswith(("Iocaudit", "iocaudit:")) for name in names)
    assert not {name.casefold() for name in names} & set(ALERTS)


def test_each_file_has_a_heartbeat_that_receivers_wait_for() -> None:
    beats = {}
    for path in sorted((ROOT / FOLDER / "rules").glob("*.yaml")):
        [group] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        [beat] = [rule for rule in group["rules"] if rule.get("alert") == HEARTBEAT_ALERT]
        assert (beat["expr"].strip(), beat["labels"][HEALTH_LABEL]) == ("vector(1)", "heartbeat")
        beats[path.stem] = beat["labels"]["rules"]
    assert beats == {name: name for name in RULE_GROUPS}


def test_what_a_rule_reads_of_ours_is_recorded_and_what_is_recorded_is_read() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    read = {name for rule in RULES for name in _OWN.findall(rule["expr"])}
    assert read == recorded


def test_a_summary_names_labels_that_its_alert_has() -> None:
    for rule in ALL_ALERTS:
        for label in _LABEL.findall(rule["annotations"]["summary"]):
            # A workload's labels come from the recorded series, by which it is not grouped again.
            known = {"namespace", "workload_type", "workload", "gateway", "service", "pod"}
            assert label in known or re.search(rf"by \([^)]*\b{label}\b", rule["expr"]), (rule["alert"], label)
