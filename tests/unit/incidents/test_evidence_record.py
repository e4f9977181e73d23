"""What is kept of a sighting: who did what to what, bounded, and nothing secret."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given

from iocaudit.incidents.evidence_chain import canonical
from iocaudit.incidents.evidence_record import record_of, withheld, without_object
from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.falco import read_alert
from iocaudit.signals.signal import Signal, signal_of
from tests.support.audit_events import event
from tests.support.detection_samples import ANYTHING
from tests.support.signal_posts import alert_message, exec_event, falco_alert

WHEN = datetime(2026, 11, 30, 10, tzinfo=UTC)
PLACE = LinePlace("log", 1)
TOKEN = "ghp_" + "a1B2" * 9


def kept(signal: Signal) -> dict[str, Any]:
    [one, *_] = Detector().take(signal)
    return record_of(one, WHEN, "mallory", "shop/Deployment/web")


def audit(raw: dict[str, Any]) -> dict[str, Any]:
    return kept(signal_of(read_event(raw, PLACE, "native")))


def test_of_each_source() -> None:
    found = audit(exec_event())
    assert (found["account"], found["target"], found["at"]) == (
        "mallory",
        "shop/Deployment/web",
        "2026-11-30T10:00:00.000000Z",
    )
    assert found["signal"]["verb"] == "create"
    assert "command=bash" in found["signal"]["uri"]
    alert = kept(signal_of(read_alert(falco_alert(), PLACE)))
    assert alert["signal"]["fields"]["proc.name"] == "bash"
    [metric] = read_alerts(alert_message(), PLACE)
    assert kept(signal_of(metric))["signal"]["labels"]["alertname"] == "CPUThrottlingHigh"


def test_no_credential_is_kept_wherever_it_stands() -> None:
    secret = "Sw0rdf1sh-tr0ub4dor"
    pod = {
        "metadata": {
            "name": "x",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": secret, "note": f"password={secret}"},
            "managedFields": [{"a": secret}],
        },
        "spec": {
            "containers": [
                {
                    "image": "shop@sha256:" + "a" * 64,
                    "env": [{"name": "ANY", "value": secret}],
                    "args": ["--password", secret],
                    "command": ["sh", "-c", f"export TOKEN={TOKEN}"],
                    "password": secret,
                }
            ]
        },
    }
    raw = event(verb="create", user={"username": "eve"}, requestObject=pod, responseObject=pod)
    raw["objectRef"] |= {"namespace": "kube-system"}
    said = canonical(audit(raw)).decode()
    assert secret not in said
    assert TOKEN not in said
    assert "shop@sha256:" in said
    exec_raw = exec_event()
    exec_raw["requestURI"] += f"&command=mysql&command=-p{secret}&command=--password%3D{secret}"
    assert secret not in canonical(audit(exec_raw)["signal"]).decode()


def test_secrets_and_configmaps_are_told_by_length() -> None:
    shown = withheld({"kind": "Secret", "data": {"a": "c2VjcmV0"}, "stringData": {"b": "x" * 9}})
    assert shown["data"] == {"a": "(withheld: 8 characters)"}
    assert shown["stringData"] == {"b": "(withheld: 9 characters)"}


@given(ANYTHING)
def test_whatever_an_object_holds_can_be_written(value: Any) -> None:
    assert canonical(withheld({"spec": value}))


def test_what_is_too_large_goes_without_its_object() -> None:
    record = {"signal": {"verb": "create", "object": {"a": 1}, "fields": {}, "labels": {}}}
    assert without_object(record) == {"signal": {"verb": "create"}}
