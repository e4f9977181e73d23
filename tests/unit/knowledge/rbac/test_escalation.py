"""Every way to cluster-admin, and what only looks like one."""

import pytest

from iocaudit.core.kinds import ROLE_BINDING
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.escalation import EscalationPath, way_to_cluster_admin
from iocaudit.knowledge.rbac.graph import Verb, who_can
from iocaudit.knowledge.rbac.subjects import Subject
from tests.support.bounded import cpu_within
from tests.support.rbac_objects import Json, aggregate, binding, objects, role, rule

RBAC = "rbac.authorization.k8s.io"
CERTIFICATES = "certificates.k8s.io"
ALICE = Subject("User", "alice")
BOT = binding("bot", "cluster-admin", "ServiceAccount:shop/bot")
(POD,) = objects(
    """
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec: {serviceAccountName: bot, containers: []}
"""
)


def way(*resources: Resource, start: Subject = ALICE) -> EscalationPath:
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
    [rule("impersonate", "serviceaccounts"), rule("impersonate", "groups", names="system:masters")],
    [rule("bind", "clusterroles", RBAC, "cluster-admin"), rule("create", "clusterrolebindings", RBAC)],
    [rule("escalate,patch", "clusterroles", RBAC, "r")],
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


def test_in_one_step_by_several_bindings_together() -> None:
    reads = role("reads", rule("get,list,watch", "*", "*"))
    writes = role("writes", rule("create,update,patch,delete", "*", "*"))
    mine, others = (binding("b", "writes", f"User:{who}") for who in ("alice", "bob"))
    hows = [way(reads, writes, binding("a", "reads", "User:alice"), b).steps[0].how for b in (mine, others)]
    assert hows[0] == "holds every right by several bindings together"
    assert hows[1].startswith("runs commands in every pod")


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
        [
            rule("create", "certificatesigningrequests", CERTIFICATES),
            rule("update", "certificatesigningrequests/approval", CERTIFICATES),
            rule("approve", "signers", CERTIFICATES, "kubernetes.io/kube-apiserver-client-kubelet"),
        ],
        [rule("get,list,watch", "pods,nodes,configmaps")],
        [rule("bind", "clusterroles", RBAC, "view"), rule("create", "clusterrolebindings", RBAC)],
        [rule("escalate", "clusterroles", RBAC, "other"), rule("patch", "clusterroles", RBAC)],
        [rule("escalate", "clusterroles", RBAC), rule("patch", "clusterroles", RBAC, "other")],
        [rule("impersonate", "users", names="bob"), rule("impersonate", "groups", names="developers")],
        [rule("get", "nodes/proxy", names="worker-1")],
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


NOT_BY_ACCOUNT: list[list[Json]] = [
    [rule("get", "secrets", names="tls")],
    [rule("create", "pods/portforward"), rule("get", "pods/proxy")],
    [rule("create", "pods/exec", names="*")],
    [rule("patch", "deployments", "apps", "Not-Possible")],
    [rule("create", "pods", names="new")],
    [rule("patch", "pods/status,pods/resize,pods/binding")],
    [rule("update,patch", "jobs", "batch")],
    [rule("patch", "deployments/scale,statefulsets/scale", "apps")],
    [rule("impersonate", "uids,userextras/scopes", "authentication.k8s.io")],
    [rule("escalate", "roles", RBAC)],
    [rule("patch", "roles", RBAC)],
    [rule("bind", "clusterroles", RBAC, "view"), rule("create", "rolebindings", RBAC)],
]


@pytest.mark.parametrize("rules", NOT_BY_ACCOUNT, ids=str)
def test_what_reaches_no_account(rules: list[Json]) -> None:
    assert not way(BOT, POD, *of(*rules, namespace="shop")).steps


def test_secrets_made_in_one_namespace_and_read_in_another_are_no_way() -> None:
    apart = [
        role("make", rule("create", "secrets")),
        role("read", rule("get", "secrets")),
        binding("make", "make", "User:alice", namespace="shop"),
        binding("read", "read", "User:alice", namespace="else"),
    ]
    assert not way(BOT, *apart).steps


def test_a_named_secret_is_a_way_where_it_holds_a_token() -> None:
    (secret,) = objects(
        """
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: old, namespace: shop, annotations: {kubernetes.io/service-account.name: bot}}
"""
    )
    assert len(way(BOT, secret, *of(rule("get", "secrets", names="old"), namespace="shop")).steps) == 2
    assert not way(BOT, secret, *of(rule("get", "secrets", names="other"), namespace="shop")).steps
    assert not way(BOT, secret, *of(rule("get", "secrets", names="old"), namespace="else")).steps


def test_by_a_role_it_may_bind() -> None:
    minter = role("minter", rule("create", "serviceaccounts/token"))
    binder = [rule("bind", "clusterroles", RBAC, "minter"), rule("create", "rolebindings", RBAC)]
    outcome = way(BOT, minter, *of(*binder, namespace="shop"))
    assert outcome.steps[0].role == "ClusterRole r, which lets it bind ClusterRole minter"
    assert outcome.steps[0].to == Subject("ServiceAccount", "bot", "shop")
    assert not way(BOT, minter, *of(*binder, namespace="else")).steps
    # Its RoleBindings in any namespace reach that one too, and nothing outside of namespaces.
    assert way(BOT, minter, *of(*binder)).steps
    assert not way(role("minter", rule("get", "nodes/proxy")), *of(*binder)).steps
    # A Role is there only where it stands.
    own = [rule("bind", "roles", RBAC), rule("create", "rolebindings", RBAC)]
    local = role("local", rule("create", "pods"), namespace="shop")
    assert way(BOT, local, *of(*own, namespace="shop")).steps
    assert not way(BOT, local, *of(*own, namespace="else")).steps


def test_by_widening_a_role_of_its_own() -> None:
    editor = role("editor", rule("escalate,patch", "roles", RBAC), namespace="shop")
    bound = binding("b", "editor", "User:alice", namespace="shop", role_kind="Role")
    assert way(BOT, editor, bound).steps[0].how == "widens its own role, and mints a token of"
    named = role("editor", rule("escalate,patch", "roles", RBAC, "other"), namespace="shop")
    assert not way(BOT, named, bound).steps


def test_by_a_group_whose_member_it_acts_as() -> None:
    admins = binding("admins", "cluster-admin", "Group:admins")
    acting = [rule("impersonate", "users", names="bob"), rule("impersonate", "groups", names="admins")]
    assert way(admins, *of(*acting)).steps[0].to == Subject("Group", "admins")
    assert not way(admins, *of(acting[1])).steps


def test_what_everybody_holds_a_group_holds() -> None:
    everybody = binding("all", "cluster-admin", "Group:system:authenticated")
    accounts = binding("all", "cluster-admin", "Group:system:serviceaccounts")
    assert way(everybody, start=Subject("Group", "dev")).steps
    assert not way(everybody, start=Subject("Group", "system:unauthenticated")).steps
    assert way(accounts, start=Subject("Group", "system:serviceaccounts:shop")).steps
    assert not way(accounts, start=Subject("Group", "dev")).steps


@pytest.mark.parametrize("names", ["p", "p-x7k2", "p-5d9f-x7k2"])
def test_a_named_pod_is_that_or_one_made_by_its_name(names: str) -> None:
    assert len(way(BOT, POD, *of(rule("create", "pods/exec", names=names), namespace="shop")).steps) == 2
    assert not way(BOT, POD, *of(rule("create", "pods/exec", names="else"), namespace="shop")).steps


def test_a_certified_node_takes_the_tokens_of_its_pods() -> None:
    rules = [
        rule("create", "certificatesigningrequests", CERTIFICATES),
        rule("update", "certificatesigningrequests/approval", CERTIFICATES),
        rule("approve", "signers", CERTIFICATES, "kubernetes.io/kube-apiserver-client-kubelet"),
    ]
    assert len(way(BOT, POD, *of(*rules)).steps) == 2
    assert len(way(BOT, POD, *of(rule("get", "nodes/proxy", names="worker-1"))).steps) == 2


@pytest.mark.parametrize(
    ("what", "resource"),
    [("create", "serviceaccounts/token"), ("create", "pods/exec"), ("get", "secrets"), ("bind", "clusterroles")],
)
def test_two_thousand_accounts_in_a_row_are_walked_in_time(what: str, resource: str) -> None:
    world = World()
    for number in range(2000):
        group = RBAC if what == "bind" else ""
        rules = [rule(what, resource, group, f"x{number + 1}"), rule("create", "rolebindings", RBAC)]
        world.put(role(f"x{number}", *rules))
        world.put(binding(f"b{number}", f"x{number}", f"ServiceAccount:shop/x{number}", namespace="shop"))
    with cpu_within(10):
        assert not way_to_cluster_admin(Subject("ServiceAccount", "x0", "shop"), world).steps


@pytest.mark.parametrize("rules", BY_ACCOUNT, ids=str)
def test_by_a_powerful_account_of_the_namespace(rules: list[Json]) -> None:
    outcome = way(BOT, *of(*rules, namespace="shop"))
    assert [step.to for step in outcome.steps] == [Subject("ServiceAccount", "bot", "shop"), None]
    assert not way(BOT, *of(*rules, namespace="else")).steps


def test_another_named_account_is_no_way() -> None:
    assert not way(BOT, *of(rule("create", "serviceaccounts/token", names="other"), namespace="shop")).steps


def test_by_entering_a_pod_that_runs_as_it() -> None:
    enter = of(rule("create", "pods/exec"), namespace="shop")
    assert len(way(BOT, POD, *enter).steps) == 2
    assert not way(BOT, *enter).steps


@pytest.mark.parametrize("verb", ["update", "patch"])
def test_by_swapping_the_image_of_a_pod_that_runs_as_it(verb: str) -> None:
    """Of a pod that exists nothing else can be changed that counts: not its ServiceAccount, volumes or command."""
    swap = of(rule(verb, "pods"), namespace="shop")
    assert way(BOT, POD, *swap).steps[0].how == "swaps the image of a pod that runs as"
    assert not way(BOT, *swap).steps
    assert not way(BOT, POD, *of(rule(verb, "pods"), namespace="else")).steps
    assert not way(BOT, POD, *of(rule(verb, "pods", names="other"), namespace="shop")).steps
    assert not way(*of(rule(verb, "pods"))).steps, "in kube-system, too, it takes a pod"


@pytest.mark.parametrize("kind", ["daemonsets", "deployments", "replicasets", "statefulsets"])
def test_by_another_template_of_what_makes_pods(kind: str) -> None:
    assert way(BOT, *of(rule("patch", kind, "apps"), namespace="shop")).steps


def test_by_widening_a_role_that_its_own_aggregates() -> None:
    parts = role("part", rule("get", "pods"), labels={"into": "mine"})
    whole = aggregate("whole", {"into": "mine"})
    widens = [rule("escalate,patch", "clusterroles", RBAC, "part")]
    assert not way(parts, whole, *of(*widens)).steps
    assert way(parts, whole, *of(*widens), binding("too", "whole", "User:alice")).steps


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


def test_bindings_that_were_not_read_are_said() -> None:
    world = World()
    world.mark_incomplete(ROLE_BINDING, "forbidden")
    said = "not all rolebindings are known here (forbidden)"
    assert way_to_cluster_admin(ALICE, world) == EscalationPath((), (said,))
    assert who_can(world, Verb("get", "", "pods")) == ([], [said])
