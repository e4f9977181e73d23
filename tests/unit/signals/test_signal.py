"""Signals: the same shape from every sender, with the sender's identity of each."""

from typing import Any

from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.falco import read_alert
from iocaudit.signals.signal import Account, Locus, Signal, SignalSource, signal_of
from tests.support.audit_events import event

PLACE = LinePlace("x", 1)


def audit(**given: Any) -> Signal:
    return signal_of(read_event(event(**given), PLACE, "native"))


def test_of_an_audit_event() -> None:
    one = audit()
    assert one.source is SignalSource.AUDIT
    assert one.locus == Locus("shop", "web-1")
    assert one.locus.target == "Pod/web-1"
    assert one.account == Account("alice", "", "10.0.0.1")
    assert one.place == PLACE


def test_the_identity_is_of_id_stage_time_and_user() -> None:
    one = audit()
    assert one.identity == audit().identity
    for changed in (
        {"auditID": "other"},
        {"stage": "ResponseStarted"},
        {"requestReceivedTimestamp": "2026-11-30T11:00:00Z"},
        {"user": {"username": "mallory"}},
    ):
        assert audit(**changed).identity != one.identity, changed
    assert audit(userAgent="other").identity == one.identity


def test_only_the_last_address_counts() -> None:
    assert audit(sourceIPs=["127.0.0.1", "198.51.100.7"]).account.ip == "198.51.100.7"


def test_of_another_object() -> None:
    found = audit(objectRef={"resource": "deployments", "apiGroup": "apps", "namespace": "shop", "name": "web"})
    assert found.locus.target == "Deployment/web"
    assert audit(objectRef={"resource": "nodes", "name": "worker-1"}).locus.target == "Node/worker-1"


def test_of_an_alert_of_falco() -> None:
    raw = {
        "rule": "R",
        "hostname": "worker-1",
        "output_fields": {"k8s.ns.name": "shop", "k8s.pod.name": "web", "container.id": "abc", "user.name": "root"},
    }
    one = signal_of(read_alert(raw, PLACE))
    assert (one.locus, one.account.username) == (Locus("shop", "web", "", "abc", "worker-1"), "root")


def test_of_an_alert_of_alertmanager() -> None:
    labels = {"namespace": "shop", "deployment": "web", "alertname": "A"}
    alert = {"labels": labels, "startsAt": "2026-11-30T10:00:00Z", "fingerprint": "f"}
    one, again, over = (
        signal_of(next(iter(read_alerts({"alerts": [raw]}, PLACE))))
        for raw in (alert, {**alert, "annotations": {"x": "y"}}, {**alert, "status": "resolved"})
    )
    assert one.locus.target == "Deployment/web"
    assert one.identity == again.identity != over.identity
    assert not one.account.is_service_account
