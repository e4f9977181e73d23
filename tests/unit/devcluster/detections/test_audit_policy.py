"""The audit policy that we ship: every detection sees what it needs, and nothing is recorded for none."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.detections.audit_policy import recorded, shipped_policy
from iocaudit.signals.audit_event import read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.indicators.declaration import Detection
from iocaudit.signals.signal import SignalSource, signal_of
from tests.support.detection_samples import PLACE, reports, sample_profiles

Json = dict[str, Any]
POLICY = dict(shipped_policy())
DETECTIONS = [one for one in all_detections() if one.feeds is SignalSource.AUDIT]
NOISE: list[Json] = yaml.safe_load(Path(__file__).with_name("audit_noise.yaml").read_text(encoding="utf-8"))
WORKLOADS = {"replicationcontrollers", "daemonsets", "deployments", "replicasets", "statefulsets", "cronjobs", "jobs"}
"""What runs pods: the checks judge it as it was sent."""


def fires(detection: Detection, policy: Json) -> bool:
    """Whether the detection still sees its sample in what a policy records of it."""
    detector = Detector(detections=[detection], profiles=sample_profiles(detection))
    found = []
    for raw in reports(detection.doc.fires):
        kept = recorded(policy, raw)
        if kept is not None:
            found += detector.take(signal_of(read_event(kept, PLACE, "native")))
    assert not detector.faults
    return bool(found)


@pytest.mark.parametrize("detection", DETECTIONS, ids=lambda one: one.id)
def test_what_a_detection_needs_is_recorded(detection: Detection) -> None:
    assert fires(detection, POLICY)


@pytest.mark.parametrize("event", NOISE, ids=lambda one: f"{one['user']['username']} {one['verb']}")
def test_what_the_cluster_does_by_itself_is_not(event: Json) -> None:
    assert recorded(POLICY, event) is None


def test_only_what_was_asked_for_is_recorded_whole() -> None:
    """Bodies of requests are of kinds of which a detection reads the body, or that run pods; answers are not there."""
    needed = {
        (
            raw["objectRef"].get("apiGroup", ""),
            "/".join(filter(None, map(raw["objectRef"].get, ("resource", "subresource")))),
        )
        for detection in DETECTIONS
        for raw in reports(detection.doc.fires)
        if "requestObject" in raw
    }
    whole = [rule for rule in POLICY["rules"] if rule["level"] not in ("None", "Metadata")]
    assert {rule["level"] for rule in whole} == {"Request"}
    asked = {(one["group"], name) for rule in whole for one in rule["resources"] for name in one["resources"]}
    others = {name for _, name in asked - needed}
    assert needed <= asked
    assert others <= WORKLOADS | ALSO
    assert {verb for rule in whole for verb in rule["verbs"]} == {"create", "update", "patch"}


ALSO = {
    "rolebindings",
    "pods/ephemeralcontainers",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
}
"""Of which detections read the body as well, though another kind stands in their sample."""


@pytest.mark.parametrize("resource", ["secrets", "configmaps", "serviceaccounts/token"])
@pytest.mark.parametrize("user", ["alice", "system:serviceaccount:kube-system:x", "system:node:worker-1"])
@pytest.mark.parametrize("verb", ["create", "update", "patch", "get", "delete"])
def test_no_content_of_a_secret_is_recorded(resource: str, user: str, verb: str) -> None:
    name, _, below = resource.partition("/")
    target = {"resource": name, "namespace": "shop", **({"subresource": below} if below else {})}
    event = {"verb": verb, "user": {"username": user}, "objectRef": target, "requestObject": {"data": {}}}
    kept = recorded(POLICY, {**event, "responseObject": {"data": {}}})
    assert kept is None or not {"requestObject", "responseObject"} & set(kept)


@pytest.mark.parametrize("number", range(len(POLICY["rules"])))
def test_every_rule_is_needed(number: int) -> None:
    """Without it a detection is blind, or what nobody needs is recorded."""
    policy = copy.deepcopy(POLICY)
    del policy["rules"][number]
    blind = [one.id for one in DETECTIONS if not fires(one, policy)]
    loud = [one for one in NOISE if recorded(policy, one) is not None]
    whole = [one for one in CONTROLLERS if "requestObject" in (recorded(policy, one) or {})]
    assert blind or loud or whole


CONTROLLERS: list[Json] = [
    {
        "verb": "create",
        "user": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "objectRef": {"resource": "pods", "namespace": "shop"},
        "requestObject": {"spec": {}},
    }
]


def test_pods_that_controllers_make_are_recorded_without_their_content() -> None:
    assert [recorded(POLICY, one) is not None for one in CONTROLLERS] == [True]
    assert all("requestObject" not in (recorded(POLICY, one) or {}) for one in CONTROLLERS)


ALICE = {"username": "alice", "groups": ["team"]}
POD = {"resource": "pods", "namespace": "shop", "name": "web-0"}


@pytest.mark.parametrize(
    ("rule", "event", "result"),
    [
        ({"users": ["bob"]}, {}, False),
        ({"users": ["alice"], "userGroups": ["other"]}, {}, False),
        ({"userGroups": ["team"], "verbs": ["get"]}, {}, True),
        ({"userGroups": ["system:authenticated"]}, {}, True),
        ({"verbs": ["list"]}, {}, False),
        ({"namespaces": ["shop"]}, {}, True),
        ({"namespaces": ["other"]}, {}, False),
        ({"nonResourceURLs": ["*"]}, {}, False),
        ({"resources": [{"group": ""}]}, {}, True),
        ({"resources": [{"group": "apps"}]}, {}, False),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, {}, True),
        ({"resources": [{"group": "", "resources": ["pods"], "resourceNames": ["a"]}]}, {}, False),
        ({"resources": [{"group": "", "resources": ["pods"]}]}, {"objectRef": {**POD, "subresource": "exec"}}, False),
        ({"resources": [{"group": "", "resources": ["pods/*"]}]}, {"objectRef": {**POD, "subresource": "exec"}}, True),
        ({"resources": [{"group": "", "resources": ["*/exec"]}]}, {"objectRef": {**POD, "subresource": "exec"}}, True),
        ({"resources": [{"group": ""}]}, {"objectRef": None, "requestURI": "/healthz"}, False),
        ({"nonResourceURLs": ["/healthz*"]}, {"objectRef": None, "requestURI": "/healthz/etcd?a=b"}, True),
        ({"nonResourceURLs": ["/healthz"]}, {"objectRef": None, "requestURI": "/healthz/etcd"}, False),
    ],
)
def test_rules_match_as_the_api_server_matches_them(rule: Json, event: Json, result: bool) -> None:
    given = {"verb": "get", "user": ALICE, "objectRef": POD, **event}
    kept = recorded({"rules": [{"level": "Metadata", **rule}]}, given)
    assert (kept is not None) is result


def test_the_first_rule_decides_and_stages_are_left_out() -> None:
    event = {"verb": "get", "user": ALICE, "objectRef": POD, "requestObject": {}, "responseObject": {}}
    rules = [{"level": "Request", "omitStages": ["ResponseStarted"]}, {"level": "RequestResponse"}]
    kept = recorded({"rules": rules}, event)
    assert kept is not None
    assert set(kept) == {"verb", "user", "objectRef", "requestObject", "level"}
    assert recorded({"rules": rules}, {**event, "stage": "ResponseStarted"}) is None
    assert recorded({"omitStages": ["ResponseComplete"], "rules": rules}, event) is None
    assert recorded({"rules": [{"level": "None"}]}, event) is None
    assert recorded({"rules": []}, event) is None
