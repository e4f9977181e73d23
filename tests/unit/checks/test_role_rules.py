"""Wildcards and escalating verbs, told apart by what they amount to."""

import pytest

from tests.unit.checks.rbac_objects import Json, binding, role, rule, run, severities

RBAC = "rbac.authorization.k8s.io"


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
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, "high"),
    ],
)
def test_wildcards_in_a_cluster_role(given: Json, expected: str) -> None:
    assert severities(run("wildcard-rule", role("r", given))) == [expected]


def test_in_a_role_what_stands_outside_namespaces_is_not_given() -> None:
    assert severities(run("wildcard-rule", role("r", rule("get", "*"), namespace="shop"))) == ["high"]
    assert severities(run("escalation-verb", role("r", rule("impersonate", "users"), namespace="shop"))) == ["low"]
    assert severities(run("escalation-verb", role("r", rule("impersonate", "serviceaccounts"), namespace="shop"))) == [
        "critical"
    ]


@pytest.mark.parametrize("given", [rule("get", "pods"), rule("get", "pods/*"), {"verbs": [], "resources": "*"}])
def test_no_wildcard(given: Json) -> None:
    assert not run("wildcard-rule", role("r", given)).found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("escalate", "clusterroles", RBAC), ["critical"]),
        (rule("bind", "roles", RBAC), ["critical"]),
        (rule("*", "clusterroles", RBAC), ["critical"]),
        (rule("impersonate", "groups", "*"), ["critical"]),
        (rule("impersonate", "uids", "authentication.k8s.io"), ["critical"]),
        (rule("impersonate", "userextras/scopes", "authentication.k8s.io"), ["critical"]),
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
