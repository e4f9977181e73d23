"""Every way to cluster-admin, and what only looks like one."""

import pytest

from iocaudit.core.rbac.escalation import Outcome, way_to_cluster_admin
from iocaudit.core.rbac.subjects import Subject
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from tests.unit.checks.rbac_objects import Json, binding, objects, role, rule

RBAC = "rbac.authorization.k8s.io"
CERTIFICATES = "certificates.k8s.io"
ALICE = Subject("User", "alice")
BOT = binding("bot", "cluster-admin", "ServiceAccount:shop/bot")


def way(*resources: Resource, start: Subject = ALICE) -> Outcome:
    world = World()
    for resource in resources:
        world.put(resource)
    return way_to_cluster_admin(start, world)


def of(*rules: Json, namespace: str | None = None) -> list[Resource]:
    return [role("r", *rules), binding("b", "r", "User:alice", namespace=namespace)]


AT_ONCE: list[list[Json]] = [
    [rule("*", "*", "*")],
    [rule("get,list,watch", "*", "*"), rule("create,update,patch,delete", "*", "*")],
    [rule("bind", "clusterroles", RBAC), rule("create", "clusterrolebindings", RBAC)],
    [rule("escalate,patch", "clusterroles", RBAC)],
    [rule("impersonate", "users,groups")],
    [rule("impersonate", "users"), rule("impersonate", "groups", names="system:masters")],
    [rule("get", "nodes/proxy")],
    [
        rule("create", "certificatesigningrequests", CERTIFICATES),
        rule("update", "certificatesigningrequests/approval", CERTIFICATES),
        rule("approve", "signers", CERTIFICATES, "kubernetes.io/kube-apiserver-client"),
    ],
    [rule("patch", "mutatingwebhookconfigurations", "admissionregistration.k8s.io")],
]


@pytest.mark.parametrize("rules", AT_ONCE, ids=str)
def test_in_one_step_bound_in_the_whole_cluster_and_not_in_one_namespace(rules: list[Json]) -> None:
    outcome = way(*of(*rules))
    assert [step.to for step in outcome.steps] == [None]
    assert not way(*of(*rules, namespace="shop")).steps


@pytest.mark.parametrize(
    "rules",
    [
        [rule("bind", "clusterroles", RBAC)],
        [rule("escalate", "clusterroles", RBAC)],
        [rule("create", "clusterrolebindings", RBAC)],
        [rule("impersonate", "groups")],
        [rule("approve", "signers", CERTIFICATES), rule("update", "certificatesigningrequests/approval", CERTIFICATES)],
        [
            rule("create", "certificatesigningrequests", CERTIFICATES),
            rule("update", "certificatesigningrequests/approval", CERTIFICATES),
            rule("approve", "signers", CERTIFICATES, "example.org/mine"),
        ],
        [rule("get,list,watch", "pods,nodes,configmaps")],
    ],
    ids=str,
)
def test_half_of_a_way_is_none(rules: list[Json]) -> None:
    assert not way(*of(*rules)).steps


BY_ACCOUNT: list[list[Json]] = [
    [rule("create", "pods")],
    [rule("patch", "deployments", "apps")],
    [rule("create", "serviceaccounts/token")],
    [rule("create", "serviceaccounts/token", names="bot")],
    [rule("impersonate", "serviceaccounts")],
    [rule("create,get", "secrets")],
    [rule("list", "secrets")],
    [rule("bind", "clusterroles", RBAC), rule("create", "rolebindings", RBAC)],
]


@pytest.mark.parametrize("rules", BY_ACCOUNT, ids=str)
def test_by_a_powerful_account_of_the_namespace(rules: list[Json]) -> None:
    outcome = way(BOT, *of(*rules, namespace="shop"))
    assert [step.to for step in outcome.steps] == [Subject("ServiceAccount", "bot", "shop"), None]
    assert not way(BOT, *of(*rules, namespace="else")).steps


def test_another_named_account_is_no_way() -> None:
    assert not way(BOT, *of(rule("create", "serviceaccounts/token", names="other"), namespace="shop")).steps


def test_by_entering_a_pod_that_runs_as_it() -> None:
    (pod,) = objects(
        """
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec: {serviceAccountName: bot, containers: []}
"""
    )
    enter = of(rule("create", "pods/exec"), namespace="shop")
    assert len(way(BOT, pod, *enter).steps) == 2
    assert not way(BOT, *enter).steps


def test_by_the_controllers_of_every_cluster() -> None:
    outcome = way(*of(rule("create", "pods"), namespace="kube-system"))
    assert outcome.steps[0].to is not None
    assert outcome.steps[0].to.namespace == "kube-system"
    assert len(outcome.steps) == 2


def test_step_by_step_and_the_shortest_first() -> None:
    chain = [
        *of(rule("create", "serviceaccounts/token"), namespace="a"),
        role("second", rule("create", "pods")),
        binding("second", "second", "ServiceAccount:a/runner", namespace="shop"),
        BOT,
    ]
    outcome = way(*chain)
    assert [step.subject.title for step in outcome.steps] == [
        "User alice",
        "ServiceAccount a/runner",
        "ServiceAccount shop/bot",
    ]
    short = way(*chain, binding("direct", "cluster-admin", "User:alice"))
    assert len(short.steps) == 1


def test_circles_end_and_groups_count() -> None:
    circle = [
        role("mint", rule("create", "serviceaccounts/token")),
        binding("one", "mint", "ServiceAccount:a/one", namespace="b"),
        binding("two", "mint", "ServiceAccount:b/two", namespace="a"),
    ]
    start = Subject("ServiceAccount", "one", "a")
    assert not way(*circle, start=start).steps
    assert way(*circle, binding("all", "cluster-admin", "Group:system:serviceaccounts:b"), start=start).steps
    assert way(start=Subject("Group", "system:masters")).steps


def test_what_is_not_known_is_said() -> None:
    outcome = way(binding("b", "gone", "User:alice"))
    assert not outcome.steps
    assert "ClusterRole gone" in outcome.problems[0]
