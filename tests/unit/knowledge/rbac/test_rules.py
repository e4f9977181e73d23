"""Rules match as the RBAC authorizer's do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.knowledge.rbac.names import may_be_named
from iocaudit.knowledge.rbac.rules import PolicyRule, is_everything

WORDS = st.sampled_from(["get", "create", "*", "pods", "pods/exec", "*/exec", "", "apps", "secrets"])
RULES = st.builds(PolicyRule, *(st.frozensets(WORDS, max_size=4) for _ in range(5)))


def rule(verbs: str, groups: str, resources: str, names: str | None = None, urls: str | None = None) -> PolicyRule:
    parts = (verbs, groups, resources, names, urls)
    return PolicyRule(*(frozenset(part.split(",")) if part is not None else frozenset() for part in parts))


@pytest.mark.parametrize(
    ("held", "asked", "expected"),
    [
        (rule("get", "", "pods"), ("get", "", "pods"), True),
        (rule("get", "", "pods"), ("get", "", "pods/exec"), False),
        (rule("get", "", "*"), ("get", "", "pods/exec"), True),
        (rule("get", "", "pods/*"), ("get", "", "pods/exec"), False),
        (rule("get", "", "*/exec"), ("get", "", "pods/exec"), True),
        (rule("get", "", "*/exec"), ("get", "", "pods"), False),
        (rule("get", "apps", "*"), ("get", "", "pods"), False),
        (rule("GET", "", "pods"), ("get", "", "pods"), False),
        (rule("create", "", "pods", "one"), ("create", "", "pods"), False),
        (rule("create", "", "pods/exec", "one"), ("create", "", "pods/exec"), True),
        (rule("deletecollection", "", "pods", "one"), ("deletecollection", "", "pods"), False),
        (rule("get", "", "pods", "one"), ("get", "", "pods"), True),
    ],
)
def test_a_request_for_a_resource(held: PolicyRule, asked: tuple[str, str, str], expected: bool) -> None:
    assert held.allows(*asked) is expected


def test_a_null_group_is_the_core_one_and_no_group_is_none() -> None:
    raw = {"resources": ["secrets"], "verbs": ["get"]}
    assert PolicyRule.of({**raw, "apiGroups": [None]}).allows("get", "", "secrets")
    assert not PolicyRule.of({**raw, "apiGroups": []}).allows("get", "", "secrets")
    assert not PolicyRule.of({**raw, "apiGroups": [3]}).allows("get", "", "secrets")
    assert not PolicyRule.of(raw).allows("get", "", "secrets")


@pytest.mark.parametrize(
    ("resource", "name", "expected"),
    [
        ("secrets", "one", True),
        ("secrets", "one.two-3", True),
        ("secrets", "*", False),
        ("secrets", "app-*", False),
        ("secrets", "One", False),
        ("secrets", "", False),
        ("pods/exec", "a_b", False),
        ("secrets", "a" * 254, False),
        ("clusterroles", "system:node", True),
        ("clusterroles", "*", True),
        ("users", "Ana@example.org", True),
        ("signers", "kubernetes.io/*", True),
    ],
)
def test_a_name_that_no_object_can_have_gives_nothing(resource: str, name: str, expected: bool) -> None:
    held = rule("get", "", resource, name)
    assert may_be_named(resource, name) is expected
    assert held.allows("get", "", resource) is expected
    assert rule("get", "", resource, f"{name},one").allows("get", "", resource)


def test_an_apply_by_name_asks_for_create_and_patch() -> None:
    assert rule("create,patch", "", "pods", "one").applies("", "pods")
    assert rule("*", "", "pods", "one").applies("", "pods")
    assert not rule("create", "", "pods", "one").applies("", "pods")
    assert not rule("patch", "", "pods", "one").applies("", "pods")
    assert not rule("create,patch", "", "pods", "*").applies("", "pods")


def test_names() -> None:
    held = rule("get", "", "secrets", "one,two")
    assert held.allows("get", "", "secrets", "one")
    assert not held.allows("get", "", "secrets", "three")


@pytest.mark.parametrize(
    ("url", "expected"), [("/healthz", True), ("/metrics/x", True), ("/metrics", False), ("/version", False)]
)
def test_urls(url: str, expected: bool) -> None:
    assert rule("get", "", "", urls="/healthz,/metrics/*").allows_url("get", url) is expected
    assert rule("get", "", "", urls="*").allows_url("get", url)


@given(RULES)
def test_the_canonical_spelling_names_the_rule(held: PolicyRule) -> None:
    again = PolicyRule(
        *(frozenset(sorted(part)) for part in (held.verbs, held.groups, held.resources, held.names, held.urls))
    )
    assert again.canonical == held.canonical
    assert is_everything([held]) == held.is_everything


@given(st.lists(RULES, max_size=4), RULES)
def test_more_rules_never_give_less(held: list[PolicyRule], more: PolicyRule) -> None:
    assert is_everything([*held, more]) or not is_everything(held)


@pytest.mark.parametrize("names", [[""], [None], ["", "one"]])
@pytest.mark.parametrize("verb", ["list", "watch", "create", "deletecollection", "*"])
def test_the_empty_name_is_that_of_requests_for_all_objects(verb: str, names: list[str | None]) -> None:
    """Source: Kubernetes, ResourceNameMatches: it compares with the name of the request, which these leave empty."""
    raw = {"apiGroups": [""], "resources": ["secrets"], "verbs": [verb], "resourceNames": names}
    held = PolicyRule.of(raw)
    assert not held.names
    assert held.allows("list" if verb == "*" else verb, "", "secrets")


def test_the_empty_name_is_of_no_object() -> None:
    raw = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "delete"]}
    assert PolicyRule.of({**raw, "resourceNames": ["", "one"]}).allows("get", "", "secrets", "one")
    assert not PolicyRule.of({**raw, "resourceNames": ["", "one"]}).allows("get", "", "secrets", "two")
    assert PolicyRule.of({**raw, "resourceNames": [""]}).names, "it is not for every object either"
