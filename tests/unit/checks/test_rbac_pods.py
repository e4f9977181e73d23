"""How bad it is to let somebody run pods: by the ServiceAccounts that the grant reaches."""

import pytest

from iocaudit.core.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NAMESPACE, ROLE_BINDING, Kind
from iocaudit.core.resource import Resource
from tests.support.rbac_objects import Json, binding, objects, role, rule, run, severities

_MAKES = role("maker", rule("create", "pods"))
_ADMIN = binding("root", "cluster-admin", "ServiceAccount:ops/robot")


def _in(namespace: str | None) -> Resource:
    return binding("bob", "maker", "User:bob", namespace=namespace)


@pytest.mark.parametrize(
    ("namespace", "others", "severity"),
    [
        ("ops", [_ADMIN], "critical"),
        ("shop", [_ADMIN], "high"),
        (None, [_ADMIN], "critical"),
        (None, [], "critical"),  # the accounts of Kubernetes' own controllers
        ("kube-system", [], "critical"),
        ("shop", [binding("all", "cluster-admin", "Group:system:serviceaccounts:shop")], "critical"),
        ("shop", [binding("all", "cluster-admin", "Group:system:serviceaccounts")], "critical"),
        ("shop", [binding("all", "cluster-admin", "Group:system:serviceaccounts:ops")], "high"),
        ("shop", [binding("all", "cluster-admin", "User:alice")], "high"),
        ("shop", [binding("b", "cluster-admin", "ServiceAccount:shop/a", namespace="shop")], "high"),
        ("shop", [binding("b", "view", "ServiceAccount:shop/a")], "high"),
        ("shop", [binding("b", "n", "ServiceAccount:shop/a"), role("n", rule("get", "nodes/proxy"))], "critical"),
        ("shop", [binding("b", "n", "ServiceAccount:shop/a"), role("n", rule("escalate", "clusterroles"))], "high"),
        (
            "shop",
            [
                binding("b", "n", "ServiceAccount:shop/a"),
                role("n", rule("escalate,patch", "clusterroles", "rbac.authorization.k8s.io")),
            ],
            "critical",
        ),
        # What leads no further is no way: half of one, or what is critical for another reason.
        (
            "shop",
            [
                binding("b", "n", "ServiceAccount:shop/a"),
                role("n", rule("escalate", "clusterroles", "rbac.authorization.k8s.io"), rule("patch", "nodes")),
            ],
            "high",
        ),
        # By way of another ServiceAccount.
        (
            "shop",
            [
                binding("b", "maker", "ServiceAccount:shop/a", namespace="ops"),
                binding("root", "cluster-admin", "ServiceAccount:ops/robot"),
            ],
            "critical",
        ),
        (
            "shop",
            [
                binding("b", "n", "ServiceAccount:shop/a", namespace="kube-system"),
                role("n", rule("get", "secrets")),
            ],
            "critical",
        ),
    ],
)
def test_it_is_critical_where_a_privileged_account_is_reached(
    namespace: str | None, others: list[Resource], severity: str
) -> None:
    report = run("workload-creation", _in(namespace), _MAKES, *others)
    assert severities(report) == [severity]
    assert report.skipped == []


def test_a_role_reaches_its_namespace_and_a_cluster_role_nothing_before_it_is_bound() -> None:
    in_ops = role("maker", rule("create", "pods"), namespace="ops")
    assert severities(run("workload-creation", in_ops, _ADMIN)) == ["critical"]
    in_shop = role("maker", rule("create", "pods"), namespace="shop")
    assert severities(run("workload-creation", in_shop, _ADMIN)) == ["high"]
    assert severities(run("workload-creation", _MAKES, _ADMIN)) == ["high"]


def test_the_message_names_the_account_and_how_it_holds_the_cluster() -> None:
    (found,) = run("workload-creation", _in("ops"), _MAKES, _ADMIN).found
    assert "and so as ServiceAccount ops/robot, which may do everything by ClusterRoleBinding root" in found.message
    (root,) = run("workload-creation", _ADMIN).found
    assert "and so as" not in root.message, "it needs nobody else"
    (apart,) = run("workload-creation", _in("shop"), _MAKES, _ADMIN).found
    assert "and so as" not in apart.message
    assert (found.hit.path, found.hit.evidence) == (apart.hit.path, apart.hit.evidence), "the identity stays"


def test_of_several_accounts_the_first_by_name_is_told_whatever_came_first() -> None:
    one = binding("x", "cluster-admin", "ServiceAccount:ops/b", "ServiceAccount:ops/a")
    other = binding("y", "cluster-admin", "ServiceAccount:ops/c")
    told = {
        run("workload-creation", _in("ops"), _MAKES, *order).found[0].message for order in ([one, other], [other, one])
    }
    assert len(told) == 1
    assert "ServiceAccount ops/a" in told.pop()


@pytest.mark.parametrize("kind", [ROLE_BINDING, CLUSTER_ROLE_BINDING, CLUSTER_ROLE, NAMESPACE])
def test_an_incomplete_world_is_high_and_says_what_is_not_known(kind: Kind) -> None:
    report = run("workload-creation", _in("shop"), _MAKES, incomplete=(kind,))
    assert severities(report) == ["high"]
    assert [one.reason for one in report.skipped] == [
        "whether a ServiceAccount in namespace shop holds the cluster cannot be determined: "
        "not all bindings and roles are known here (listing is forbidden)"
    ]
    known = run("workload-creation", _in("ops"), _MAKES, _ADMIN, incomplete=(kind,))
    assert severities(known) == ["critical"]
    assert known.skipped == []


def test_a_role_that_is_nowhere_is_said_where_it_may_matter() -> None:
    lost = binding("b", "lost", "ServiceAccount:shop/a")
    report = run("workload-creation", _in("shop"), _MAKES, lost)
    assert severities(report) == ["high"]
    assert len(report.skipped) == 1
    assert "lost is not among what was read" in report.skipped[0].reason


def test_kubernetes_own_admin_and_edit_weigh_less_in_a_namespace_unless_a_way_leads_on() -> None:
    for name in ("admin", "edit"):
        here = binding("b", name, "User:bob", namespace="ops")
        (found,) = run("workload-creation", here).found
        assert (found.severity.label, "and so as" in found.message) == ("medium", False)
        assert severities(run("workload-creation", here, _ADMIN)) == ["critical"]
        assert severities(run("workload-creation", binding("b", name, "User:bob"))) == ["critical"]


def test_an_rbac_definition_is_judged_binding_by_binding() -> None:
    (definition,) = objects("""
apiVersion: rbacmanager.reactiveops.io/v1beta1
kind: RBACDefinition
metadata: {name: d}
rbacBindings:
- name: b
  subjects: [{kind: User, name: bob}]
  roleBindings: [{clusterRole: maker, namespace: ops}]
""")
    assert severities(run("workload-creation", definition, _MAKES, _ADMIN)) == ["critical"]
    assert severities(run("workload-creation", definition, _MAKES)) == ["high"]


_RUNNING = objects(
    """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ops}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: robot, containers: [{name: c, image: "hooli.com/a:1"}]}
"""
)


@pytest.mark.parametrize(
    "given", [rule("update", "pods"), rule("patch", "pods"), rule("patch", "pods", names="web-x-y")]
)
def test_to_change_pods_is_to_change_the_images_of_those_that_run(given: Json) -> None:
    changes = role("r", given)
    for namespace in ("ops", None):
        bound = binding("b", "r", "User:bob", namespace=namespace)
        assert severities(run("workload-creation", bound, changes, _ADMIN)) == ["high"]
        (found,) = run("workload-creation", bound, changes, _ADMIN, *_RUNNING).found
        assert found.severity.label == "critical"
        assert found.hit.message.startswith("lets User bob swap the images of pods")
        assert "run as ServiceAccount ops/robot" in found.hit.message
        assert severities(run("workload-creation", bound, changes, *_RUNNING)) == ["high"], "it leads nowhere"
    elsewhere = binding("b", "r", "User:bob", namespace="shop")
    assert severities(run("workload-creation", elsewhere, changes, _ADMIN, *_RUNNING)) == ["high"]
    assert severities(run("workload-creation", changes, _ADMIN, *_RUNNING)) == ["high"], "bound to nobody"


def test_another_pod_by_name_is_not_that_one() -> None:
    changes = role("r", rule("patch", "pods", names="other"))
    bound = binding("b", "r", "User:bob", namespace="ops")
    assert severities(run("workload-creation", bound, changes, _ADMIN, *_RUNNING)) == ["high"]


@pytest.mark.parametrize(
    "given",
    [
        rule("update,patch", "jobs", "batch"),
        rule("patch", "taskruns", "tekton.dev"),
        rule("patch", "revisions", "serving.knative.dev"),
        rule("patch", "jobsets", "jobset.x-k8s.io"),
    ],
    ids=str,
)
def test_what_keeps_its_template_leads_nowhere(given: Json) -> None:
    for namespace in (None, "ops", "kube-system"):
        bound = binding("b", "r", "User:bob", namespace=namespace)
        assert severities(run("workload-creation", bound, role("r", given), _ADMIN, *_RUNNING)) == ["medium"]
        made = rule("create", ",".join(given["resources"]), ",".join(given["apiGroups"]))
        critical = severities(run("workload-creation", bound, role("r", made), _ADMIN))
        assert critical == ["critical"]


@pytest.mark.parametrize("kind", ["deployments", "daemonsets", "statefulsets", "replicasets"])
@pytest.mark.parametrize("verb", ["create", "update", "patch"])
def test_what_makes_pods_anew_by_its_template_leads_on(kind: str, verb: str) -> None:
    bound = binding("b", "r", "User:bob", namespace="ops")
    assert severities(run("workload-creation", bound, role("r", rule(verb, kind, "apps")), _ADMIN)) == ["critical"]


@pytest.mark.parametrize(
    "given",
    [
        rule("patch", "pods/status,pods/resize,pods/binding,pods/eviction"),
        rule("create", "pods/binding,bindings,pods/eviction"),
        rule("update,patch", "deployments/scale,deployments/status,statefulsets/scale", "apps"),
        rule("delete,deletecollection", "pods"),
        rule("create,update,patch", "podtemplates"),
        rule("create,update,patch", "controllerrevisions", "apps"),
        rule("create", "pods", names="one"),
    ],
    ids=str,
)
def test_what_starts_nothing_of_its_own(given: Json) -> None:
    assert not run("workload-creation", role("r", given, namespace="ops"), _ADMIN, *_RUNNING).found


def test_an_apply_by_name_creates() -> None:
    applies = role("r", rule("create,patch", "pods", names="one"), namespace="ops")
    assert severities(run("workload-creation", applies, _ADMIN)) == ["critical"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("create", "pods/exec"), "critical"),
        (rule("get", "pods/attach"), "critical"),
        (rule("patch", "pods/ephemeralcontainers"), "critical"),
        (rule("create", "pods/exec", names="web-1"), "critical"),
        (rule("create", "pods/exec", names="other"), "high"),
        (rule("create", "pods/portforward,pods/proxy"), "high"),
    ],
    ids=str,
)
def test_sessions_into_pods_that_run_as_a_privileged_account(given: Json, expected: str) -> None:
    bound = binding("b", "r", "User:bob", namespace="ops")
    assert severities(run("exec-permission", bound, role("r", given), _ADMIN, *_RUNNING)) == [expected]
    assert severities(run("exec-permission", bound, role("r", given), *_RUNNING)) == ["high"]
    assert severities(run("exec-permission", bound, role("r", given), _ADMIN)) == ["high"]


@pytest.mark.parametrize(
    ("given", "namespace", "expected"),
    [
        (rule("create", "serviceaccounts/token"), "ops", "critical"),
        (rule("create", "serviceaccounts/token"), "shop", "high"),
        (rule("create", "serviceaccounts/token", names="robot"), "ops", "critical"),
        (rule("create", "serviceaccounts/token", names="robot"), None, "critical"),
        (rule("create", "serviceaccounts/token", names="robot"), "shop", "high"),
        (rule("create", "serviceaccounts/token", names="other"), "ops", "high"),
    ],
    ids=str,
)
def test_tokens_are_worth_whose_they_are(given: Json, namespace: str | None, expected: str) -> None:
    bound = binding("b", "r", "User:bob", namespace=namespace)
    assert severities(run("token-minting", bound, role("r", given), _ADMIN)) == [expected]
