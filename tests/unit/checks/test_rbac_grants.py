"""Every grant that amounts to more: on roles, on bindings of such roles, in any scope and spelling."""

import pytest

from iocaudit.core.kinds import CLUSTER_ROLE
from tests.support.rbac_objects import CATALOGUE, Json, binding, objects, role, rule, run, severities

RBAC = "rbac.authorization.k8s.io"
CERTIFICATES = "certificates.k8s.io"
ADMISSION = "admissionregistration.k8s.io"

# check, rule, severity in a ClusterRole, in a Role, bound in the whole cluster, bound in a namespace ("" no hit).
TABLE: list[tuple[str, Json, str, str, str, str]] = [
    ("workload-creation", rule("create", "pods"), "high", "high", "critical", "high"),
    ("workload-creation", rule("patch", "pods"), "high", "high", "high", "high"),
    ("workload-creation", rule("patch", "jobs", "batch"), "medium", "medium", "medium", "medium"),
    ("workload-creation", rule("update", "cronjobs", "batch"), "high", "high", "critical", "high"),
    ("workload-creation", rule("*", "deployments", "*"), "high", "high", "critical", "high"),
    ("workload-creation", rule("create", "rollouts", "argoproj.io"), "high", "high", "critical", "high"),
    ("workload-creation", rule("create", "replicationcontrollers"), "high", "high", "critical", "high"),
    ("workload-creation", rule("get,list,watch,delete", "pods"), "", "", "", ""),
    ("workload-creation", rule("create", "pods/exec,pods/binding"), "", "", "", ""),
    ("workload-creation", rule("create", "deployments"), "", "", "", ""),
    ("workload-creation", rule("create", "pods", names="one"), "", "", "", ""),
    ("workload-creation", rule("patch", "deployments", "apps", names="one"), "high", "high", "critical", "high"),
    ("workload-creation", rule("create", "podtemplates"), "", "", "", ""),
    ("exec-permission", rule("get", "pods/exec"), "high", "high", "high", "high"),
    ("exec-permission", rule("create", "pods/attach"), "high", "high", "high", "high"),
    ("exec-permission", rule("create", "pods/portforward"), "high", "high", "high", "high"),
    ("exec-permission", rule("delete", "pods/proxy"), "high", "high", "high", "high"),
    ("exec-permission", rule("patch", "pods/ephemeralcontainers"), "high", "high", "high", "high"),
    ("exec-permission", rule("create", "*/exec", "*"), "high", "high", "high", "high"),
    ("exec-permission", rule("create", "pods/exec", names="one"), "high", "high", "high", "high"),
    ("exec-permission", rule("*", "*", "*"), "high", "high", "critical", "high"),
    ("exec-permission", rule("list,watch,delete", "pods/exec"), "", "", "", ""),
    ("exec-permission", rule("create", "pods/exec", "apps"), "", "", "", ""),
    ("exec-permission", rule("create", "pods/*"), "", "", "", ""),
    ("exec-permission", rule("create,update", "pods"), "", "", "", ""),
    ("persistent-volume-creation", rule("create", "persistentvolumes"), "high", "low", "high", ""),
    ("persistent-volume-creation", rule("create", "persistentvolumeclaims"), "", "", "", ""),
    ("persistent-volume-creation", rule("get,delete", "persistentvolumes"), "", "", "", ""),
    ("secret-access", rule("get", "secrets"), "high", "high", "critical", "high"),
    ("secret-access", rule("watch", "secrets", "*"), "high", "high", "critical", "high"),
    ("secret-access", rule("create", "secrets"), "high", "high", "critical", "high"),
    ("secret-access", rule("get", "*"), "high", "high", "critical", "high"),
    ("secret-access", rule("delete", "secrets"), "medium", "medium", "medium", "medium"),
    ("secret-access", rule("deletecollection", "secrets"), "medium", "medium", "medium", "medium"),
    ("secret-access", rule("get", "secrets", names="one"), "low", "low", "high", "low"),
    ("secret-access", rule("create", "secrets", names="one"), "", "", "", ""),
    ("secret-access", rule("get", "secrets", "apps"), "", "", "", ""),
    ("secret-access", rule("get", "configmaps"), "", "", "", ""),
    ("token-minting", rule("create", "serviceaccounts/token"), "high", "high", "critical", "high"),
    ("token-minting", rule("create", "*/token"), "high", "high", "critical", "high"),
    ("token-minting", rule("create", "serviceaccounts/token", names="one"), "high", "high", "high", "high"),
    ("token-minting", rule("create", "serviceaccounts"), "", "", "", ""),
    ("token-minting", rule("get", "serviceaccounts/token"), "", "", "", ""),
    ("node-proxy-access", rule("get", "nodes/proxy"), "critical", "low", "critical", ""),
    ("node-proxy-access", rule("create", "nodes/*,nodes/proxy"), "critical", "low", "critical", ""),
    ("node-proxy-access", rule("patch", "nodes"), "critical", "low", "critical", ""),
    ("node-proxy-access", rule("update", "nodes/status"), "critical", "low", "critical", ""),
    ("node-proxy-access", rule("get,list,watch", "nodes,nodes/metrics,nodes/stats,nodes/log"), "", "", "", ""),
    (
        "csr-approval",
        rule("update", "certificatesigningrequests/approval", CERTIFICATES),
        "critical",
        "low",
        "critical",
        "",
    ),
    ("csr-approval", rule("approve", "signers", CERTIFICATES), "critical", "low", "critical", ""),
    ("csr-approval", rule("sign", "signers", CERTIFICATES, "kubernetes.io/*"), "critical", "low", "critical", ""),
    ("csr-approval", rule("approve", "signers", CERTIFICATES, "example.org/mine"), "", "", "", ""),
    ("csr-approval", rule("approve", "signers", "cert-manager.io"), "", "", "", ""),
    ("csr-approval", rule("create,update", "certificatesigningrequests", CERTIFICATES), "", "", "", ""),
    (
        "webhook-tampering",
        rule("delete", "validatingwebhookconfigurations", ADMISSION),
        "critical",
        "low",
        "critical",
        "",
    ),
    (
        "webhook-tampering",
        rule("deletecollection", "mutatingadmissionpolicies", ADMISSION),
        "critical",
        "low",
        "critical",
        "",
    ),
    (
        "webhook-tampering",
        rule("patch", "customresourcedefinitions", "apiextensions.k8s.io"),
        "critical",
        "low",
        "critical",
        "",
    ),
    ("webhook-tampering", rule("create", "apiservices", "apiregistration.k8s.io"), "critical", "low", "critical", ""),
    (
        "webhook-tampering",
        rule("patch", "validatingwebhookconfigurations", ADMISSION, "mine"),
        "high",
        "low",
        "high",
        "",
    ),
    ("webhook-tampering", rule("get,list", "validatingwebhookconfigurations", ADMISSION), "", "", "", ""),
    ("rbac-management", rule("create", "rolebindings", RBAC), "high", "high", "high", "high"),
    ("rbac-management", rule("delete", "clusterroles", RBAC), "high", "low", "high", ""),
    ("rbac-management", rule("get,list,watch,bind", "roles", RBAC), "", "", "", ""),
    ("service-status-write", rule("patch", "services/status"), "medium", "medium", "medium", "medium"),
    ("service-status-write", rule("patch", "*/status"), "medium", "medium", "medium", "medium"),
    ("service-status-write", rule("patch", "services"), "", "", "", ""),
    ("endpoint-write", rule("create", "endpoints"), "medium", "medium", "medium", "medium"),
    ("endpoint-write", rule("patch", "endpointslices", "discovery.k8s.io"), "medium", "medium", "medium", "medium"),
    ("endpoint-write", rule("get,delete", "endpoints"), "", "", "", ""),
    (
        "network-policy-write",
        rule("delete", "networkpolicies", "networking.k8s.io"),
        "medium",
        "medium",
        "medium",
        "medium",
    ),
    (
        "network-policy-write",
        rule("patch", "ciliumnetworkpolicies", "cilium.io"),
        "medium",
        "medium",
        "medium",
        "medium",
    ),
    (
        "network-policy-write",
        rule("patch", "globalnetworkpolicies", "crd.projectcalico.org"),
        "medium",
        "low",
        "medium",
        "",
    ),
    ("network-policy-write", rule("patch", "networkpolicies"), "", "", "", ""),
    ("event-deletion", rule("delete", "events", "events.k8s.io"), "medium", "medium", "medium", "medium"),
    ("event-deletion", rule("deletecollection", "events"), "medium", "medium", "medium", "medium"),
    ("event-deletion", rule("create,patch", "events"), "", "", "", ""),
    ("log-deletion", rule("delete", "pods/log"), "medium", "medium", "medium", "medium"),
    ("log-deletion", rule("get", "pods/log"), "", "", "", ""),
    ("log-deletion", rule("delete", "*"), "", "", "", ""),  # wildcard-rule's business
    ("configmap-tampering", rule("patch", "configmaps", names="aws-auth"), "critical", "", "critical", ""),
    ("configmap-tampering", rule("delete", "configmaps", names="coredns"), "critical", "", "critical", ""),
    ("configmap-tampering", rule("get", "configmaps", names="aws-auth"), "", "", "", ""),
    ("configmap-tampering", rule("deletecollection", "configmaps", names="aws-auth"), "", "", "", ""),
    ("configmap-tampering", rule("patch", "configmaps"), "critical", "", "critical", ""),
    ("configmap-tampering", rule("deletecollection", "*"), "critical", "", "critical", ""),
    ("configmap-tampering", rule("create", "configmaps"), "", "", "", ""),
    ("configmap-tampering", rule("patch", "configmaps", names="mine"), "", "", "", ""),
]


def _one(found: list[str], expected: str) -> None:
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(("check", "given", "in_cluster_role", "in_role", "bound_widely", "bound"), TABLE, ids=str)
def test_each_grant(check: str, given: Json, in_cluster_role: str, in_role: str, bound_widely: str, bound: str) -> None:
    wide = role("r", rule("get", "pods"), given)
    narrow = role("r", given, namespace="shop")
    _one(severities(run(check, wide)), in_cluster_role)
    _one(severities(run(check, narrow)), in_role)
    _one(severities(run(check, binding("b", "r", "User:alice"), wide)), bound_widely)
    _one(severities(run(check, binding("b", "r", "User:alice", namespace="shop"), wide)), bound)
    _one(severities(run(check, binding("b", "r", "Group:a", namespace="shop", role_kind="Role"), narrow)), bound)


CHECKS = sorted({row[0] for row in TABLE})


@pytest.mark.parametrize("check", CHECKS)
def test_a_rule_that_only_reads_is_clean_and_an_unknown_role_is_skipped(check: str) -> None:
    assert not run(check, role("r", rule("get,list,watch", "pods,services,deployments", ",apps"))).found
    report = run(check, binding("b", "gone", "User:alice"))
    assert not report.found
    assert report.skipped
    assert not run(check, binding("b", "r"), role("r", rule("*", "*", "*"))).found


@pytest.mark.parametrize("check", CHECKS)
def test_broken_objects_are_no_fault(check: str) -> None:
    broken = objects(
        """
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a}, rules: [1, {verbs: get}, null]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: null, rules: {verbs: []}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {}, roleRef: [], subjects: {kind: User}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, subjects: [{kind: 1}], roleRef: {name: view}}
---
apiVersion: rbacmanager.reactiveops.io/v1beta1
kind: RBACDefinition
rbacBindings: [1, {subjects: [{}], roleBindings: [{}]}]
"""
    )
    for resource in broken:
        assert not run(check, resource).found


@pytest.mark.parametrize("check", ["secret-access", "token-minting"])
def test_in_kube_system_it_is_the_cluster(check: str) -> None:
    given = role("r", rule("get", "secrets"), rule("create", "serviceaccounts/token"), namespace="kube-system")
    assert severities(run(check, given)) == ["critical"]
    bound = binding("b", "r", "User:alice", namespace="kube-system", role_kind="Role")
    assert severities(run(check, bound, given)) == ["critical"]


def test_configmaps_that_others_obey_and_plain_ones_under_strict() -> None:
    check = "configmap-tampering"
    dns = role("r", rule("patch", "configmaps", names="coredns"), namespace="kube-system")
    assert severities(run(check, dns)) == ["critical"]
    elsewhere = role("r", rule("patch", "configmaps", names="coredns"), namespace="shop")
    assert severities(run(check, elsewhere)) == []
    assert severities(run(check, elsewhere, profile="strict")) == ["medium"]
    assert severities(run(check, dns, profile="strict")) == ["critical"]
    for every in (rule("update", "configmaps"), rule("delete", "configmaps"), rule("patch", "*")):
        assert severities(run(check, role("r", every, namespace="kube-system"))) == ["critical"], "both among them"
        assert severities(run(check, role("r", every, namespace="shop"))) == []
    for new in (rule("create", "configmaps"), rule("update", "configmaps", names="mine")):
        assert severities(run(check, role("r", new, namespace="kube-system"))) == []
        assert severities(run(check, role("r", new, namespace="kube-system"), profile="strict")) == ["medium"]


def test_what_a_role_cannot_give_is_told_and_weighs_least() -> None:
    outside = rule("update,escalate", "clusterroles", "rbac.authorization.k8s.io")
    report = run("escalation-verb", role("r", outside, namespace="shop"))
    assert [found.hit.message for found in report.found] == [
        "names escalate clusterroles, which no Role can give: it is cluster-scoped"
    ]
    assert severities(report) == ["low"]
    for check in ("node-proxy-access", "webhook-tampering", "csr-approval"):
        assert not run(check, role("r", rule("get,create", "*", "*"), namespace="shop")).found
    both = role("r", rule("create", "roles,clusterroles", "rbac.authorization.k8s.io"), namespace="shop")
    assert severities(run("rbac-management", both)) == ["high"]


def test_both_halves_of_secret_access_are_one_hit() -> None:
    both = role("r", rule("get,delete", "secrets"))
    assert severities(run("secret-access", both)) == ["high"]
    assert severities(run("secret-access", binding("b", "r", "User:alice", namespace="shop"), both)) == ["high"]


@pytest.mark.parametrize(("name", "expected"), [("edit", "medium"), ("admin", "medium"), ("view", "")])
def test_kubernetes_own_roles_weigh_less_where_they_are_made_for(name: str, expected: str) -> None:
    for check in ("exec-permission", "secret-access", "workload-creation"):
        _one(severities(run(check, binding("b", name, "Group:dev", namespace="shop"))), expected)
        widely = "critical" if check == "workload-creation" else "high"  # it leads to cluster-admin
        _one(severities(run(check, binding("b", name, "Group:dev"))), widely if expected else "")
    widened = role("more", rule("get", "secrets"), labels={"rbac.authorization.k8s.io/aggregate-to-view": "true"})
    assert severities(run("secret-access", binding("b", "view", "Group:dev", namespace="shop"), widened)) == ["high"]


def test_a_default_role_bound_to_somebody_else_is_judged() -> None:
    name = "system:controller:clusterrole-aggregation-controller"
    own = binding(name, name, "ServiceAccount:kube-system/clusterrole-aggregation-controller")
    assert not run("escalation-verb", own).found
    assert severities(run("escalation-verb", binding("b", name, "User:alice"))) == ["critical"]
    assert severities(run("rbac-management", binding("b", name, "User:alice"))) == ["high"]


def test_an_incomplete_world_is_said_unless_what_is_known_suffices() -> None:
    known = role("r", rule("get", "secrets"))
    assert run("secret-access", binding("b", "r", "User:a"), known, incomplete=(CLUSTER_ROLE,)).found
    assert run("secret-access", binding("b", "gone", "User:a"), incomplete=(CLUSTER_ROLE,)).skipped
    assert run("secret-access", binding("b", "view", "User:a"), incomplete=(CLUSTER_ROLE,)).skipped


def test_every_rbac_check_of_the_catalogue_is_there() -> None:
    named = {check.id for check in CATALOGUE if check.group == "rbac"}
    assert named >= {*CHECKS, "workload-holds-power", "shared-service-account", "user-shares-identity"}


def test_the_names_a_grant_is_limited_to_are_said() -> None:
    limited = role("r", rule("bind", "clusterroles", RBAC, "view"))
    for on in (limited, binding("b", "r", "User:alice")):
        (found,) = run("escalation-verb", on, limited).found
        assert found.message.split(" (")[0].endswith("bind clusterroles named view")
