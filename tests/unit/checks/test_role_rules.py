"""Wildcards and escalating verbs, told apart by what they amount to."""

import pytest

from tests.support.rbac_objects import Json, binding, role, rule, run, severities

RBAC = "rbac.authorization.k8s.io"
BOT = binding("bot", "cluster-admin", "ServiceAccount:shop/bot")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("*", "*", "*"), "critical"),
        (rule("get,list,watch,create,update,patch,delete", "*", "*"), "critical"),
        (rule("get", "*"), "critical"),  # nodes/proxy among them
        (rule("*", "users"), "critical"),
        (rule("*", "pods"), "high"),
        (rule("get", "pods", "*"), "high"),
        (rule("create", "*/exec"), "high"),
        (rule("get", "*/proxy"), "critical"),
        (rule("*", "*", "example.org"), "high"),
        (rule("bbb", "aaa", "*"), "low"),
        (rule("get", "aaa", "*"), "low"),
        (rule("*", "aaa"), "low"),
        (rule("bbb", "*"), "low"),
        (rule("get", "*/bbb"), "low"),
        (rule("get", "pods", "*", names="Not-Possible"), "low"),
        (rule("*", "aaa", "example.org"), "high"),
        (rule("*", "aaa", "*"), "high"),
        (rule("update", "deployments/finalizers", "*"), "high"),
        (rule("*", "clusterroles", RBAC, "view"), "high"),
        (rule("*", "clusterroles", RBAC, "cluster-admin"), "critical"),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, "high"),
    ],
)
def test_wildcards_in_a_cluster_role(given: Json, expected: str) -> None:
    assert severities(run("wildcard-rule", role("r", given))) == [expected]


def test_in_a_role_what_stands_outside_namespaces_is_not_given() -> None:
    assert severities(run("wildcard-rule", role("r", rule("get", "*"), namespace="shop"))) == ["high"]
    assert severities(run("escalation-verb", role("r", rule("impersonate", "users"), namespace="shop"))) == ["low"]
    masks = role("r", rule("impersonate", "serviceaccounts"), namespace="shop")
    assert severities(run("escalation-verb", masks)) == ["high"]
    assert severities(run("escalation-verb", masks, BOT)) == ["critical"]


@pytest.mark.parametrize("given", [rule("get", "pods"), rule("get", "pods/*"), {"verbs": [], "resources": "*"}])
def test_no_wildcard(given: Json) -> None:
    assert not run("wildcard-rule", role("r", given)).found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("escalate", "clusterroles", RBAC), ["critical"]),
        (rule("bind", "roles", RBAC), ["critical"]),
        (rule("*", "clusterroles", RBAC), ["critical"]),
        (rule("impersonate", "users"), ["critical"]),
        (rule("impersonate", "users,groups"), ["critical"]),
        (rule("impersonate", "groups", "*"), ["high"]),
        (rule("impersonate", "uids", "authentication.k8s.io"), ["medium"]),
        (rule("impersonate", "userextras/scopes", "authentication.k8s.io"), ["medium"]),
        (rule("impersonate:user-info", "users", "authentication.k8s.io"), ["high"]),
        (rule("impersonate-on:user-info:list", "pods"), []),
        (rule("impersonate", "userextras/scopes"), []),
        (rule("get,create,update", "clusterroles", RBAC), []),
        (rule("bind", "clusterroles", "example.org"), []),
    ],
)
def test_escalating_verbs(given: Json, expected: list[str]) -> None:
    assert severities(run("escalation-verb", role("r", given))) == expected
    assert severities(run("escalation-verb", binding("b", "r", "User:alice"), role("r", given))) == expected


def test_a_default_role_edited_to_hold_more_is_flagged_for_that_and_one_that_holds_less_is_not() -> None:
    name = "system:controller:clusterrole-aggregation-controller"
    less = rule("escalate,get,list", "clusterroles", RBAC)
    more = rule("impersonate", "users")
    assert not run("escalation-verb", role(name, less)).found
    assert severities(run("escalation-verb", role(name, less, more))) == ["critical"]
    assert severities(run("escalation-verb", role("other", less))) == ["critical"]


def test_a_default_roles_wildcard_does_not_excuse_a_wider_one() -> None:
    name = "system:controller:disruption-controller"
    assert not run("wildcard-rule", role(name, rule("get", "*/scale", "*"))).found
    assert run("wildcard-rule", role(name, rule("get,update", "*/scale", "*"))).found
    assert run("wildcard-rule", role(name, rule("get", "*", "*"))).found


MASTERS = rule("impersonate", "groups", names="system:masters")
ADMINS = binding("admins", "cluster-admin", "Group:admins")
BOB = binding("bob", "cluster-admin", "User:bob")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("bind", "clusterroles", RBAC, "view"), "medium"),
        (rule("bind", "clusterroles", RBAC, "cluster-admin"), "critical"),
        (rule("bind", "clusterroles", RBAC, "edit"), "critical"),
        (rule("bind", "clusterroles", RBAC, "nobody-knows"), "high"),
        (rule("bind", "clusterroles", RBAC, "view,edit"), "critical"),
        (rule("bind,escalate", "clusterroles,roles", RBAC, "*"), "low"),
        (rule("bind", "clusterroles", RBAC, "binds-more"), "critical"),
        (rule("bind", "clusterroles", RBAC, "binds-itself"), "high"),
        (rule("escalate", "clusterroles", RBAC, "other"), "high"),
        (rule("escalate", "clusterroles", RBAC, "r"), "critical"),
        (rule("impersonate", "users", names="*"), "low"),
        (rule("impersonate", "users", names="ana"), "high"),
        (rule("impersonate", "users", names="bob"), "critical"),
        (rule("impersonate", "users", names="system:serviceaccount:shop:bot"), "low"),
        (rule("impersonate", "serviceaccounts", names="*"), "low"),
        (rule("impersonate", "serviceaccounts", names="other"), "high"),
        (rule("impersonate", "serviceaccounts", names="bot"), "critical"),
        (rule("impersonate", "groups", names="system:masters"), "high"),
        (rule("impersonate", "users,groups", names="system:masters"), "critical"),
        (rule("impersonate", "users,groups", names="nobody"), "high"),
        (rule("impersonate", "users,groups", names="admins"), "critical"),
    ],
    ids=str,
)
def test_names_decide_what_the_verbs_amount_to(given: Json, expected: str) -> None:
    world = [
        BOT,
        BOB,
        ADMINS,
        role("binds-more", rule("bind", "clusterroles", RBAC, "cluster-admin")),
        role("binds-itself", rule("bind", "clusterroles", RBAC, "binds-itself")),
        role("other", rule("get", "pods")),
    ]
    assert severities(run("escalation-verb", role("r", given), *world)) == [expected]
    bound = binding("b", "r", "User:alice")
    assert severities(run("escalation-verb", bound, role("r", given), *world)) == (
        [expected] if given["resourceNames"] != ["*"] or "serviceaccounts" not in given["resources"] else []
    )


def test_a_role_of_that_very_name_is_what_counts() -> None:
    star = role("*", rule("*", "*", "*"))
    binds = role("r", rule("bind", "clusterroles", RBAC, "*"))
    assert severities(run("escalation-verb", binds, star)) == ["critical"]


def test_a_group_is_impersonated_by_whoever_may_impersonate_some_user_by_any_binding() -> None:
    groups, users = role("g", MASTERS), role("u", rule("impersonate", "users", names="nobody"))
    mine, others = binding("b", "g", "User:alice", "User:carol"), binding("c", "u", "User:alice")
    assert severities(run("escalation-verb", mine, groups, users)) == ["high", "high"]
    found = run("escalation-verb", mine, groups, users, others).found
    assert [(one.hit.path, one.severity.label) for one in found] == [
        ('subjects["alice"]', "critical"),
        ('subjects["carol"]', "high"),
    ]
    assert severities(run("escalation-verb", role("both", MASTERS, rule("impersonate", "users", names="x")))) == [
        "critical",
        "high",
    ]


def test_in_one_namespace_the_verbs_are_worth_its_service_accounts() -> None:
    for given in (rule("bind", "clusterroles", RBAC), rule("escalate", "roles", RBAC)):
        bound = binding("b", "r", "User:alice", namespace="shop")
        assert severities(run("escalation-verb", bound, role("r", given))) == ["high"]
        assert severities(run("escalation-verb", bound, role("r", given), BOT)) == ["critical"]
        system = binding("b", "r", "User:alice", namespace="kube-system")
        assert severities(run("escalation-verb", system, role("r", given))) == ["critical"]


def test_each_verb_is_told_by_its_own_words() -> None:
    def said(*given: Json) -> str:
        (found,) = run("escalation-verb", binding("b", "r", "User:ana"), role("r", *given)).found
        return found.hit.message

    assert (
        said(rule("impersonate", "users"))
        == "lets User ana act as another user through ClusterRole r: impersonate users"
    )
    assert said(rule("bind", "roles", RBAC)).startswith("lets User ana grant what it does not hold through")
    both = said(rule("bind", "roles", RBAC), rule("impersonate", "users"))
    assert both.startswith("lets User ana grant what it does not hold and act as another user through")
    assert said(rule("impersonate", "uids", "authentication.k8s.io")).endswith(
        "impersonate uids, which without a user's name impersonates nobody"
    )
