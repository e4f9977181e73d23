"""Nobody lends pods to a template that runs nothing, so that it would look as if it ran."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.reviews import (
    DEPLOYMENT_CONTROLLER,
    REPLICASET_CONTROLLER,
    Json,
    Stored,
    pod,
    review,
    settle,
    state_with,
    waiver,
    workload,
)

BY_SET = ("ReplicaSet", "old")
USERS = ["alice", REPLICASET_CONTROLLER, "system:kube-controller-manager"]


def harmless(raw: Json) -> Json:
    """The same without the privilege."""
    found = copy.deepcopy(raw)
    spec = found["spec"]["template"]["spec"] if "template" in found["spec"] else found["spec"]
    del spec["containers"][0]["securityContext"]
    return found


def idle(raw: Json) -> Json:
    return {**raw, "status": {"replicas": 0}}


def adoption(raw: Json, user: str = REPLICASET_CONTROLLER) -> Any:
    """The request by which an object comes under the owner that it names."""
    before = copy.deepcopy(raw)
    del before["metadata"]["ownerReferences"]
    return review(raw, user, before)


@pytest.mark.parametrize("user", USERS)
def test_a_harmless_pod_is_not_adopted_by_a_set_that_runs_nothing(user: str) -> None:
    stored = Stored(idle(workload("ReplicaSet", "old")))
    verdict = settle(state_with(), adoption(harmless(pod(made_by=BY_SET)), user), stored)
    assert not verdict.allowed
    (denial,) = verdict.denials
    assert denial.check == "privileged-container"
    assert "would count as made by ReplicaSet shop/old, which runs no pods" in denial.message


@pytest.mark.parametrize("labels", [{"app": "web"}, {"app": "other"}])
def test_nor_is_one_created_under_it(labels: Json) -> None:
    stored = Stored(idle(workload("ReplicaSet", "old")))
    made = harmless(pod(made_by=BY_SET, labels=labels))
    assert not settle(state_with(), review(made), stored).allowed


def named(**reference: str) -> Json:
    """A harmless pod whose reference to the set is spelled otherwise."""
    found = harmless(pod(made_by=BY_SET))
    found["metadata"]["ownerReferences"][0].update(reference)
    return found


def test_however_the_reference_spells_its_version() -> None:
    stored = Stored(idle(workload("ReplicaSet", "old")))
    assert not settle(state_with(), review(named(apiVersion="example.io/v1")), stored).allowed


@pytest.mark.parametrize("before", [{"uid": "another"}, {"name": "another"}, {"kind": "Another"}])
def test_nor_taken_over_from_another(before: Json) -> None:
    stored = Stored(idle(workload("ReplicaSet", "old")))
    asked = review(harmless(pod(made_by=BY_SET)), "alice", named(**before))
    assert not settle(state_with(), asked, stored).allowed


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "Job"])
def test_the_same_of_every_owner_of_pods(kind: str) -> None:
    owner = idle(workload(kind, "old"))
    if kind == "Job":
        owner["apiVersion"] = "batch/v1"
    assert not settle(state_with(), review(harmless(pod(made_by=(kind, "old")))), Stored(owner)).allowed


def test_a_deployment_that_runs_nothing_adopts_no_harmless_set() -> None:
    stored = Stored(idle(workload("Deployment", "old")))
    made = harmless(workload("ReplicaSet", "mine", made_by=("Deployment", "old")))
    assert not settle(state_with(), adoption(made, DEPLOYMENT_CONTROLLER), stored).allowed


def test_what_has_it_too_may_be_counted() -> None:
    stored = Stored(idle(workload("ReplicaSet", "old", "hooli.com/web:2")))
    assert settle(state_with(), adoption(pod(made_by=BY_SET)), stored).allowed
    stored = Stored(idle(workload("ReplicaSet", "old", "evil.io/web:2")))
    assert not settle(state_with(), adoption(pod(made_by=BY_SET)), stored).allowed


def test_what_runs_adopts_what_it_likes() -> None:
    stored = Stored(workload("ReplicaSet", "old"))
    assert settle(state_with(), adoption(harmless(pod(made_by=BY_SET))), stored).allowed


@pytest.mark.parametrize(
    "policy", [{"existing": "deny"}, {"checks": [{"ids": ["privileged-container"], "mode": "warn"}]}]
)
def test_only_what_would_be_spared_is_in_the_way(policy: Json) -> None:
    stored = Stored(idle(workload("ReplicaSet", "old")))
    assert settle(state_with(policy=policy), adoption(harmless(pod(made_by=BY_SET))), stored).allowed


def test_what_a_waiver_covers_is_not_in_the_way() -> None:
    stored = Stored(idle(workload("ReplicaSet", "old")))
    assert settle(state_with(waiver()), adoption(harmless(pod(made_by=BY_SET))), stored).allowed


def test_a_harmless_owner_adopts_and_is_asked_for_once() -> None:
    stored = Stored(idle(harmless(workload("ReplicaSet", "old"))))
    assert settle(state_with(), adoption(harmless(pod(made_by=BY_SET))), stored).allowed
    assert stored.asked == ["old"]


def test_owners_are_looked_up_for_adoptions_alone() -> None:
    stored = Stored(idle(workload("ReplicaSet", "old")))
    made = harmless(pod(made_by=BY_SET))
    assert settle(state_with(), review(made, REPLICASET_CONTROLLER), stored).allowed
    assert settle(state_with(), review(made, "alice", made), stored).allowed
    assert settle(state_with(), review(harmless(pod(made_by=("Rollout", "old"))), "alice"), stored).allowed
    assert stored.asked == []


def test_owners_that_are_not_there_or_not_known() -> None:
    asked = adoption(harmless(pod(made_by=BY_SET)))
    assert settle(state_with(), asked, Stored()).allowed
    other = idle(workload("ReplicaSet", "old", uid="another"))
    assert settle(state_with(), asked, Stored(other)).allowed
    verdict = settle(state_with(), asked, Stored(broken=("old",)))
    assert not verdict.allowed
    assert "privileged-container" in {fault.check for fault in verdict.fault_denials}


def placed(raw: Json, **spec: Any) -> Json:
    found = copy.deepcopy(raw)
    found["spec"]["template"]["spec"].update(spec)
    return found


@pytest.mark.parametrize(
    "more", [{"nodeSelector": {}}, {"tolerations": [{"operator": "Exists"}]}, {"affinity": {"nodeAffinity": {}}}]
)
def test_a_daemonset_for_no_node_gets_none(more: Json) -> None:
    away = {**placed(workload("DaemonSet", "web"), nodeSelector={"no": "node"}), "status": {}}
    assert not settle(state_with(), review(placed(away, **more), old=away)).allowed
    somewhere = {**away, "status": {"desiredNumberScheduled": 1}}
    assert settle(state_with(), review(placed(somewhere, **more), old=somewhere)).allowed


def test_a_daemonset_for_no_node_is_changed_otherwise() -> None:
    away = {**placed(workload("DaemonSet", "web"), nodeSelector={"no": "node"}), "status": {}}
    bumped = copy.deepcopy(away)
    bumped["spec"]["template"]["spec"]["containers"][0]["image"] = "hooli.com/web:2"
    assert settle(state_with(), review(bumped, old=away)).allowed
