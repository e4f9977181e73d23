"""Grants over our own objects: what hits, what is left to others, and our own install."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_set import PolicySet
from iocaudit.install.rbac import bindings, cluster_roles, namespaced_roles
from iocaudit.knowledge.rbac.escalation import way_to_cluster_admin
from iocaudit.knowledge.rbac.subjects import Subject
from tests.support.rbac_objects import CATALOGUE, binding, role, rule, run, severities

Json = dict[str, Any]
OURS = "iocaudit.io"
CHECK = "guard-tampering"


@pytest.mark.parametrize(
    "given",
    [
        rule("create", "auditpolicies", OURS),
        rule("delete", "auditpolicies", OURS),
        rule("deletecollection", "auditpolicies", OURS),
        rule("patch", "auditpolicies/status", OURS),
        rule("update", "iocwaivers/status", OURS),
        rule("patch", "*/status", OURS),
        rule("create", "iocwaivers", OURS),
        rule("update", "auditpolicies", OURS, names="default"),
        rule("delete", "clusteriocfindings", OURS),
        rule("update", "iocfindings", OURS),
        rule("delete", "auditreports,clusterauditreports", OURS),
        rule("*", "*", OURS),
        rule("*", "auditpolicies", "*"),
        rule("patch", "validatingwebhookconfigurations", "admissionregistration.k8s.io", names="iocaudit"),
        rule("delete", "clusterroles", "rbac.authorization.k8s.io", names="iocaudit-operator"),
        rule("update", "clusterrolebindings", "rbac.authorization.k8s.io", names="iocaudit-admission"),
        rule("delete", "customresourcedefinitions", "apiextensions.k8s.io", names="auditpolicies.iocaudit.io"),
        rule("delete", "namespaces", names="iocaudit"),
        rule("update", "leases", "coordination.k8s.io", names="iocaudit-operator"),
        rule("get", "secrets", names="iocaudit-serving"),
        rule("create", "serviceaccounts/token", names="iocaudit-operator"),
        rule("patch", "deployments", "apps", names="iocaudit-admission"),
        rule("update", "deployments/scale", "apps", names="iocaudit-operator"),
    ],
    ids=lambda given: f"{'/'.join(given['verbs'])} {','.join(given['resources'])}",
)
def test_a_grant_that_names_us_is_critical(given: Json) -> None:
    held = role("tuning", given)
    assert severities(run(CHECK, held)) == ["critical"]
    assert severities(run(CHECK, binding("b", "tuning", "User:mallory"), held)) == ["critical"]


@pytest.mark.parametrize(
    "given",
    [
        rule("get,list,watch", "*", OURS),
        rule("*", "*", "*"),
        rule("update", "*", "*"),
        rule("patch", "validatingwebhookconfigurations", "admissionregistration.k8s.io", names="cert-manager"),
        rule("patch", "validatingwebhookconfigurations", "admissionregistration.k8s.io"),
        rule("update", "leases", "coordination.k8s.io"),
        rule("update", "leases", "coordination.k8s.io", names="cert-manager"),
        rule("get", "clusterroles", "rbac.authorization.k8s.io", names="iocaudit-operator"),
        rule("create", "clusterroles", "rbac.authorization.k8s.io", names="iocaudit-operator"),
    ],
    ids=lambda given: f"{'/'.join(given['verbs'])} {','.join(given['resources'])}",
)
def test_reading_and_what_others_judge_is_left_alone(given: Json) -> None:
    assert severities(run(CHECK, role("reader", given))) == []


def test_findings_of_one_namespace_weigh_less_than_the_cluster() -> None:
    wipes = role("tidy", rule("delete", "iocfindings", OURS))
    assert severities(run(CHECK, role("tidy", rule("delete", "iocfindings", OURS), namespace="shop"))) == ["high"]
    assert severities(run(CHECK, binding("b", "tidy", "User:eve", namespace="shop"), wipes)) == ["high"]


def test_a_role_of_a_namespace_names_in_vain_what_stands_outside() -> None:
    assert severities(run(CHECK, role("r", rule("update", "auditpolicies", OURS), namespace="shop"))) == ["low"]


@pytest.mark.parametrize("namespace", ["iocaudit", "shop"])
def test_a_name_counts_in_our_namespace_and_not_in_another(namespace: str) -> None:
    for given in (
        rule("update", "leases", "coordination.k8s.io", names="iocaudit-operator"),
        rule("get", "secrets", names="iocaudit-serving"),
    ):
        found = severities(run(CHECK, role("r", given, namespace=namespace)))
        assert found == (["critical"] if namespace == "iocaudit" else [])


@pytest.mark.parametrize(
    "given",
    [
        rule("update", "leases", "coordination.k8s.io"),
        rule("delete", "deployments", "apps"),
        rule("patch", "deployments/scale", "apps"),
        rule("deletecollection", "services"),
        rule("delete", "secrets"),
        rule("update", "rolebindings", "rbac.authorization.k8s.io"),
    ],
    ids=lambda given: f"{'/'.join(given['verbs'])} {','.join(given['resources'])}",
)
def test_in_our_namespace_all_of_a_kind_are_ours_too(given: Json) -> None:
    for namespace, expected in (("iocaudit", ["critical"]), ("shop", [])):
        assert severities(run(CHECK, role("r", given, namespace=namespace))) == expected
        bound = binding("b", "r", "User:eve", namespace=namespace)
        assert severities(run(CHECK, bound, role("r", given))) == expected
    assert severities(run(CHECK, binding("b", "r", "User:eve"), role("r", given))) == [], "rights on all of them"
    named = {**given, "resourceNames": ["another"]}
    assert severities(run(CHECK, role("r", named, namespace="iocaudit"))) == []


def test_to_make_new_objects_beside_ours_changes_none() -> None:
    given = rule("create,get", "leases,services", "coordination.k8s.io,")
    assert severities(run(CHECK, role("r", given, namespace="iocaudit"))) == []


@pytest.mark.parametrize("to", ["edit", "admin", "cluster-admin"])
def test_whoever_may_take_our_keys_in_our_namespace_holds_the_guard(to: str) -> None:
    assert severities(run(CHECK, binding("b", to, "User:eve", namespace="shop"))) == []
    (found,) = run(CHECK, binding("b", to, "User:eve", namespace="iocaudit")).found
    assert found.severity.label == "critical"
    assert "User eve" in found.message
    assert severities(run(CHECK, binding("b", "view", "User:eve", namespace="iocaudit"))) == []


def test_who_may_change_configmaps_where_we_run_changes_our_rules() -> None:
    editor = role("editor", rule("update,patch", "configmaps"))
    bound = run(CHECK, binding("b", "editor", "User:eve", namespace="iocaudit"), editor)
    assert severities(bound) == ["critical"]
    assert "and there the rules in Rego that this auditor judges by" in bound.found[0].hit.message
    assert severities(run(CHECK, binding("b", "editor", "User:eve", namespace="shop"), editor)) == []
    reader = role("reader", rule("get,list,watch", "configmaps"))
    assert severities(run(CHECK, binding("b", "reader", "User:eve", namespace="iocaudit"), reader)) == []


def test_an_aggregated_role_that_brings_our_kinds_along_is_seen_on_both() -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    brings = role("brings", rule("create,update", "iocwaivers", OURS), labels=label)
    assert severities(run(CHECK, brings)) == ["critical"]
    assert severities(run(CHECK, binding("b", "edit", "Group:dev"), brings)) == ["critical"]


def ours() -> dict[str, Resource]:
    raws = [*cluster_roles(CATALOGUE), *bindings("iocaudit"), *namespaced_roles("iocaudit")]
    return {f"{raw['kind']} {raw['metadata']['name']}": Resource(raw, CLUSTER) for raw in raws}


def all_hits(*objects: Resource) -> list[str]:
    world = World()
    for one in objects:
        world.put(one)
    auditor = Auditor(CATALOGUE, PolicySet(CATALOGUE), world)
    return [
        f"{found.check} {found.subject.kind} {found.subject.name}" for o in objects for found in auditor.audit(o).found
    ]


def test_our_own_install_is_exempt_from_every_check() -> None:
    assert all_hits(*ours().values()) == []


def test_the_waiver_editor_may_be_bound_to_people_and_not_to_everybody() -> None:
    editor = ours()["ClusterRole iocaudit-waiver-editor"]
    to = "iocaudit-waiver-editor"
    assert severities(run(CHECK, binding("b", to, "Group:security", "User:alice"), editor)) == []
    for everybody in ("Group:system:authenticated", "Group:system:serviceaccounts:shop", "User:system:anonymous"):
        assert severities(run(CHECK, binding("b", to, everybody, "Group:security"), editor)) == ["critical"]
    raw = copy.deepcopy(editor.raw)
    raw["rules"][0]["resources"].append("auditpolicies")
    assert severities(run(CHECK, binding("b", to, "Group:security"), Resource(raw, CLUSTER))) == ["critical"]


def test_one_more_rule_or_subject_and_all_of_it_is_judged() -> None:
    found = ours()
    widened = copy.deepcopy(found["ClusterRole iocaudit-operator"].raw)
    widened["rules"].append({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]})
    rest = {name: one for name, one in found.items() if name != "ClusterRole iocaudit-operator"}
    hits = all_hits(Resource(widened, CLUSTER), *rest.values())
    assert {"guard-tampering ClusterRole iocaudit-operator", "workload-creation ClusterRole iocaudit-operator"} <= {
        *hits
    }
    # And so is the binding, which is as it was: what it gives is not.
    assert "guard-tampering ClusterRoleBinding iocaudit-operator" in hits
    named = copy.deepcopy(found["ClusterRoleBinding iocaudit-operator"].raw)
    named["subjects"].append({"kind": "User", "name": "mallory"})
    rest = {name: one for name, one in found.items() if name != "ClusterRoleBinding iocaudit-operator"}
    assert "webhook-tampering ClusterRoleBinding iocaudit-operator" in all_hits(
        Resource(named, CLUSTER), *rest.values()
    )


def test_the_power_is_no_step_to_cluster_admin_but_makes_a_workload_powerful() -> None:
    held = role("tuning", rule("update", "auditpolicies", OURS))
    bound = binding("b", "tuning", "ServiceAccount:shop/web")
    world = World()
    for one in (held, bound):
        world.put(one)
    assert way_to_cluster_admin(Subject("ServiceAccount", "web", "shop"), world).steps == ()
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "app", "image": "hooli.com/web:1"}]},
    }
    (found,) = run("workload-holds-power", Resource(pod, CLUSTER), held, bound).found
    assert "update auditpolicies" in found.message


def test_deleting_any_cluster_role_removes_the_webhooks_that_belong_to_one() -> None:
    """As ours does, so that uninstalling removes it: who may delete its owner may delete the guard."""
    deletes = rule("delete", "clusterroles", "rbac.authorization.k8s.io")
    assert severities(run("webhook-tampering", role("r", deletes))) == ["critical"]
    named = rule("delete", "clusterroles", "rbac.authorization.k8s.io", names="other")
    assert severities(run("webhook-tampering", role("r", named))) == []
    assert severities(run("webhook-tampering", role("r", deletes, namespace="shop"))) == ["low"]
