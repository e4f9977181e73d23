"""What is given to nobody in particular."""

import pytest

from tests.support.rbac_objects import Json, binding, role, rule, run, severities

CHECK = "anonymous-binding"
DANGEROUS = [
    rule("impersonate", "users"),
    rule("escalate", "clusterroles", "rbac.authorization.k8s.io"),
    rule("bind", "clusterroles", "rbac.authorization.k8s.io"),
    rule("get", "secrets"),
    rule("get", "nodes/proxy"),
    rule("get", "pods/exec"),
    rule("get", "*"),
    rule("*", "pods"),
    rule("approve", "signers", "certificates.k8s.io"),
    rule("delete", "pods"),
]


@pytest.mark.parametrize("given", DANGEROUS, ids=str)
def test_dangerous_grants(given: Json) -> None:
    for subject, expected in (
        ("Group:system:unauthenticated", "critical"),
        ("User:system:anonymous", "critical"),
        ("Group:system:authenticated", "high"),
        ("Group:system:serviceaccounts", "high"),
        ("Group:system:serviceaccounts:shop", "high"),
    ):
        assert severities(run(CHECK, binding("x", "r", subject), role("r", given))) == [expected]


def test_the_service_accounts_of_a_namespace_are_not_everybody_in_it() -> None:
    secrets = role("r", rule("get", "secrets"))
    own = "Group:system:serviceaccounts:shop"
    assert not run(CHECK, binding("x", "r", own, namespace="shop"), secrets).found
    assert run("secret-access", binding("x", "r", own, namespace="shop"), secrets).found, "it is a grant all the same"
    for namespace in ("other", None):
        (found,) = run(CHECK, binding("x", "r", own, namespace=namespace), secrets).found
        assert found.severity.label == "high"
        assert found.hit.message.startswith(
            f"gives every ServiceAccount of namespace shop ({own.replace(':', ' ', 1)})"
        )
    for subject, whom in (("Group:system:authenticated", "everybody"), ("User:system:anonymous", "anonymous users")):
        (found,) = run(CHECK, binding("x", "r", subject, namespace="shop"), secrets).found
        assert found.hit.message.startswith(f"gives {whom} (")


def test_harmless_grants() -> None:
    for given in (
        rule("bbb", "aaa", "*"),
        rule("*", "aaa"),
        rule("get", "secrets", names="*"),
        rule("get", "pods"),
        rule("create", "selfsubjectreviews", "authentication.k8s.io"),
    ):
        assert severities(run(CHECK, binding("x", "r", "Group:system:unauthenticated"), role("r", given))) == ["high"]
        assert not run(CHECK, binding("x", "r", "Group:system:authenticated"), role("r", given)).found
    assert not run(CHECK, binding("x", "r", "User:alice"), role("r", DANGEROUS[0])).found


def test_anonymous_users_are_meant_whether_as_a_user_or_as_a_group() -> None:
    for subject in ("Group:system:anonymous", "User:system:unauthenticated"):
        assert severities(run(CHECK, binding("x", "edit", subject))) == ["critical"]


def test_a_policy_may_refuse_any_grant_to_everybody() -> None:
    everybody, harmless = {"everybody": True}, role("r", rule("get", "pods"))
    for subject in ("Group:system:authenticated", "Group:system:serviceaccounts:shop"):
        bound = binding("x", "r", subject)
        assert severities(run(CHECK, bound, harmless, parameters=everybody)) == ["medium"]
        assert severities(run(CHECK, bound, parameters=everybody)) == ["medium"]
        assert not run(CHECK, bound, harmless, parameters={"everybody": False}).found
        assert not run(CHECK, bound, harmless, parameters={**everybody, "allowedRoles": ["r"]}).found
    own = binding("system:basic-user", "system:basic-user", "Group:system:authenticated")
    assert not run(CHECK, own, parameters=everybody).found


def test_an_unknown_role_is_a_hit_for_anonymous_users_and_skipped_for_everybody() -> None:
    assert severities(run(CHECK, binding("x", "r", "Group:system:unauthenticated"))) == ["high"]
    report = run(CHECK, binding("x", "r", "Group:system:authenticated"))
    assert not report.found
    assert report.skipped


def test_the_clusters_own_bindings_and_an_edited_role_behind_one() -> None:
    own = binding("system:basic-user", "system:basic-user", "Group:system:authenticated")
    assert not run(CHECK, own).found
    assert severities(run(CHECK, own, role("system:basic-user", rule("get", "secrets")))) == ["high"]


@pytest.mark.parametrize(
    ("name", "hits"), [("Everyone", 1), ("oidc:users", 1), ("shop-users", 0), ("system:authenticated", 0)]
)
def test_user_shares_identity(name: str, hits: int) -> None:
    bound = binding("x", "view", f"Group:{name}", "User:everyone")
    assert len(run("user-shares-identity", bound, profile="strict").found) == hits
    assert not run("user-shares-identity", bound).found
