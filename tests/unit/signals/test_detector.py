"""The detector: each signal to the detections that it can concern, whatever it holds; alike through each wrapper."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.receivers.main import recorded_objects
from iocaudit.signals.audit_event import AuditEvent, LinePlace, read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.gke_entry import read_entry
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.indicators.declaration import Detection, Observation
from iocaudit.signals.memory import Memory
from iocaudit.signals.sighting import Sighting
from iocaudit.signals.signal import Signal, SignalSource, signal_of
from iocaudit.signals.signal_log import SignalLog
from tests.support.attack_events import AttackCase, attacks
from tests.support.audit_events import event, gke, wrapped
from tests.support.detection_samples import ANYTHING, PLACE, reports, seen
from tests.support.quiet_day import quiet_day

FIELDS = (
    "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser", "sourceIPs", "userAgent",
    "objectRef", "responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp",
    "annotations",
)  # fmt: skip
SAMPLES = [
    raw
    for one in all_detections()
    if one.feeds is SignalSource.AUDIT
    for sample in (one.doc.fires, one.doc.quiet)
    for raw in reports(sample)[:2]
]


@given(st.data())
def test_hostile_events_never_fail(data: st.DataObject) -> None:
    raw = dict(data.draw(st.sampled_from(SAMPLES)))
    for name in data.draw(st.lists(st.sampled_from(FIELDS), max_size=4)):
        if data.draw(st.booleans()):
            raw.pop(name, None)
        else:
            raw[name] = data.draw(ANYTHING)
    for name in ("objectRef", "user", "responseStatus", "annotations", "requestObject"):
        if isinstance(raw.get(name), dict) and raw[name] and data.draw(st.booleans()):
            raw[name] = {**raw[name], data.draw(st.sampled_from(sorted(raw[name]))): data.draw(ANYTHING)}
    detector = Detector()
    detector.take(signal_of(read_event(raw, PLACE, "native")))
    assert detector.faults == []


def test_a_detection_that_fails_costs_the_others_nothing() -> None:
    def broken(event: AuditEvent) -> Observation | None:
        raise ValueError("oops")

    bad = Detection(broken, "broken", IoC.DNS_ANOMALY, severity=Severity.LOW, technique="T1")
    detector = Detector(detections=[bad, *all_detections()])
    raw = {"verb": "get", "user": {"username": "alice"}, "objectRef": {"resource": "secrets", "name": "x"}}
    found = detector.take(signal_of(read_event(raw, PLACE, "native")))
    assert [one.rule for one in found] == ["secret-read"]
    assert detector.faults == [("broken", "ValueError: oops")]


def test_resources_of_other_groups_are_other_things() -> None:
    read = {"verb": "get", "user": {"username": "alice"}, "responseStatus": {"code": 200}}
    assert seen({**read, "objectRef": {"resource": "secrets", "name": "x", "namespace": "shop"}}) == ["secret-read"]
    other = {"resource": "secrets", "apiGroup": "example.com", "name": "x", "namespace": "shop"}
    assert seen({**read, "objectRef": other}) == []


def test_dry_runs_and_requests_without_an_answer_are_quiet() -> None:
    raw = {"verb": "get", "user": {"username": "alice"}, "objectRef": {"resource": "secrets", "name": "x"}}
    assert seen({**raw, "stage": "RequestReceived"}) == []
    assert seen({**raw, "requestURI": "/api/v1/namespaces/x/secrets/x?dryRun=All"}) == []


def test_a_sequence_survives_a_restart() -> None:
    first, second = (
        {
            "verb": "create",
            "user": {"username": "alice"},
            "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"},
            "responseStatus": {"code": code},
            "stageTimestamp": f"2026-11-30T10:0{minute}:00Z",
        }
        for minute, code in ((0, 403), (5, 101))
    )
    before = Detector()
    before.take(signal_of(read_event(first, PLACE, "native")))
    after = Detector(Memory.load(before.memory.dump()))
    found = after.take(signal_of(read_event(second, PLACE, "native")))
    assert "refused-then-allowed" in [one.rule for one in found]


WRITES = st.builds(
    lambda verb, resource, namespace, user, code, spec: event(
        verb=verb,
        user={"username": user, "groups": ["system:authenticated"]},
        objectRef={"resource": resource, "namespace": namespace, "name": "x", "apiVersion": "v1"},
        responseStatus={"metadata": {}, "code": code},
        requestObject={"kind": "X", "metadata": {"name": "x"}, "spec": spec},
        responseObject={"kind": "X", "metadata": {"name": "x"}, "spec": spec},
        requestURI="",
        annotations={"authorization.k8s.io/decision": "forbid" if code == 403 else "allow"},
    ),
    st.sampled_from(["create", "update", "patch", "delete", "get", "list"]),
    st.sampled_from(["pods", "secrets", "services", "configmaps", "serviceaccounts", "events", "nodes"]),
    st.sampled_from(["shop", "kube-system"]),
    st.sampled_from(["alice", "system:serviceaccount:shop:web", "system:node:worker-1", "eks:addon-manager"]),
    st.sampled_from([200, 403]),
    st.sampled_from([{}, {"type": "NodePort"}, {"hostPID": True}, {"serviceAccountName": "job-controller"}]),
)


@given(WRITES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_the_same_activity_gives_the_same_findings_through_each_wrapper(tmp_path: Path, raw: dict[str, Any]) -> None:
    native = _rules(tmp_path, json.dumps(raw).encode() + b"\n")
    for name, data in wrapped(raw).items():
        assert _rules(tmp_path, data) == native, name
    entry = gke(raw, principal=raw["user"]["username"])
    refused = raw["responseStatus"]["code"] == 403
    entry["protoPayload"]["status"] = {"code": 7} if refused else {}
    entry["labels"] = raw["annotations"]
    assert _rules(tmp_path, json.dumps(entry).encode() + b"\n") == native, "gke"


def _rules(folder: Path, data: bytes) -> list[tuple[str, Severity, str]]:
    path = folder / "log"
    path.write_bytes(data)
    detector = Detector()
    log = SignalLog([str(path)])
    found = [(one.rule, one.severity, one.message) for signal in log for one in detector.take(signal)]
    assert log.tally.events == 1
    assert not log.tally.unread_count
    return found


def test_google_logs_a_session_alike() -> None:
    uri = "/api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true"
    ref = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"}
    native = {"verb": "create", "user": {"username": "alice"}, "objectRef": ref, "requestURI": uri}
    entry = {
        "protoPayload": {
            "authenticationInfo": {"principalEmail": "alice"},
            "methodName": "io.k8s.core.v1.pods.exec.create",
            "resourceName": "core/v1/namespaces/shop/pods/web/exec",
            "request": {"@type": "core.k8s.io/v1.PodExecOptions", "command": ["sh"], "stdin": True},
        }
    }
    found = read_entry(entry, LinePlace("x", 1))
    assert found is not None
    one = Detector().take(signal_of(found))
    other = Detector().take(signal_of(read_event({**native, "responseStatus": {"code": 101}}, PLACE, "native")))
    assert [(each.rule, each.message) for each in one] == [(each.rule, each.message) for each in other]


LEAST_SEEN, MOST_REPORTED = 0.99, 0.02
"""Parts of all; of an ordinary day also what is low, as a pipeline's Secrets and a program's lists of them are."""


def seen_of_each(signals: Iterable[Signal]) -> list[list[Sighting]]:
    """What is seen of each signal."""
    detector, judge = Detector(), recorded_objects()
    found = [[*detector.take(signal), *judge.take(signal)] for signal in signals]
    assert (detector.faults, judge.faults) == ([], [])
    return found


def is_seen(case: AttackCase) -> bool:
    signals = [signal_of(read_event(one, LinePlace("log", 1), "native")) for one in case.events]
    return any(int(ioc) in case.iocs for found in seen_of_each(signals) for one in found for ioc in one.iocs)


def test_attacks_are_seen_under_their_indicator() -> None:
    cases = list(attacks())
    missed = [case.name for case in cases if not is_seen(case)]
    assert len(cases) > 200
    assert len(missed) <= (1 - LEAST_SEEN) * len(cases), missed


def test_an_ordinary_day_is_hardly_reported_and_never_above_low() -> None:
    found = seen_of_each(quiet_day(1))
    reported = [one for sightings in found for one in sightings[:1]]
    assert len(found) > 3_000
    assert len(reported) <= MOST_REPORTED * len(found)
    assert {one.rule for sightings in found for one in sightings if one.severity.label != "low"} == set()
