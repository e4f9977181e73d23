"""One cause is one finding: what a hit is told with, and what makes it stand by itself."""

from typing import Any

import pytest
import yaml

from iocaudit.core.check import Check
from iocaudit.core.place import Place
from iocaudit.core.report import Report, ReportedHit
from iocaudit.core.resource import CLUSTER, Origin, Resource
from iocaudit.core.severity import Severity
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.causes import causes_of, with_causes
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.policy_set import PolicySet

CATALOGUE = builtin_catalogue()
RBAC = "rbac.authorization.k8s.io"
Json = dict[str, Any]


def thing(kind: str, name: str, namespace: str | None = None, origin: Origin = CLUSTER, **body: Any) -> Resource:
    version = f"{RBAC}/v1" if "Role" in kind else "v1"
    place = {"namespace": namespace} if namespace else {}
    return Resource({"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, **body}, origin)


def pod(*containers: Json, namespace: str = "shop", **spec: Any) -> Resource:
    named = [{"name": f"c{number}", "image": "hooli.com/web:1", **one} for number, one in enumerate(containers)]
    return thing("Pod", "web", namespace, spec={"containers": named, **spec})


def role(kind: str, *rules: tuple[str, str], name: str = "reader", namespace: str | None = None) -> Resource:
    listed = [{"apiGroups": [""], "resources": [resource], "verbs": [verb]} for resource, verb in rules]
    return thing(kind, name, namespace, rules=listed)


def binding(
    kind: str, ref: str, *accounts: str, name: str = "reader", to: str = "reader", namespace: str | None = None
) -> Resource:
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": "shop"} for account in accounts]
    reference = {"apiGroup": RBAC, "kind": ref, "name": to}
    return thing(kind, name, namespace, roleRef=reference, subjects=subjects)


def judged(*resources: Resource, policy: Json | None = None, only: set[str] | None = None) -> Report:
    report = hits(*resources, policy=policy, only=only)
    return with_causes(report, CATALOGUE)


def hits(*resources: Resource, policy: Json | None = None, only: set[str] | None = None) -> Report:
    catalogue = CATALOGUE.select(only) if only else CATALOGUE
    policies = (read_policy({"metadata": {"name": "p"}, "spec": policy}, catalogue),) if policy else ()
    world = World()
    for resource in resources:
        world.add(resource)
    auditor = Auditor(catalogue, PolicySet(catalogue, policies), world)
    report = Report()
    for resource in resources:
        report.extend(auditor.audit(resource))
    return report.sorted()


def told(report: Report) -> dict[str, list[str]]:
    """By the check and name of what is shown, the checks and names of what it implies."""
    parts = report.parts()
    shown: dict[str, list[str]] = {}
    for found in report.found:
        shown.setdefault(title(found), []).extend(title(part) for part in parts.get(id(found), ()))
    return {name: sorted(set(implied)) for name, implied in shown.items()}


def title(found: ReportedHit) -> str:
    return f"{found.check} {found.subject.kind}/{found.subject.name}"


def checks(report: Report) -> dict[str, list[str]]:
    return {name.split()[0]: sorted({one.split()[0] for one in implied}) for name, implied in told(report).items()}


# -- pods --------------------------------------------------------------------------------------------------------


def test_a_privileged_container_implies_what_root_on_the_node_makes_pointless() -> None:
    found = checks(
        judged(
            pod(
                {
                    "securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}},
                    "volumeMounts": [{"name": "etc", "mountPath": "/etc"}],
                },
                volumes=[{"name": "etc", "hostPath": {"path": "/etc"}}],
            )
        )
    )
    assert found["privileged-container"] == [
        "capability-beyond-baseline",
        "dangerous-capability",
        "may-run-as-root",
        "privilege-escalation-allowed",
        "sensitive-host-path",
        "writable-host-path",
    ]
    assert {"cpu-unlimited", "memory-unlimited"} <= set(found), "what has its own fix stands by itself"


def test_a_container_beside_a_privileged_one_speaks_for_itself() -> None:
    report = judged(pod({"securityContext": {"privileged": True}}, {}))
    alone = [found.hit.path for found in report.found if found.check == "privilege-escalation-allowed"]
    assert alone == ['spec.containers["c1"].securityContext.allowPrivilegeEscalation']


@pytest.mark.parametrize(("second", "shown"), [({"privileged": True}, False), ({}, True)])
def test_a_volume_is_implied_where_every_container_that_mounts_it_is_privileged(second: Json, shown: bool) -> None:
    mount = {"volumeMounts": [{"name": "etc", "mountPath": "/etc"}]}
    report = judged(
        pod(
            {"securityContext": {"privileged": True}, **mount},
            {"securityContext": second, **mount},
            volumes=[{"name": "etc", "hostPath": {"path": "/etc"}}],
        )
    )
    assert ("sensitive-host-path" in checks(report)) is shown


def test_a_volume_that_no_container_mounts_stands_by_itself() -> None:
    report = judged(
        pod({"securityContext": {"privileged": True}}, volumes=[{"name": "etc", "hostPath": {"path": "/etc"}}])
    )
    assert "sensitive-host-path" in checks(report)


def test_a_runtime_socket_implies_what_is_said_of_its_volume_alone() -> None:
    report = judged(
        pod(
            {
                "volumeMounts": [
                    {"name": "docker", "mountPath": "/docker"},
                    {"name": "data", "mountPath": "/data"},
                ]
            },
            volumes=[
                {"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}},
                {"name": "data", "hostPath": {"path": "/srv/data"}},
            ],
        )
    )
    assert checks(report)["runtime-socket-mount"] == ["sensitive-host-path", "writable-host-path"]
    left = [found.hit.path for found in report.found if found.check == "writable-host-path"]
    assert left == ['spec.containers["c0"].volumeMounts["data"]']
    assert "host-path-mount" in checks(report)


def test_a_runtime_socket_stays_beside_a_privileged_container_as_it_alone_is_the_node_too() -> None:
    report = judged(
        pod(
            {"securityContext": {"privileged": True}, "volumeMounts": [{"name": "docker", "mountPath": "/d"}]},
            volumes=[{"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}}],
        )
    )
    assert {"privileged-container", "runtime-socket-mount"} <= set(checks(report))


def test_root_of_the_pod_implies_that_its_containers_may_run_as_root() -> None:
    report = judged(pod({}, {"securityContext": {"runAsUser": 1000}}, securityContext={"runAsUser": 0}))
    assert checks(report)["runs-as-root"] == ["may-run-as-root"]
    assert "may-run-as-root" not in checks(report)


def test_the_root_group_is_no_root_user() -> None:
    policy = {"checks": [{"ids": ["runs-as-root"], "parameters": {"groups": True}}]}
    report = judged(pod({"securityContext": {"runAsGroup": 0}}), policy=policy)
    assert {"runs-as-root", "may-run-as-root"} <= set(checks(report))


def test_a_capability_is_told_once_and_another_one_beside_it() -> None:
    report = judged(
        pod({"securityContext": {"capabilities": {"add": ["CAP_SYS_PTRACE", "SYS_CHROOT2"]}}}, hostPID=True)
    )
    beyond = [found.hit.evidence for found in report.found if found.check == "capability-beyond-baseline"]
    assert checks(report)["dangerous-capability"] == ["capability-beyond-baseline"]
    assert beyond == ["SYS_CHROOT2"]


# -- policies, waivers and filters ----------------------------------------------------------------------------------


def test_what_is_raised_above_its_cause_stands_by_itself() -> None:
    policy = {"checks": [{"ids": ["privileged-container"], "severity": "low"}]}
    assert checks(judged(pod({"securityContext": {"privileged": True}}), policy=policy))["privileged-container"] == []


def test_what_is_treated_more_strictly_than_its_cause_stands_by_itself() -> None:
    policy = {
        "checks": [
            {"ids": ["privileged-container"], "mode": "audit"},
            {"ids": ["privilege-escalation-allowed"], "mode": "deny"},
        ]
    }
    found = checks(judged(pod({"securityContext": {"privileged": True}}), policy=policy))
    assert found["privileged-container"] == ["may-run-as-root"]
    assert found["privilege-escalation-allowed"] == []


def test_what_did_not_run_implies_nothing() -> None:
    found = checks(judged(pod({"securityContext": {"privileged": True}}), only={"privilege-escalation-allowed"}))
    assert found == {"privilege-escalation-allowed": []}


# -- grants -------------------------------------------------------------------------------------------------------


def test_a_grant_stands_on_the_role_and_is_as_bad_as_its_worst_binding() -> None:
    report = judged(
        role("ClusterRole", ("secrets", "get")),
        binding("ClusterRoleBinding", "ClusterRole", "web", "mail"),
        binding("ClusterRoleBinding", "ClusterRole", "ops", name="second"),
    )
    found = told(report)
    assert found["secret-access ClusterRole/reader"] == [
        "secret-access ClusterRoleBinding/reader",
        "secret-access ClusterRoleBinding/second",
    ]
    (cause,) = report.found
    assert cause.severity is Severity.CRITICAL
    assert cause.hit.message == (
        "may get secrets; given to ServiceAccount shop/mail, ServiceAccount shop/web by ClusterRoleBinding reader, "
        "ServiceAccount shop/ops by ClusterRoleBinding second"
    )
    assert len({one.found.fingerprint for one in report.implied}) == 3, "each subject keeps a hit of its own"


@pytest.mark.parametrize(
    ("ref", "to"),
    [("ClusterRole", "reader"), ("ClusterRole", "edit"), ("ClusterRole", "unknown")],
    ids=["a ClusterRole in one namespace", "the cluster's own", "unknown"],
)
def test_a_role_binding_to_a_cluster_role_stands_on_the_binding(ref: str, to: str) -> None:
    report = judged(
        role("ClusterRole", ("secrets", "get")), binding("RoleBinding", ref, "web", to=to, namespace="shop")
    )
    assert all("RoleBinding" not in part for parts in told(report).values() for part in parts)


def test_a_role_and_its_binding_in_one_namespace_are_one_cause_and_others_are_not() -> None:
    report = judged(
        role("Role", ("secrets", "get"), namespace="shop"),
        role("Role", ("secrets", "get"), namespace="mail"),
        binding("RoleBinding", "Role", "web", namespace="shop"),
    )
    assert [(found.subject.kind, found.subject.namespace) for found in report.found] == [
        ("Role", "mail"),
        ("Role", "shop"),
    ]
    assert [one.by.subject.namespace for one in report.implied] == ["shop"]


def test_a_role_whose_hit_is_accepted_leaves_the_binding_by_itself() -> None:
    role_, bound = role("ClusterRole", ("secrets", "get")), binding("ClusterRoleBinding", "ClusterRole", "web")
    report = hits(role_, bound)
    report.found = [one for one in report.found if one.subject.kind != "ClusterRole"]
    assert told(with_causes(report, CATALOGUE)) == {"secret-access ClusterRoleBinding/reader": []}


def test_a_wildcard_implies_what_it_amounts_to_on_the_same_rule_alone() -> None:
    report = judged(role("Role", ("secrets", "*"), ("pods/exec", "create"), namespace="shop"))
    assert checks(report) == {"wildcard-rule": ["secret-access"], "exec-permission": []}


def test_the_power_of_cluster_admin_implies_its_parts_of_the_same_subject() -> None:
    report = judged(binding("ClusterRoleBinding", "ClusterRole", "web", to="cluster-admin"))
    assert checks(report) == {"cluster-admin-binding": ["exec-permission", "secret-access", "workload-creation"]}


# -- namespaces ---------------------------------------------------------------------------------------------------


def test_a_namespace_without_default_deny_implies_what_is_open_in_it_for_each_direction() -> None:
    deny = thing("NetworkPolicy", "deny", "shop", spec={"podSelector": {}, "policyTypes": ["Ingress"]})
    deny.raw["apiVersion"] = "networking.k8s.io/v1"
    only = {"namespace-without-default-deny", "no-ingress-policy", "no-egress-policy"}
    web = pod({})
    assert told(judged(thing("Namespace", "shop"), web, only=only)) == {
        "namespace-without-default-deny Namespace/shop": ["no-egress-policy Pod/web", "no-ingress-policy Pod/web"]
    }
    assert told(judged(thing("Namespace", "mail"), web, only=only)) == {
        "namespace-without-default-deny Namespace/mail": [],
        "no-egress-policy Pod/web": [],
        "no-ingress-policy Pod/web": [],
    }


# -- declarations -------------------------------------------------------------------------------------------------


def test_declarations_name_checks_that_are_there_and_have_no_cycle() -> None:
    state: dict[str, bool] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a cycle: {' implies '.join((*path, name))}"
        check = CATALOGUE.find(name)
        assert check is not None, f"{path[-1]} implies {name}, which is not a check"
        assert check.id == name, f"{path[-1]} implies {check.id} by another name"
        if not state.get(name):
            for other in check.implied:
                visit(other, (*path, name))
            state[name] = True

    for check in CATALOGUE:
        visit(check.id, ())


def test_what_is_implied_somewhere_looks_at_what_the_implying_check_looks_at() -> None:
    for check in CATALOGUE:
        for name, place in check.implied.items():
            other = CATALOGUE.find(name)
            assert other is not None
            if place is not Place.NAMESPACE:
                assert set(check.looks_at) & set(other.looks_at), f"{check.id} never meets {name}"


@pytest.mark.parametrize("check", [one for one in CATALOGUE if not one.admission_only], ids=lambda check: check.id)
def test_a_check_is_shown_on_its_own_bad_example(check: Check) -> None:
    """Whoever tries the example of the documentation has to see what it is an example of."""
    parameters = yaml.safe_load(check.doc.policy or "{}")
    policy = {"checks": [{"ids": [check.id], "parameters": parameters}]}
    documents = [one for one in yaml.safe_load_all(check.doc.bad) if one["kind"] != "AdmissionReview"]
    report = judged(*(Resource(one, CLUSTER) for one in documents), policy=policy)
    assert check.id in {found.check for found in report.found} or not documents


def test_a_hit_that_was_moved_to_the_role_does_not_stand_on_itself() -> None:
    """As the one that a role's own request completes: asked once, it never came to an end."""
    report = hits(role("ClusterRole", ("secrets", "get")), binding("ClusterRoleBinding", "ClusterRole", "web"))
    (own,) = (one for one in report.found if one.subject.kind == "ClusterRole")
    moved = [one._replace(subject=own.subject) for one in report.found if one is not own]
    assert causes_of(moved, CATALOGUE) == (moved, [])
