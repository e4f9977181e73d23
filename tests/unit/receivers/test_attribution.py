"""What a sighting counts as, and that no signal blames what its sender does not speak for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.kinds import POD
from iocaudit.core.severity import IoC, Severity
from iocaudit.evidence.key import RUNTIME
from iocaudit.receivers.attribution import SENDER_KIND, Attribution, attribute
from iocaudit.receivers.pod_index import PodIndex
from iocaudit.receivers.senders import Sender
from iocaudit.signals.alerts import read_alerts
from iocaudit.signals.audit_event import LinePlace, read_event
from iocaudit.signals.falco import read_alert
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import Signal, SignalSource, signal_of
from tests.support.audit_events import Json, event
from tests.support.signal_posts import CONTAINER, alert_message, exec_event, falco_alert, pod_object, sender

PLACE = LinePlace("b", 1)


def pods(*objects: Json) -> PodIndex:
    found = PodIndex()
    keep = found.sink().keep
    assert keep is not None
    found.sink().replace(POD, [keep(one, POD) for one in objects])
    return found


def judged(signal: Signal, by: Sender, known: PodIndex | None = None) -> Attribution:
    sighting = Sighting("exec-in-pod", "Exec", (IoC.USER_ACTIVITY,), Severity.MEDIUM, "m", signal)
    return attribute(sighting, by, known or pods())


def target(found: Attribution) -> tuple[str, str | None, str, str]:
    key = found.key
    assert key.type == RUNTIME
    return key.kind, key.namespace, key.name, key.user


def audit(raw: Json) -> Signal:
    return signal_of(read_event(raw, PLACE, "native"))


def falco(raw: Json) -> Signal:
    return signal_of(read_alert(raw, PLACE))


def metric(raw: Json) -> Signal:
    return signal_of(next(iter(read_alerts(raw, PLACE))))


FALCO = sender("falco", source=SignalSource.FALCO)


def test_the_api_server_speaks_for_all() -> None:
    api = sender("api", "*")
    assert target(judged(audit(exec_event()), api)) == ("Pod", "shop", "web-1", "mallory")
    known = pods(pod_object("web-1"))
    assert target(judged(audit(exec_event()), api, known)) == ("Deployment", "shop", "web", "mallory")
    role = event(1, objectRef={"resource": "clusterroles", "name": "r", "apiGroup": "rbac.authorization.k8s.io"})
    found = judged(audit(role), api)
    assert target(found) == ("ClusterRole", None, "r", "alice")
    assert found.key.group == "rbac.authorization.k8s.io"
    nobody = judged(
        audit(event(1, objectRef=None, requestURI="/metrics", requestObject=None, responseObject=None)), api
    )
    assert target(nobody) == ("User", None, "alice", "alice")
    assert not nobody.reason


def test_a_container_in_a_pod_on_its_node_is_proof_whatever_the_alert_says() -> None:
    known = pods(pod_object())
    for node in ("node-1", "node-1.example.com", "NODE-1"):
        found = judged(falco(falco_alert(node=node)), FALCO, known)
        assert (target(found), found.reason) == (("Deployment", "shop", "web", ""), "")


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (falco_alert(container="f" * 12), "no pod has that container"),
        (falco_alert(container=""), "it names no container"),
        (falco_alert(container=CONTAINER[:6]), "no pod has that container"),
        (falco_alert(node="node-2"), "it comes from node 'node-2', not from that of the pod"),
        (falco_alert(node=""), "it comes from node '', not from that of the pod"),
    ],
)
def test_without_proof_falco_blames_nobody(alert: Json, said: str) -> None:
    found = judged(falco(alert), FALCO, pods(pod_object()))
    assert (target(found), found.reason) == ((SENDER_KIND, None, "falco", ""), said)


def test_before_pods_were_read_it_is_said() -> None:
    assert judged(falco(falco_alert()), FALCO, PodIndex()).reason == "pods were not read yet"


def test_an_alert_counts_in_the_namespaces_of_its_credential() -> None:
    shop = sender("shop-alerts", "shop", source=SignalSource.ALERTMANAGER)
    found = judged(metric(alert_message("shop")), shop)
    assert target(found) == ("Deployment", "shop", "web", "")
    assert found.key.group == "apps"
    for namespace, where in [("victim", "namespace victim"), ("", "the whole cluster")]:
        forged = judged(metric(alert_message(namespace)), shop)
        assert (target(forged), forged.reason) == (
            (SENDER_KIND, None, "shop-alerts", ""),
            f"shop-alerts does not speak for {where}",
        )


VALUES = st.text(max_size=80) | st.sampled_from(["shop", "victim", "node-1", CONTAINER, CONTAINER[:12], "\x00", "‮x"])


@given(
    fields=st.dictionaries(
        st.sampled_from(["container.id", "k8s.ns.name", "k8s.pod.name", "ka.user.name", "ka.sourceips", "user.name"]),
        VALUES,
    ),
    node=VALUES,
    namespaces=st.sampled_from([(), ("mine",), ("mine-*",)]),
)
def test_a_forged_alert_of_falco_names_no_object_that_is_not_proven(
    fields: dict[str, str], node: str, namespaces: tuple[str, ...]
) -> None:
    known = pods(pod_object())
    found = judged(falco(falco_alert(node=node, output_fields=fields)), sender("falco", *namespaces), known)
    if found.reason:
        assert target(found) == (SENDER_KIND, None, "falco", "")
    elif found.key.namespace == "shop":
        assert fields["container.id"].startswith(CONTAINER[:12])
        assert node.partition(".")[0].lower() == "node-1"
    else:
        assert any(found.key.namespace == one.rstrip("*") or one.endswith("*") for one in namespaces)


@given(labels=st.dictionaries(st.sampled_from(["namespace", "pod", "node", "workload", "job_name"]), VALUES))
def test_a_forged_alert_of_alertmanager_stays_in_the_namespaces_of_its_credential(labels: dict[str, Any]) -> None:
    message = alert_message()
    message["alerts"][0]["labels"] = labels
    found = judged(metric(message), sender("alerts", "mine"))
    assert found.key.namespace == "mine" or (found.key.kind == SENDER_KIND and found.reason)
