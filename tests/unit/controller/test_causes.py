"""One cause is one finding in a cluster: what is stored, what comes up when its cause is accepted or goes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from iocaudit.controller.sweep import ObjectChange
from iocaudit.core.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, DEPLOYMENT, NAMESPACE, NETWORK_POLICY, Kind
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER
from tests.support.api import FakeApi
from tests.unit.controller.test_waivers import Setting

Json = dict[str, Any]
SECRETS = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
CONFIG = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
def setting() -> Setting:
    return Setting()


def privileged(api: FakeApi, *, is_so: bool = True) -> Json:
    context = {"securityContext": {"privileged": True}} if is_so else {}
    container = {"name": "app", "image": "hooli.com/web:1", **context}
    labels = {"app": "web"}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return api.put(DEPLOYMENT, "web", "shop", spec=spec)


def bound(api: FakeApi, *subjects: str, name: str = "reader") -> Json:
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "reader"}
    named = [{"kind": "User", "apiGroup": RBAC, "name": subject} for subject in subjects]
    return api.put(CLUSTER_ROLE_BINDING, name, roleRef=reference, subjects=named)


def findings(setting: Setting) -> dict[str, Json]:
    stored = [*setting.api.stored("iocfindings"), *setting.api.stored("clusteriocfindings")]
    found = [mapping["finding"] for mapping in stored]
    return {f"{one['check']} {one['target']}": one for one in found if one["state"] != "Resolved"}


def states(setting: Setting) -> dict[str, str]:
    return {name: one["state"] for name, one in findings(setting).items()}


def implied(finding: Json) -> list[str]:
    return [f"{one['check']} {one['target']} ({one['severity']}, {one['hits']})" for one in finding.get("implies", [])]


def heard(setting: Setting, kind: Kind, raw: Json, *, deleted: bool = False) -> None:
    setting.cluster.apply([ObjectChange(kind, deleted, raw)])
    while wait := setting.cluster.due_in:
        time.sleep(wait)
    setting.cluster.catch_up()


def test_what_is_implied_is_not_stored_but_listed_with_its_cause(setting: Setting) -> None:
    privileged(setting.api)
    setting.cluster.sweep()
    found = findings(setting)
    assert implied(found["privileged-container Deployment/web"]) == [
        "may-run-as-root Deployment/web (medium, 1)",
        "privilege-escalation-allowed Deployment/web (medium, 1)",
    ]
    assert found["privileged-container Deployment/web"]["impliedCount"] == 2
    assert implied(found["namespace-without-default-deny Namespace/shop"]) == [
        "no-ingress-policy Deployment/web (medium, 1)",
        "no-egress-policy Deployment/web (low, 1)",
    ]
    names = {name.split()[0] for name in found}
    assert names.isdisjoint({"privilege-escalation-allowed", "may-run-as-root", "no-ingress-policy"})
    assert "cpu-unlimited" in names
    assert setting.cluster.implied == 4


def test_what_becomes_implied_is_removed_and_not_called_resolved(setting: Setting) -> None:
    privileged(setting.api, is_so=False)
    setting.cluster.sweep()
    assert "privilege-escalation-allowed Deployment/web" in states(setting)
    heard(setting, DEPLOYMENT, privileged(setting.api))
    stored = [one["finding"]["check"] for one in setting.api.stored("iocfindings")]
    assert "privileged-container" in stored
    assert "privilege-escalation-allowed" not in stored
    heard(setting, DEPLOYMENT, privileged(setting.api, is_so=False))
    assert states(setting)["privilege-escalation-allowed Deployment/web"] == "Open"


def test_accepting_the_cause_alone_leaves_its_parts_to_stand_by_themselves(setting: Setting) -> None:
    privileged(setting.api)
    setting.cluster.sweep()
    setting.waiver(allowNew=True)
    setting.changed()
    found = states(setting)
    assert found["privileged-container Deployment/web"] == "Waived"
    assert found["privilege-escalation-allowed Deployment/web"] == "Open"
    assert "implies" not in findings(setting)["privileged-container Deployment/web"]
    setting.api.clear(IOC_WAIVER)
    setting.changed()
    assert states(setting)["privileged-container Deployment/web"] == "Open"
    assert "privilege-escalation-allowed Deployment/web" not in states(setting)


def test_accepting_the_parts_too_leaves_nothing_open(setting: Setting) -> None:
    privileged(setting.api)
    checks = ["privileged-container", "privilege-escalation-allowed", "may-run-as-root"]
    setting.waiver(checks=checks, allowNew=True)
    setting.cluster.sweep()
    assert {states(setting)[f"{check} Deployment/web"] for check in checks} == {"Waived"}


def test_a_grant_follows_its_role_and_its_bindings(setting: Setting) -> None:
    api = setting.api
    api.put(CLUSTER_ROLE, "reader", rules=SECRETS)
    bound(api, "alice")
    setting.cluster.sweep()
    role = findings(setting)["secret-access ClusterRole/reader"]
    assert role["severity"] == "critical"
    assert "given to User alice by ClusterRoleBinding reader" in role["message"]
    assert implied(role) == ["secret-access ClusterRoleBinding/reader (critical, 1)"]
    assert "secret-access ClusterRoleBinding/reader" not in states(setting)

    second = bound(api, "bob", name="second")
    heard(setting, CLUSTER_ROLE_BINDING, second)
    assert len(implied(findings(setting)["secret-access ClusterRole/reader"])) == 2
    heard(setting, CLUSTER_ROLE_BINDING, second, deleted=True)
    assert len(implied(findings(setting)["secret-access ClusterRole/reader"])) == 1

    heard(setting, CLUSTER_ROLE, api.put(CLUSTER_ROLE, "reader", rules=CONFIG))
    assert not [name for name in states(setting) if name.startswith("secret-access")]
    stored = {one["finding"]["target"] for one in setting.api.stored("clusteriocfindings")}
    assert "ClusterRoleBinding/reader" not in stored, "between the change and the next look it was not stored either"
    heard(setting, CLUSTER_ROLE, api.put(CLUSTER_ROLE, "reader", rules=SECRETS))
    assert findings(setting)["secret-access ClusterRole/reader"]["severity"] == "critical"


def test_a_waiver_on_the_role_covers_no_binding(setting: Setting) -> None:
    setting.api.put(CLUSTER_ROLE, "reader", rules=SECRETS)
    bound(setting.api, "alice")
    kinds = [f"ClusterRole.{RBAC}"]
    setting.waiver(checks=["secret-access"], namespaces=[], clusterScope=True, kinds=kinds, allowNew=True)
    setting.cluster.sweep()
    found = findings(setting)
    assert found["secret-access ClusterRole/reader"]["state"] == "Waived"
    assert found["secret-access ClusterRoleBinding/reader"]["state"] == "Open"
    assert found["secret-access ClusterRoleBinding/reader"]["severity"] == "critical"


def test_a_namespace_follows_what_is_open_in_it(setting: Setting) -> None:
    privileged(setting.api)
    setting.cluster.sweep()
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    deny = setting.api.put(NETWORK_POLICY, "deny", "shop", spec=spec)
    heard(setting, NETWORK_POLICY, deny)
    assert implied(findings(setting)["namespace-without-default-deny Namespace/shop"]) == [
        "no-egress-policy Deployment/web (low, 1)"
    ]
    gone = setting.api.put(NAMESPACE, "shop")
    heard(setting, NAMESPACE, gone, deleted=True)
    assert states(setting)["no-egress-policy Deployment/web"] == "Open"


def test_a_policy_that_treats_a_part_more_strictly_lets_it_stand(setting: Setting) -> None:
    privileged(setting.api)
    rules = [
        {"ids": ["privileged-container"], "mode": "audit"},
        {"ids": ["privilege-escalation-allowed"], "mode": "deny"},
    ]
    setting.api.put(AUDIT_POLICY, "strict", spec={"checks": rules})
    setting.cluster.sweep()
    found = states(setting)
    assert found["privilege-escalation-allowed Deployment/web"] == "Open"
    assert "may-run-as-root Deployment/web" not in found


def test_a_report_counts_causes_and_hits(setting: Setting) -> None:
    privileged(setting.api)
    setting.cluster.sweep()
    (report,) = setting.api.stored("auditreports")
    said = report["report"]
    assert said["causes"] == sum(said["severities"].values()) == len(findings(setting))
    counted = findings(setting).values()
    assert said["hits"] == sum(one["hitCount"] + one.get("impliedCount", 0) for one in counted)
    assert said["checks"]["privileged-container"] == 1
    assert "privilege-escalation-allowed" not in said["checks"]


def test_a_second_sweep_writes_nothing(setting: Setting) -> None:
    privileged(setting.api)
    setting.api.put(CLUSTER_ROLE, "reader", rules=SECRETS)
    bound(setting.api, "alice", "bob")
    setting.cluster.sweep()
    before = sum(setting.api.writes.values())
    setting.cluster.sweep()
    assert sum(setting.api.writes.values()) == before
