"""What is critical because it leads to cluster-admin is so exactly where ``iocaudit rbac path`` finds the way."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from iocaudit.core.resource import Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_reader import read_policies
from iocaudit.knowledge.rbac.escalation import way_to_cluster_admin
from iocaudit.knowledge.rbac.subjects import Subject
from tests.support.rbac_objects import CATALOGUE, Json, binding, objects, role, rule

RBAC = "rbac.authorization.k8s.io"
ALICE = Subject("User", "alice")
CHECKS = CATALOGUE.select(["workload-creation", "exec-permission", "token-minting", "escalation-verb"])
POLICIES = read_policies([], CHECKS)
MAKES_BINDINGS = rule("create", "rolebindings,clusterrolebindings", RBAC)
HARMLESS_USER = rule("impersonate", "users", names="nobody")
HARMLESS_USERS_AND_TEAM = [HARMLESS_USER, rule("impersonate", "groups", names="team")]
GRANTS: list[list[Json]] = [
    [rule("create", "pods")],
    [rule("update,patch", "pods")],
    [rule("patch", "pods", names="p")],
    [rule("patch", "pods", names="other")],
    [rule("create,patch", "pods", names="new")],
    [rule("create", "pods", names="new")],
    [rule("patch", "pods/status,pods/resize")],
    [rule("create", "jobs", "batch")],
    [rule("update,patch", "jobs", "batch")],
    [rule("patch", "daemonsets", "apps")],
    [rule("patch", "deployments/scale", "apps")],
    [rule("create", "pods/exec")],
    [rule("create", "pods/exec", names="p")],
    [rule("create", "pods/exec", names="*")],
    [rule("create", "pods/portforward")],
    [rule("patch", "pods/ephemeralcontainers")],
    [rule("create", "serviceaccounts/token")],
    [rule("create", "serviceaccounts/token", names="bot")],
    [rule("create", "serviceaccounts/token", names="*")],
    [rule("create", "serviceaccounts/token", names="other")],
    [rule("impersonate", "serviceaccounts")],
    [rule("impersonate", "serviceaccounts", names="bot")],
    [rule("impersonate", "serviceaccounts", names="other")],
    [rule("impersonate", "users", names="bob")],
    [HARMLESS_USER],
    [rule("impersonate", "users", names="*")],
    [rule("impersonate", "groups", names="team")],
    [rule("impersonate", "groups")],
    [rule("impersonate", "uids,userextras/scopes", "authentication.k8s.io")],
    HARMLESS_USERS_AND_TEAM,
    [HARMLESS_USER, rule("impersonate", "groups", names="system:masters")],
    [HARMLESS_USER, rule("impersonate", "groups", names="*")],
    [rule("bind", "clusterroles", RBAC, "view"), MAKES_BINDINGS],
    [rule("bind", "clusterroles", RBAC, "*"), MAKES_BINDINGS],
    [rule("bind", "clusterroles", RBAC, "cluster-admin"), MAKES_BINDINGS],
    [rule("bind", "clusterroles", RBAC, "mint"), MAKES_BINDINGS],
    [rule("bind", "clusterroles", RBAC, "reads"), MAKES_BINDINGS],
    [rule("bind", "clusterroles", RBAC), MAKES_BINDINGS],
    [rule("escalate", "clusterroles", RBAC, "mine"), rule("patch", "clusterroles", RBAC)],
    [rule("escalate", "clusterroles", RBAC, "reads"), rule("patch", "clusterroles", RBAC)],
    [rule("impersonate", "users,groups")],
]
ROLES = [
    role("mint", rule("create", "serviceaccounts/token")),
    role("reads", rule("get", "configmaps")),
    role("masks", HARMLESS_USER, rule("impersonate", "groups", names="team")),
]
PODS = objects(
    """
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec: {serviceAccountName: bot, containers: []}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: p, namespace: lab}
spec: {template: {spec: {serviceAccountName: bot, containers: []}}}
---
apiVersion: v1
kind: Pod
metadata: {name: q, namespace: kube-system}
spec: {serviceAccountName: bot, containers: []}
"""
)
SPACES = (None, "shop", "lab", "kube-system")
OTHERS = st.builds(
    lambda to, who, space: binding(f"{to}-{who}-{space}".replace(":", "-").replace("/", "-"), to, who, namespace=space),
    st.sampled_from(["cluster-admin", "mint", "masks", "reads"]),
    st.sampled_from(
        [
            "ServiceAccount:shop/bot",
            "ServiceAccount:lab/bot",
            "ServiceAccount:kube-system/bot",
            "ServiceAccount:lab/other",
            "Group:system:serviceaccounts:lab",
            "User:bob",
            "Group:team",
        ]
    ),
    st.sampled_from(SPACES),
)


def critical(resource: Resource, world: World) -> list[str]:
    report = Auditor(CHECKS, POLICIES, world).audit(resource)
    assert not report.faults
    return [one.hit.message for one in report.found if one.severity is Severity.CRITICAL]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GRANTS), st.sampled_from(SPACES), st.lists(OTHERS, max_size=3), st.lists(st.sampled_from(PODS)))
def test_critical_for_its_way_exactly_where_there_is_one(
    rules: list[Json], space: str | None, others: list[Resource], pods: list[Resource]
) -> None:
    mine = binding("mine", "mine", "User:alice", namespace=space)
    world = World()
    for resource in (role("mine", *rules), mine, *ROLES, *others, *pods):
        world.put(resource)
    way = way_to_cluster_admin(ALICE, world).steps
    found = critical(mine, world)
    assert bool(found) is bool(way), (found, way)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["admin", "edit", "view"]), st.sampled_from(SPACES), st.lists(OTHERS, max_size=3))
def test_kubernetes_own_roles_are_critical_where_they_lead_on(
    to: str, space: str | None, others: list[Resource]
) -> None:
    mine = binding("mine", to, "User:alice", namespace=space)
    world = World()
    for resource in (mine, *ROLES, *others):
        world.put(resource)
    way = way_to_cluster_admin(ALICE, world).steps
    assert bool(critical(mine, world)) is bool(way), way


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(GRANTS), st.sampled_from(GRANTS), st.sampled_from(SPACES), st.lists(OTHERS, max_size=3))
@example(HARMLESS_USERS_AND_TEAM, [rule("impersonate", "groups")], "shop", [])
def test_of_two_bindings_none_is_critical_without_a_way(
    one: list[Json], other: list[Json], space: str | None, others: list[Resource]
) -> None:
    bindings = [binding("mine", "mine", "User:alice", namespace=space), binding("too", "too", "User:alice")]
    world = World()
    for resource in (role("mine", *one), role("too", *other), *bindings, *ROLES, *others, *PODS):
        world.put(resource)
    way = way_to_cluster_admin(ALICE, world).steps
    found = [message for resource in bindings for message in critical(resource, world)]
    assert way or not found, found


EVERYTHING = [
    [rule("*", "*", "*")],
    [rule("get", "pods"), rule("*", "*", "*")],
    [rule("get,list,watch", "*", "*"), rule("create,update,patch,delete,deletecollection", "*", "*")],
]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(EVERYTHING), st.lists(OTHERS, max_size=3), st.lists(st.sampled_from(PODS)))
def test_what_every_right_weighs_rests_on_no_other_object(
    rules: list[Json], others: list[Resource], pods: list[Resource]
) -> None:
    """The webhook knows no pods, a scan of a folder no bindings: all give the same severities."""
    mine, theirs = binding("mine", "mine", "User:alice"), role("mine", *rules)
    alone, crowded = World(), World()
    for world, more in ((alone, []), (crowded, [*ROLES, *others, *pods])):
        for resource in (theirs, mine, *more):
            world.put(resource)
    reports = [Auditor(CATALOGUE, read_policies([], CATALOGUE), world).audit(mine) for world in (alone, crowded)]
    first, second = ({(one.check, one.severity) for one in report.found} for report in reports)
    assert first == second
    assert ("exec-permission", Severity.CRITICAL) in first
