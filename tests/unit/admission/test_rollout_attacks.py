"""Who edits a namespace tries to be let off a policy under rollout, by forcing a step back, and fails."""

from __future__ import annotations

from typing import Any

import pytest

from iocaudit.engine.deadline import Deadline
from iocaudit.engine.rollout import RolloutStage, RolloutState
from iocaudit.judging.review import answer
from tests.support.rollout_world import Asked, RolloutWorld, account, pod, role

Json = dict[str, Any]
ROLES = [{"ids": ["escalation-verb", "unsafe-sysctl"], "mode": "deny"}]
"""High hits in a namespace, which preset guard does not deny."""
NAMESPACES = ["kube-system", "iocaudit", "flux-system", "kube-system-x", "flux-system-2", "shop", "pay"]


def world(day: float = 3.0, **spec: Any) -> RolloutWorld:
    """Promoted everywhere, under lockdown."""
    wanted = {"preset": "lockdown", "checks": ROLES, "rollout": {"after": "2d", "protect": ["flux-system"]}, **spec}
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": wanted}
    found = RolloutWorld(raw, NAMESPACES)
    found.wait_until(day)
    assert found.stage is RolloutStage.PROMOTED
    return found


def denied(there: RolloutWorld, asked: Asked) -> bool:
    verdict = there.ask(asked)
    assert verdict is not None
    return not verdict.allowed


LABELS = {"app.kubernetes.io/part-of": "kube-system", "app.kubernetes.io/managed-by": "flux-system"}
OWNED = [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "kube-proxy", "uid": "u", "controller": True}]
SYSCTLS = pod("web-1", "shop", privileged=False, generateName="web-")
SYSCTLS["spec"]["securityContext"] = {"sysctls": [{"name": "kernel.core_pattern", "value": "|/x"}]}
TRIES = {
    "as themselves": Asked(role("r", "shop"), "alice"),
    "by a ServiceAccount of their own": Asked(role("r", "shop"), account("shop", "kube-system")),
    "by a controller of their own": Asked(role("r", "shop"), account("shop", "replicaset-controller")),
    "by an account in a namespace of a name alike": Asked(role("r", "shop"), account("kube-system-x", "cilium")),
    "by an account in another namespace of a name alike": Asked(
        role("r", "shop"), account("flux-system-2", "kustomize-controller")
    ),
    "by a user named like a controller": Asked(role("r", "shop"), "kube-system:cilium-operator"),
    "by a user of more parts": Asked(role("r", "shop"), "system:serviceaccount:kube-system:cilium:operator"),
    "by a group that names the system": Asked(role("r", "shop"), "alice", groups=("kube-system", "system:nodes")),
    "by labels": Asked(role("r", "shop") | {"metadata": {"name": "r", "namespace": "shop", "labels": LABELS}}, "alice"),
    "by an owner that they claim": Asked(pod("kube-proxy", "shop", ownerReferences=OWNED), account("shop", "bot")),
    "by a template that the cluster's controllers carry out": Asked(
        SYSCTLS, account("kube-system", "replicaset-controller")
    ),
    "by a Deployment's rollout": Asked(SYSCTLS, account("kube-system", "deployment-controller")),
    "by an autoscaler": Asked(SYSCTLS, account("kube-system", "horizontal-pod-autoscaler")),
    "by all controllers in one": Asked(SYSCTLS, "system:kube-controller-manager"),
    "as a node": Asked(SYSCTLS, "system:node:worker-1", groups=("system:nodes",)),
    "in cluster scope": Asked(role("r"), account("flux-system", "kustomize-controller")),
    "by what guard denies, through a protected controller": Asked(
        pod("miner", "shop"), account("flux-system", "kustomize-controller")
    ),
    "by what guard denies, through kube-system": Asked(pod("miner", "shop"), account("kube-system", "cilium-operator")),
}


@pytest.mark.parametrize("how", TRIES)
def test_the_editor_of_a_namespace_forces_no_step_back(how: str) -> None:
    there = world()
    for _ in range(20):
        assert denied(there, TRIES[how])
    assert there.status.progress.back == frozenset()
    assert [asked for asked in there.happened if not asked.refused] == []
    assert denied(there, Asked(role("reader", "shop"), "alice"))


def test_what_a_step_back_opens_guard_still_denies() -> None:
    there = world()
    flux = account("flux-system", "kustomize-controller")
    assert denied(there, Asked(role("r", "shop"), flux))
    assert there.policy.standing_in("shop") is RolloutState.BACK
    assert not denied(there, Asked(role("r", "shop"), "alice"))
    for user in ("alice", flux, account("kube-system", "cilium-operator")):
        assert denied(there, Asked(pod("miner", "shop"), user))
    assert there.fails_closed()
    assert denied(there, Asked(role("r", "pay"), "alice"))


def test_there_is_one_step_back_a_day() -> None:
    there = world()
    flux = account("flux-system", "kustomize-controller")
    for name in ("shop", "pay", "kube-system-x"):
        denied(there, Asked(role("r", name), flux))
    assert there.status.progress.back == {"shop"}
    assert {asked.refused for asked in there.happened[1:]} == {"there was a step back within a day"}
    there.wait_until(there.day + 1)
    assert denied(there, Asked(role("r", "pay"), flux))
    assert there.status.progress.back == {"shop", "pay"}


def test_a_policy_of_preset_guard_is_never_taken_back() -> None:
    there = world(preset="guard")
    for user in (account("flux-system", "kustomize-controller"), account("kube-system", "cilium-operator")):
        assert denied(there, Asked(pod("miner", "shop"), user))
    assert there.happened == []


def test_would_be_denials_hold_their_own_namespace_alone() -> None:
    """However many, and of however many names: nobody holds back the others."""
    there = _counting()
    for number in range(60):
        assert not denied(there, Asked(role(f"r-{number}", "shop"), f"user-{number}"))
    there.wait_until(2.4)
    assert there.stage is RolloutStage.PROMOTED
    assert there.policy.standing_in("shop") is RolloutState.FROM
    assert there.policy.standing_in("pay") is RolloutState.TO
    assert len(there.status.holds["shop"].who) <= 3


def _counting() -> RolloutWorld:
    wanted = {"preset": "lockdown", "checks": ROLES, "rollout": {"after": "2d"}}
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": wanted}
    there = RolloutWorld(raw, NAMESPACES)
    there.wait_until(1)
    return there


def test_what_nobody_can_tell_of_does_not_count() -> None:
    there = _counting()
    there.wait_until(2.9, known=False)
    assert there.stage.value == "Counting"
    there.wait_until(3.9)
    assert there.stage is RolloutStage.PROMOTED


def test_what_completes_a_grant_elsewhere_holds_all_that_are_left() -> None:
    """A ClusterRole in cluster scope, which a binding in a namespace waits for."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "shop"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "late"},
        "subjects": [{"kind": "User", "name": "bob"}],
    }
    wanted = {"checks": ROLES, "match": {"namespaces": ["shop", "pay"]}, "rollout": {"after": "2d"}}
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": wanted}
    there = RolloutWorld(raw, NAMESPACES, objects=(binding,))
    there.wait_until(1)
    assert not denied(there, Asked(role("late"), "alice"))
    there.wait_until(2.5)
    assert there.stage.value == "Counting"
    assert "no single namespace could be named" in there.status.reason
    there.wait_until(3.5)
    assert there.stage is RolloutStage.PROMOTED


def _selecting(match: Json, *objects: Json) -> RolloutWorld:
    wanted = {"preset": "lockdown", "checks": ROLES, "match": match, "rollout": {"after": "2d"}}
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}, "spec": wanted}
    there = RolloutWorld(raw, NAMESPACES, objects=objects)
    there.wait_until(1)
    return there


@pytest.mark.parametrize("match", [{"kinds": ["RoleBinding"]}, {"operations": ["CREATE"]}], ids=str)
def test_what_completes_a_grant_is_counted_whatever_kinds_and_operations_the_policy_is_for(match: Json) -> None:
    """A role that is filled is judged as the binding to it that is made: not counted, it would be denied unforeseen."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "shop"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "late"},
        "subjects": [{"kind": "User", "name": "bob"}],
    }
    there = _selecting(match, binding)
    filled = Asked(role("late", "shop"), "alice", {**role("late", "shop"), "rules": []})
    assert not denied(there, filled)
    assert (set(there.status.holds), there.status.elsewhere_at) == ({"shop"}, None)
    there.wait_until(2.5)
    assert there.stage is RolloutStage.PROMOTED
    assert not denied(there, filled)
    there.wait_until(6)
    assert denied(there, filled)


def test_a_claim_for_what_a_pod_may_not_mount_holds_its_own_namespace_alone() -> None:
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "node"},
        "spec": {"hostPath": {"path": "/"}, "storageClassName": "local"},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"volumeName": "node", "storageClassName": "local"},
    }
    there = _selecting({"kinds": ["Pod"]}, volume)
    assert not denied(there, Asked(claim, "alice"))
    assert (set(there.status.holds), there.status.elsewhere_at) == ({"shop"}, None)


def written(status: Json, before: Json, user: str) -> Asked:
    raw = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "p"}}
    spec = {"preset": "lockdown", "checks": ROLES, "rollout": {"after": "2d", "protect": ["flux-system"]}}
    return Asked({**raw, "spec": spec, "status": status}, user, {**raw, "spec": spec, "status": before})


@pytest.mark.parametrize(
    ("user", "told"),
    [("mallory", True), (account("iocaudit", "iocaudit-operator"), False)],
    ids=["mallory", "operator"],
)
def test_a_status_that_takes_away_from_what_is_denied_is_told_as_a_spec_is(user: str, told: bool) -> None:
    there = world()
    rollout = there.policy.rollout
    assert rollout is not None
    stages = {
        stage: {"rollout": {"fingerprint": rollout.fingerprint, "stage": stage}} for stage in ("Counting", "Promoted")
    }
    asked = written(stages["Counting"], stages["Promoted"], user)
    verdict = answer(asked.review(subResource="status"), there.auditor, Deadline.within(60))
    assert verdict.allowed
    assert bool(verdict.recorded) is bool(verdict.notes) is told
    back = written(stages["Promoted"], stages["Counting"], user)
    assert not answer(back.review(subResource="status"), there.auditor, Deadline.within(60)).recorded
