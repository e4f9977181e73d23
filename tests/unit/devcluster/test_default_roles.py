"""What is kept of a cluster's own roles, and that the kept file says what checks rely on."""

from devcluster.default_roles import as_text, reduced
from iocaudit.knowledge.rbac.defaults import default_bindings, default_cluster_roles, default_role, is_default_rule
from iocaudit.knowledge.rbac.rules import PolicyRule


def test_only_what_gives_rights_is_kept() -> None:
    raw = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": "edit",
            "uid": "1",
            "labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true", "kubernetes.io/bootstrapping": "x"},
        },
        "aggregationRule": {"clusterRoleSelectors": []},
        "rules": [{"verbs": ["get"]}],
    }
    kept = reduced(raw)
    assert kept["metadata"] == {"name": "edit", "labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}}
    assert "rules" not in kept
    assert as_text([raw, raw]).count("\n") == 4


def test_the_user_facing_roles_resolve_in_full() -> None:
    edit, view = default_role("ClusterRole", None, "edit"), default_role("ClusterRole", None, "view")
    assert edit is not None
    assert view is not None
    impersonate = PolicyRule(frozenset({"impersonate"}), frozenset({""}), frozenset({"serviceaccounts"}))
    read_pods = PolicyRule(frozenset({"get", "list"}), frozenset({""}), frozenset({"pods"}))
    assert is_default_rule(edit, impersonate)
    assert is_default_rule(edit, read_pods)
    assert is_default_rule(view, read_pods)
    assert not is_default_rule(view, impersonate)
    assert not is_default_rule(view, PolicyRule(frozenset({"get"}), frozenset({""}), frozenset({"secrets"})))


def test_all_of_them_are_there() -> None:
    assert len(default_cluster_roles()) > 60
    assert len(default_bindings()) > 50
    assert default_role("ClusterRole", None, "system:auth-delegator") is not None
    assert default_role("Role", "shop", "system:auth-delegator") is None
