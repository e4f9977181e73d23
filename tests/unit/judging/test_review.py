"""Requests under policies that select by kind, operation and subject, as the webhook answers them."""

from __future__ import annotations

from typing import Any

import pytest

from admission.state import State
from iocaudit.core.kinds import CLUSTER_ROLE, ROLE_BINDING
from iocaudit.core.kinds.ours import AUDIT_POLICY
from iocaudit.core.request import groups_of
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.judging.review import respond
from tests.support.plain_reviews import review
from tests.support.reviews import (
    CATALOGUE,
    REPLICASET_CONTROLLER,
    Stored,
    pod,
    settle,
    workload,
)
from tests.support.reviews import review as made_by

Json = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
CONTRACTORS = [{"kind": "Group", "name": "contractors"}]
EVE: Json = {"user": "eve", "groups": groups_of("eve", ("contractors",))}
BOB: Json = {"user": "bob", "groups": groups_of("bob", ("staff",))}


def policy(name: str, mode: str, *, priority: int = 0, check: str = "privileged-container", **match: Any) -> Json:
    spec: Json = {"priority": priority, "match": match, "checks": [{"ids": [check], "mode": mode}]}
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": name}, "spec": spec}


def state(*policies: Json) -> State:
    found = State(CATALOGUE)
    found.replace(AUDIT_POLICY, [Resource(raw, CLUSTER, kind=AUDIT_POLICY) for raw in policies])
    return found


def test_a_denial_for_some_requests_alone_names_its_policy() -> None:
    held = state(policy("bound", "deny", subjects=CONTRACTORS))
    verdict = settle(held, review("CREATE", pod(), **EVE))
    said = respond("u", verdict)["response"]
    assert not said["allowed"]
    assert "(by policy bound, for requests like this one). Fix: " in said["status"]["message"]
    assert said["auditAnnotations"]["bound-by"] == "bound"
    assert settle(held, review("CREATE", pod(), **BOB)).allowed
    everybody = respond("u", settle(state(policy("all", "deny")), review("CREATE", pod(), **EVE)))["response"]
    assert "by policy" not in everybody["status"]["message"]
    assert "bound-by" not in everybody["auditAnnotations"]


def test_both_objects_of_an_update_are_judged_by_the_setting_of_the_request() -> None:
    """What was there before is no news, whoever else would have been denied it."""
    held = state(policy("bound", "deny", operations=["UPDATE"], subjects=CONTRACTORS))
    old, new = workload("Deployment", "web"), workload("Deployment", "web", labels={"app": "web", "x": "y"})
    assert settle(held, review("UPDATE", new, old, **EVE)).allowed
    harmless = workload("Deployment", "web")
    harmless["spec"] = {**harmless["spec"], "template": {**harmless["spec"]["template"]}}
    harmless["spec"]["template"]["spec"] = {"containers": [{"name": "app", "image": "hooli.com/web:1"}]}
    assert not settle(held, review("UPDATE", new, harmless, **EVE)).allowed
    assert settle(held, review("UPDATE", new, harmless, **BOB)).allowed
    assert settle(held, review("CREATE", new, **EVE)).allowed


@pytest.mark.parametrize("mode", ["off", "audit", "warn"])
def test_a_milder_policy_for_deployments_kills_none_of_their_pods(mode: str) -> None:
    """What is made is compared with the template by its own settings, also where the template has others."""
    held = state(policy("pods", "deny", kinds=["Pod"]), policy("milder", mode, priority=1, kinds=["Deployment"]))
    stored = Stored(
        workload("ReplicaSet", "web-1", made_by=("Deployment", "web")),
        workload("Deployment", "web"),
    )
    asked = made_by(pod("web-1-a", made_by=("ReplicaSet", "web-1")), REPLICASET_CONTROLLER)
    verdict = settle(held, asked, stored)
    assert verdict.allowed
    assert [found.check for found in verdict.spared["existing"]] == ["privileged-container"]
    assert not settle(held, review("CREATE", pod(), **EVE)).allowed


def test_a_policy_for_pods_lets_no_template_bring_them_in() -> None:
    """Else a Deployment would be changed under it, and its pods spared as what was there before."""
    held = state(policy("pods", "deny", kinds=["Pod"]))
    bad = workload("Deployment", "web")
    assert not settle(held, review("CREATE", bad, **EVE)).allowed
    alone = state(policy("pods", "deny", kinds=["Job"]))
    assert settle(alone, review("CREATE", bad, **EVE)).allowed


def grant() -> tuple[Json, Json, Json]:
    """A binding in shop to a role, empty and filled."""
    role: Json = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "ops"}, "rules": []}
    bound: Json = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ops", "namespace": "shop"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "ops"},
        "subjects": [{"kind": "User", "apiGroup": RBAC, "name": "mallory"}],
    }
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    return bound, role, {**role, "rules": rules}


@pytest.mark.parametrize(
    ("match", "denied"),
    [
        ({}, True),
        ({"kinds": ["RoleBinding"]}, True),
        ({"kinds": ["Role"]}, False),
        ({"kinds": ["RoleBinding"], "operations": ["CREATE"]}, True),
        ({"kinds": ["RoleBinding"], "operations": ["UPDATE"]}, False),
        ({"subjects": CONTRACTORS}, True),
        ({"excludeSubjects": CONTRACTORS}, False),
    ],
)
def test_what_a_request_completes_is_judged_as_if_it_were_made_by_whoever_completes_it(
    match: Json, *, denied: bool
) -> None:
    """The order of requests chooses no policy: a role is filled under the policy for the binding that names it."""
    held = state(policy("grants", "deny", check="secret-access", **match))
    binding, empty, filled = grant()
    held.world.replace(ROLE_BINDING, [Resource(binding, CLUSTER)])
    held.world.replace(CLUSTER_ROLE, [Resource(empty, CLUSTER)])
    assert settle(held, review("UPDATE", filled, empty, **EVE)).allowed is not denied
