"""Bindings that give away the cluster, by whatever role and in whatever object."""

import pytest

from iocaudit.core.kinds import CLUSTER_ROLE, ROLE
from iocaudit.core.resource import Resource
from tests.support.rbac_objects import aggregate, binding, objects, role, rule, run, severities

CHECK = "cluster-admin-binding"
READ = rule("get,list,watch", "*", "*")
WRITE = rule("create,update,patch,delete", "*", "*")
ALL = rule("*", "*", "*")


def ops(to: str = "ops", **more: str) -> Resource:
    return binding("ops", to, "User:alice", **more)


def test_cluster_admin_itself_whatever_an_object_of_its_name_says() -> None:
    assert severities(run(CHECK, ops("cluster-admin"))) == ["critical"]
    assert severities(run(CHECK, ops("cluster-admin"), role("cluster-admin", rule("get", "pods")))) == ["critical"]


def test_equal_power_split_over_several_rules() -> None:
    assert severities(run(CHECK, ops(), role("ops", READ, WRITE))) == ["critical"]
    assert severities(run(CHECK, ops(), role("ops", READ, rule("create,update,patch", "*", "*")))) == []
    assert severities(run(CHECK, ops(), role("ops", READ, rule("create,update,patch,delete", "*", "*", "one")))) == []


def test_equal_power_by_aggregation_of_aggregations() -> None:
    top = aggregate("ops", {"to": "ops"})
    middle = aggregate("middle", {"to": "middle"}, own={"to": "ops"})
    first, second = role("a", READ, labels={"to": "middle"}), role("b", WRITE, labels={"to": "middle"})
    for world in ([top, middle, first, second], [second, first, middle, top]):
        assert severities(run(CHECK, ops(), *world)) == ["critical"]
    assert severities(run(CHECK, ops(), top, middle, first)) == []


def test_aggregation_in_a_circle_ends() -> None:
    one = aggregate("ops", {"to": "ops"}, own={"to": "two"})
    two = aggregate("two", {"to": "two"}, own={"to": "ops"})
    assert severities(run(CHECK, ops(), one, two)) == []


def test_a_default_cluster_role_takes_part_in_aggregation() -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    assert severities(run(CHECK, ops("edit"))) == []
    assert severities(run(CHECK, ops("edit"), role("mine", ALL, labels=label))) == ["critical"]
    assert severities(run(CHECK, ops("admin"), role("mine", ALL, labels=label))) == ["critical"]


def test_aggregation_in_an_incomplete_world_is_skipped_unless_what_is_known_suffices() -> None:
    top = aggregate("ops", {"to": "ops"})
    report = run(CHECK, ops(), top, incomplete=(CLUSTER_ROLE,))
    assert not report.found
    assert "aggregates others" in report.skipped[0].reason
    full = role("a", ALL, labels={"to": "ops"})
    assert severities(run(CHECK, ops(), top, full, incomplete=(CLUSTER_ROLE,))) == ["critical"]


def test_an_absent_role_is_skipped_and_said() -> None:
    report = run(CHECK, ops())
    assert not report.found
    assert "not among what was read" in report.skipped[0].reason
    report = run(CHECK, ops(namespace="shop", role_kind="Role"), incomplete=(ROLE,))
    assert "listing is forbidden" in report.skipped[0].reason
    assert "may hold more" in run(CHECK, ops("view"), incomplete=(CLUSTER_ROLE,)).skipped[0].reason


def test_a_built_in_name_resolves_to_the_object_that_is_there() -> None:
    assert severities(run(CHECK, ops("view"), role("view", ALL))) == ["critical"]
    edited = role("system:kube-scheduler", ALL)
    own = binding("system:kube-scheduler", "system:kube-scheduler", "User:system:kube-scheduler")
    assert severities(run(CHECK, own, edited)) == ["critical"]
    assert severities(run(CHECK, own)) == []


@pytest.mark.parametrize(("namespace", "expected"), [("shop", "high"), ("kube-system", "critical")])
def test_in_one_namespace(namespace: str, expected: str) -> None:
    assert severities(run(CHECK, ops("cluster-admin", namespace=namespace))) == [expected]
    assert severities(
        run(CHECK, ops(namespace=namespace, role_kind="Role"), role("ops", ALL, namespace=namespace))
    ) == [expected]
    # A Role of that name in another namespace is another role.
    assert not run(CHECK, ops(namespace=namespace, role_kind="Role"), role("ops", ALL, namespace="else")).found


def test_the_clusters_own_binding_and_what_only_looks_like_it() -> None:
    own = binding("cluster-admin", "cluster-admin", "Group:system:masters")
    assert not run(CHECK, own).found
    more = binding("cluster-admin", "cluster-admin", "Group:system:masters", "User:mallory")
    assert [found.hit.path for found in run(CHECK, more).found] == ['subjects["mallory"]']
    copied = binding("copy", "cluster-admin", "Group:system:masters")
    copied.raw["metadata"]["labels"] = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    assert severities(run(CHECK, copied)) == ["critical"]


DEFINITION = """
apiVersion: rbacmanager.reactiveops.io/v1beta1
kind: RBACDefinition
metadata: {name: users}
rbacBindings:
- name: admins
  subjects: [{kind: User, name: jane@example.com}]
  clusterRoleBindings: [{clusterRole: cluster-admin}]
- name: readers
  subjects: [{kind: User, name: joe@example.com}]
  clusterRoleBindings: [{clusterRole: view}]
- name: bots
  subjects: [{kind: ServiceAccount, name: bot, namespace: ci}]
  roleBindings:
  - {clusterRole: cluster-admin, namespace: shop}
  - {clusterRole: cluster-admin, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}
"""


def test_rbac_managers_definition_is_read_as_bindings() -> None:
    (definition,) = objects(DEFINITION)
    report = run(CHECK, definition)
    assert [(f.severity.label, f.hit.path) for f in report.found] == [
        ("critical", 'rbacBindings["admins"].subjects["jane@example.com"]'),
        ("high", 'rbacBindings["bots"].subjects["bot"]'),
        ("critical", 'rbacBindings["bots"].subjects["bot"]'),
    ]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("namespaceSelector: {matchLabels: {team: shop}}", ["high"]),
        ("namespace: shop, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}", ["critical"]),
        ("namespace: shop, namespaceSelector: {}", ["high"]),
        ("namespace: kube-system, namespaceSelector: {matchExpressions: []}", ["critical"]),
        ("namespaceSelector: {matchLabels: {}}", ["critical"]),
        ("namespaceSelector: {}", []),
        ("note: none", []),
    ],
)
def test_where_rbac_manager_binds(where: str, expected: list[str]) -> None:
    text = DEFINITION.split("- name: admins", maxsplit=1)[0]
    entry = (
        f"- {{name: a, subjects: [{{kind: User, name: a}}], roleBindings: [{{clusterRole: cluster-admin, {where}}}]}}"
    )
    (definition,) = objects(text + entry)
    assert severities(run(CHECK, definition)) == expected


def test_a_role_that_rbac_manager_binds_by_labels_is_the_one_of_each_namespace() -> None:
    text = DEFINITION.split("- name: admins", maxsplit=1)[0]
    where = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}"
    entry = f"- {{name: a, subjects: [{{kind: User, name: a}}], roleBindings: [{{role: all, {where}}}]}}"
    (definition,) = objects(text + entry)
    assert severities(run(CHECK, definition, role("all", ALL, namespace="shop"))) == ["high"]
    report = run(CHECK, definition, role("all", ALL, namespace="else"))
    assert not report.found
    assert "Role all" in report.skipped[0].reason
    assert run(CHECK, definition, incomplete=(ROLE,)).skipped


def test_openshifts_older_group() -> None:
    (old,) = objects(
        """
apiVersion: authorization.openshift.io/v1
kind: ClusterRoleBinding
metadata: {name: ops}
roleRef: {name: cluster-admin}
subjects: [{kind: SystemGroup, name: "system:authenticated"}]
"""
    )
    assert severities(run(CHECK, old)) == ["critical"]
    assert severities(run("anonymous-binding", old)) == ["high"]


def test_an_account_spelled_as_a_user_is_that_account() -> None:
    (found,) = run(CHECK, binding("ops", "cluster-admin", "User:system:serviceaccount:shop:web")).found
    assert found.hit.evidence.startswith("ServiceAccount:shop:web ")


@pytest.mark.parametrize(
    ("subject_", "namespace", "expected"),
    [
        ("Group:developers", None, ["high"]),
        ("Group:developers", "shop", []),
        ("Group:system:authenticated", "shop", ["high"]),
        ("Group:system:serviceaccounts:shop", "shop", ["high"]),
    ],
)
def test_admin_role_bound_widely(subject_: str, namespace: str | None, expected: list[str]) -> None:
    for name in ("admin", "edit"):
        assert severities(run("admin-role-bound-widely", binding("x", name, subject_, namespace=namespace))) == expected
    assert not run("admin-role-bound-widely", binding("x", "view", subject_, namespace=namespace)).found


def test_masters_group() -> None:
    assert severities(run("masters-group-binding", binding("x", "view", "Group:system:masters", namespace="a"))) == [
        "critical"
    ]
    assert not run("masters-group-binding", binding("cluster-admin", "cluster-admin", "Group:system:masters")).found
    assert not run("masters-group-binding", binding("x", "view", "User:system:masters")).found
