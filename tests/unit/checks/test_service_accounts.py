"""What pods hold through their ServiceAccounts, and who shares these."""

import pytest

from iocaudit.core.kinds import CLUSTER_ROLE_BINDING, DEPLOYMENT, ROLE_BINDING, SERVICE_ACCOUNT
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_set import PolicySet
from tests.support.rbac_objects import CATALOGUE, aggregate, binding, objects, role, rule, run, severities

POWER, TOKEN, SHARED = "workload-holds-power", "token-automounted", "shared-service-account"
CRITICAL = [
    rule("*", "*", "*"),
    rule("bind", "clusterroles", "rbac.authorization.k8s.io"),
    rule("impersonate", "users"),
    rule("get", "nodes/proxy"),
    rule("approve", "signers", "certificates.k8s.io"),
    rule("patch", "mutatingwebhookconfigurations", "admissionregistration.k8s.io"),
    rule("list", "secrets"),
    rule("create", "serviceaccounts/token"),
]


def pod(account: str = "web", extra: str = "", namespace: str = "shop") -> Resource:
    (found,) = objects(
        f"""
apiVersion: v1
kind: Pod
metadata: {{name: p, namespace: {namespace}}}
spec: {{serviceAccountName: {account}, containers: [{{name: a, image: b}}]{extra}}}
"""
    )
    return found


def account(name: str = "web", extra: str = "") -> Resource:
    (found,) = objects(f"{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: shop}}{extra}}}")
    return found


@pytest.mark.parametrize("given", CRITICAL, ids=str)
@pytest.mark.parametrize(
    "who", ["ServiceAccount:shop/web", "Group:system:serviceaccounts:shop", "Group:system:serviceaccounts"]
)
def test_critical_grants_bound_in_the_whole_cluster(given: dict[str, object], who: str) -> None:
    world = [role("r", given), binding("b", "r", who)]
    assert severities(run(POWER, pod(), *world)) == ["high"]
    assert not run(POWER, pod("other", namespace="else"), *world).found or who == "Group:system:serviceaccounts"


def test_by_aggregation_and_in_every_workload_kind() -> None:
    world = [aggregate("r", {"to": "r"}), role("part", CRITICAL[0], labels={"to": "r"})]
    world.append(binding("b", "r", "ServiceAccount:shop/web"))
    cron = objects(
        """
apiVersion: batch/v1
kind: CronJob
metadata: {name: c, namespace: shop}
spec: {jobTemplate: {spec: {template: {spec: {serviceAccount: web, containers: []}}}}}
"""
    )[0]
    (found,) = run(POWER, cron, *world).found
    assert found.hit.path == "spec.jobTemplate.spec.template.spec.serviceAccountName"
    assert "ServiceAccount shop/web" in found.message


def test_in_one_namespace_only_kube_system_amounts_to_the_cluster() -> None:
    secrets = role("r", rule("get", "secrets"))
    for namespace, hits in (("shop", 0), ("kube-system", 1)):
        bound = binding("b", "r", "ServiceAccount:shop/web", namespace=namespace)
        assert len(run(POWER, pod(), secrets, bound).found) == hits
        everything = binding("b", "cluster-admin", "ServiceAccount:shop/web", namespace=namespace)
        assert len(run(POWER, pod(), everything).found) == hits


@pytest.mark.parametrize("verb", ["create", "patch"])
@pytest.mark.parametrize("kind", ["deployments", "daemonsets", "statefulsets", "replicasets"])
def test_to_run_pods_where_some_account_holds_the_cluster_is_to_hold_it(kind: str, verb: str) -> None:
    for given in (rule(verb, kind, "apps"), rule("create", "pods"), rule(verb, "cronjobs", "batch")):
        maker, robot = role("r", given), binding("root", "cluster-admin", "ServiceAccount:ops/robot")
        for namespace, others, hits in (
            (None, [], 1),
            ("kube-system", [], 1),
            ("shop", [robot], 0),
            ("ops", [], 0),
            ("ops", [robot], 1),
        ):
            bound = binding("b", "r", "ServiceAccount:shop/web", namespace=namespace)
            assert len(run(POWER, pod(), maker, bound, *others).found) == hits, (namespace, others)


@pytest.mark.parametrize(
    ("given", "hits"),
    [
        (rule("create", "serviceaccounts/token"), 1),
        (rule("create", "serviceaccounts/token", names="robot"), 1),
        (rule("create", "serviceaccounts/token", names="other"), 0),
        (rule("impersonate", "serviceaccounts"), 1),
        (rule("impersonate", "serviceaccounts", names="other"), 0),
        (rule("bind", "roles", "rbac.authorization.k8s.io"), 1),
        (rule("update,patch", "pods"), 0),
        (rule("update,patch", "jobs", "batch"), 0),
        (rule("patch", "deployments/scale", "apps"), 0),
    ],
    ids=str,
)
def test_whatever_leads_to_an_account_there_counts(given: dict[str, object], hits: int) -> None:
    world = [role("r", given), binding("root", "cluster-admin", "ServiceAccount:ops/robot")]
    bound = binding("b", "r", "ServiceAccount:shop/web", namespace="ops")
    assert len(run(POWER, pod(), bound, *world).found) == hits


def test_names_and_halves_that_amount_to_nothing_do_not_count() -> None:
    for given in (
        rule("bind", "clusterroles", "rbac.authorization.k8s.io", "view"),
        rule("impersonate", "users", names="*"),
        rule("impersonate", "groups"),
        rule("impersonate", "uids,userextras/scopes", "authentication.k8s.io"),
    ):
        world = [role("r", given), binding("b", "r", "ServiceAccount:shop/web")]
        assert not run(POWER, pod(), *world).found


def test_a_controllers_account_of_the_cluster_itself() -> None:
    assert severities(run(POWER, pod("clusterrole-aggregation-controller", namespace="kube-system"))) == ["high"]
    assert not run(POWER, pod("coredns", namespace="kube-system")).found


def test_without_a_token_there_is_no_power() -> None:
    bound = binding("b", "cluster-admin", "ServiceAccount:shop/web")
    off = ", automountServiceAccountToken: false"
    assert not run(POWER, pod(extra=off), bound).found
    assert not run(POWER, pod(), bound, account(extra=off)).found
    projected = off + ", volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token}}]}}]"
    assert run(POWER, pod(extra=projected), bound).found
    vault = projected.replace("{path: token}", "{path: token, audience: vault}")
    assert not run(POWER, pod(extra=vault), bound).found
    spelled = projected.replace("{path: token}", "{path: token, audience: https://kubernetes.default.svc}")
    assert run(POWER, pod(extra=spelled), bound).found


def test_what_is_not_known_is_skipped() -> None:
    assert run(POWER, pod(), incomplete=(CLUSTER_ROLE_BINDING,)).skipped
    assert run(POWER, pod(), binding("b", "gone", "ServiceAccount:shop/web")).skipped
    bound = binding("b", "cluster-admin", "ServiceAccount:shop/web")
    report = run(POWER, pod(), bound, incomplete=(SERVICE_ACCOUNT,))
    assert not report.found
    assert report.skipped


@pytest.mark.parametrize(
    ("in_pod", "in_account", "expected"),
    [("", "", 1), ("true", "", 1), ("false", "", 0), ("", "false", 0), ("true", "false", 1), ("false", "true", 0)],
)
def test_whether_the_token_is_mounted(in_pod: str, in_account: str, expected: int) -> None:
    def field(value: str) -> str:
        return f", automountServiceAccountToken: {value}" if value else ""

    report = run(TOKEN, pod(extra=field(in_pod)), account(extra=field(in_account)), profile="strict")
    assert severities(report) == ["low"] * expected
    assert not run(TOKEN, pod(extra=field(in_pod)), account(extra=field(in_account))).found


def test_the_default_account_with_rights() -> None:
    bound = binding("b", "view", "ServiceAccount:shop/default", namespace="shop")
    assert severities(run(TOKEN, pod("default"), bound)) == ["high"]
    assert severities(run(TOKEN, pod("default"), bound, profile="strict")) == ["high"]
    everyone = binding("b", "view", "Group:system:serviceaccounts:shop", namespace="shop")
    assert severities(run(TOKEN, pod("default"), everyone)) == ["high"]
    assert not run(TOKEN, pod("default"), binding("b", "view", "ServiceAccount:else/default")).found
    assert run(TOKEN, pod("default"), incomplete=(ROLE_BINDING,)).skipped
    assert not run(TOKEN, pod("web"), incomplete=(ROLE_BINDING,)).skipped
    assert severities(run(SHARED, bound)) == ["medium"]
    assert not run(SHARED, binding("b", "view", "ServiceAccount:shop/web", namespace="shop")).found


def workload(name: str, labels: str, kind: str = "Deployment", extra: str = "") -> Resource:
    (found,) = objects(
        f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: shop{extra}}}
spec: {{template: {{metadata: {{labels: {{{labels}}}}}, spec: {{serviceAccountName: web, containers: []}}}}}}
"""
    )
    return found


@pytest.mark.parametrize(
    ("labels", "hits"),
    [
        (("app: a", "app: b"), 1),
        (("app: a", "app: a"), 0),
        (("app: a, app.kubernetes.io/part-of: x", "app: b, app.kubernetes.io/part-of: x"), 0),
        (("app: a", "app: a, k8s-app: b", "k8s-app: b"), 0),
        (("", ""), 1),
        (("app: a",), 0),
    ],
)
def test_unrelated_workloads(labels: tuple[str, ...], hits: int) -> None:
    users = [workload(f"w{index}", text) for index, text in enumerate(labels)]
    assert len(run(SHARED, account(), *users).found) == hits
    assert not run(SHARED, account("other"), *users).found
    assert not run(SHARED, account("default"), *users).found


def test_a_controllers_own_objects_do_not_count() -> None:
    owned = ", ownerReferences: [{apiVersion: v1, kind: X, name: x, uid: u, controller: true}]"
    assert not run(SHARED, account(), workload("a", "app: a"), workload("b", "app: b", extra=owned)).found


def test_a_lasting_token_in_a_file() -> None:
    (secret,) = objects(
        """
apiVersion: v1
kind: Secret
metadata: {name: t, namespace: shop, annotations: {kubernetes.io/service-account.name: web}}
type: kubernetes.io/service-account-token
"""
    )
    assert severities(run(SHARED, account(), secret)) == ["medium"]
    assert not run(SHARED, account("other"), secret).found


def test_an_incomplete_kind_of_workload_is_said() -> None:
    assert run(SHARED, account(), incomplete=(DEPLOYMENT,)).skipped


def _said(world: World, check: str, subject: Resource) -> list[str]:
    auditor = Auditor(CATALOGUE.select([check]), PolicySet(CATALOGUE), world)
    return [found.hit.evidence for found in auditor.audit(subject).found]


@pytest.mark.parametrize(("check", "who"), [(POWER, "web"), (TOKEN, "default")])
def test_what_is_kept_of_a_world_follows_its_bindings(check: str, who: str) -> None:
    """The same question over and over, in a world that changes and in one made anew, gets the same answer."""
    world, present = World(), dict[str, Resource]()
    giving = binding("b", "admin-of-all", f"ServiceAccount:shop/{who}")
    changes = [
        giving,
        role("admin-of-all", rule("*", "*", "*")),
        role("admin-of-all", rule("get", "pods")),
        binding("b", "view", f"ServiceAccount:shop/{who}"),
        binding("b", "admin-of-all", "User:alice"),
        binding("b", "cluster-admin", "Group:system:serviceaccounts:shop"),
    ]
    answers = set()
    for change in changes:
        world.put(change)
        present[change.kind_name] = change
        fresh = World()
        for resource in present.values():
            fresh.put(resource)
        for name in (who, "other"):
            asked = _said(world, check, pod(name))
            assert asked == _said(fresh, check, pod(name)) == _said(world, check, pod(name))
            answers.add(tuple(asked))
    assert len(answers) > 1


def test_who_uses_an_account_follows_its_namespace() -> None:
    world = World()
    shared = account("common")
    world.put(shared)
    for name, users in (("web", 1), ("mail", 2), ("mail", 2)):
        (workload,) = objects(
            f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: shop}}
spec: {{template: {{spec: {{serviceAccountName: common, containers: [{{name: a, image: b}}]}}}}}}
"""
        )
        world.put(workload)
        assert len(_said(world, SHARED, shared)) == users - 1
    world.remove(DEPLOYMENT, "shop", "web")
    assert _said(world, SHARED, shared) == []
