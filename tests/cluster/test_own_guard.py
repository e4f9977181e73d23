"""The guard's own objects on a real API server: its install, its policies, and who passes as the API server."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from tests.cluster.installing import configurations, install, registered
from tests.cluster.processes import Eventually, Json, apply, binding, items, pod, told

MARK = "this auditor's own install"


class Guarded:
    """A control plane with our manifests, and both programs as their ServiceAccounts until ``end``."""

    def __init__(self, cluster: ControlPlane, stack: ExitStack) -> None:
        self.cluster, self._stack = cluster, stack
        self.end = stack.close

    def asked(self, verb: str, body: Json, *arguments: str, user: str | None = None) -> tuple[bool, str]:
        """Whether the API server did it, and all that it said."""
        kubeconfig = self.cluster.user_kubeconfig(user) if user else None
        answer: subprocess.CompletedProcess[str] = self.cluster.kubectl(
            verb, "-f", "-", *arguments, input=json.dumps(body), check=False, kubeconfig=kubeconfig
        )
        return answer.returncode == 0, answer.stdout + answer.stderr

    def get(self, kind: str, name: str, *arguments: str) -> Json:
        found: Json = json.loads(self.cluster.kubectl("get", kind, name, "-o", "json", *arguments).stdout)
        return found

    def changes(self, name: str) -> list[Json]:
        """What is recorded of changes of a policy."""
        found = [one["finding"] for one in items(self.cluster, "clusteriocfindings")]
        return [one for one in found if one["type"] == "policy-change" and one["subject"]["name"] == name]


def grant(name: str, user: str, *rules: Json) -> list[Json]:
    """A ClusterRole of these rules, bound to a user."""
    rbac = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": list(rules)}
    bound = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
    }
    return [role, bound]


def rule(group: str, resources: list[str], *verbs: str) -> Json:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, eventually: Eventually) -> Iterator[Guarded]:
    with ControlPlane() as cluster, ExitStack() as stack:
        install(cluster)
        for namespace in ("shop", "bar"):
            cluster.kubectl("create", "namespace", namespace)
        roles = ["clusterroles", "clusterrolebindings"]
        every = ("get", "list", "create", "update", "patch", "bind", "escalate")
        # From before the guard was there, which would deny both.
        apply(cluster, *grant("binder", "bob", rule("rbac.authorization.k8s.io", roles, *every)))
        policies = rule("iocaudit.io", ["auditpolicies"], "get", "create", "update", "patch", "delete")
        apply(cluster, *grant("tuner", "mallory", policies))
        stack.enter_context(registered(cluster, tmp_path_factory.mktemp("guard"), eventually))
        yield Guarded(cluster, stack)


def test_a_first_report_has_nothing_to_say_of_us(guarded: Guarded, eventually: Eventually) -> None:
    eventually(lambda: "ClusterRoleBinding/binder" in told(guarded.cluster, None, "escalation-verb"), "the report")
    listed = [*items(guarded.cluster, "iocfindings", "-A"), *items(guarded.cluster, "clusteriocfindings")]
    found = [one["finding"] for one in listed]
    ours = [
        f"{one['state']} {one['check']} {one['target']}"
        for one in found
        if "iocaudit" in (one["subject"]["name"] + one["subject"].get("namespace", ""))
    ]
    assert ours == []
    parts = [part for one in found for part in one.get("implies", ())]
    assert parts != []
    assert [part for part in parts if "iocaudit" in part["target"]] == []


def test_who_may_change_the_guard_is_found(guarded: Guarded) -> None:
    found = told(guarded.cluster, None, "guard-tampering")
    assert found["ClusterRole/tuner"] == found["ClusterRoleBinding/tuner"] == "Open"
    stored = [one["finding"] for one in items(guarded.cluster, "clusteriocfindings")]
    (message,) = [one["message"] for one in stored if one["target"] == "ClusterRole/tuner"]
    assert "; given to User mallory by ClusterRoleBinding tuner" in message
    ok, said = guarded.asked("create", grant("late", "eve", rule("iocaudit.io", ["iocwaivers"], "create"))[0])
    assert not ok
    assert "guard-tampering" in said


def test_who_may_change_what_the_guard_runs_on_is_found(guarded: Guarded, eventually: Eventually) -> None:
    rules = [rule("coordination.k8s.io", ["leases"], "update"), rule("apps", ["deployments/scale"], "patch")]
    for one in grant("switch", "eve", *rules):
        one["kind"] = one["kind"].removeprefix("Cluster")
        one["metadata"]["namespace"] = "iocaudit"
        if "roleRef" in one:
            one["roleRef"]["kind"] = "Role"
        apply(guarded.cluster, one)
    expected = {"Role/switch": "Open", "RoleBinding/switch": "Open"}
    eventually(lambda: told(guarded.cluster, "iocaudit", "guard-tampering") == expected, "the findings")
    guarded.cluster.kubectl("delete", "role/switch", "rolebinding/switch", "--namespace=iocaudit")


@pytest.mark.parametrize(("user", "done"), [(None, True), ("bob", False)])
@pytest.mark.parametrize("kind", ["clusterrole", "clusterrolebinding"])
def test_our_own_objects_with_one_thing_more(guarded: Guarded, kind: str, user: str | None, done: bool) -> None:
    before = guarded.get(kind, "iocaudit-operator")
    del before["metadata"]["resourceVersion"]
    body = copy.deepcopy(before)
    if kind == "clusterrole":
        body["rules"].append(rule("", ["pods"], "delete"))
    else:
        body["subjects"].append({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"})
    ok, said = guarded.asked("replace", body, user=user)
    assert ok is done, said
    assert MARK in said
    if done:
        ok, said = guarded.asked("replace", before, user="bob")  # and back, which anybody may
        assert ok, said
        assert "Warning" not in said


def policy(name: str, check: Json, **spec: Any) -> Json:
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": name},
        "spec": {"checks": [check], **spec},
    }


def test_a_policy_that_turns_everything_off_is_warned_about_kept_and_found(
    guarded: Guarded, eventually: Eventually
) -> None:
    cluster = guarded.cluster
    everything = {"profiles": ["default", "strict"], "mode": "off"}
    quiet = policy("quiet", everything, priority=1000, match={"namespaces": ["bar"]})
    assert "turns off" in guarded.asked("create", quiet, "--dry-run=server", user="mallory")[1]
    ok, said = guarded.asked("create", quiet, user="mallory")
    assert ok, said
    assert "Warning: AuditPolicy quiet turns off" in said
    eventually(lambda: len(guarded.changes("quiet")) == 1, "a record of who did it")
    (change,) = guarded.changes("quiet")
    assert (change["check"], change["user"], change["count"], change["state"]) == (
        "policy-weakens-guard",
        "mallory",
        1,
        "Recorded",
    )
    eventually(lambda: posture(cluster) == {"AuditPolicy/quiet": "Open"}, "a finding on it, though it turns all off")
    events = [one for one in items(cluster, "events", "-ndefault") if one["involvedObject"]["name"] == "quiet"]
    assert [(one["reason"], one["message"].partition(":")[0]) for one in events] == [("GuardWeakened", "mallory")]
    assert "mallory" in cluster.kubectl("describe", "auditpolicy", "quiet").stdout
    ok, said = guarded.asked("delete", quiet, user="mallory")
    assert ok
    assert "Warning" not in said  # it only took away
    eventually(lambda: posture(cluster).get("AuditPolicy/quiet") == "Resolved", "the finding to be resolved")


def posture(cluster: ControlPlane) -> dict[str, str]:
    """Policies to the state of the finding on what they do now."""
    found = [one["finding"] for one in items(cluster, "clusteriocfindings") if one["finding"]["type"] == "posture"]
    return {one["target"]: one["state"] for one in found if one["check"] == "policy-weakens-guard"}


def test_the_removal_of_a_policy_that_denied_is_warned_about_and_kept(guarded: Guarded, eventually: Eventually) -> None:
    strict = policy("strict", {"ids": ["host-network"], "mode": "deny"}, match={"namespaces": ["shop"]})
    ok, said = guarded.asked("create", strict, user="mallory")
    assert ok
    assert "Warning" not in said
    bad = pod("shop", "net", hostNetwork=True)
    eventually(lambda: not guarded.asked("create", bad, "--dry-run=server")[0], "the policy to be in force")
    ok, said = guarded.asked("delete", strict, user="mallory")
    assert ok
    assert "Warning: AuditPolicy strict is removed, which" in said
    eventually(lambda: [one["user"] for one in guarded.changes("strict")] == ["mallory"], "a record of who did it")


def test_whoever_passes_as_the_api_server_is_judged(guarded: Guarded) -> None:
    bad = pod("shop", "as-apiserver")
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    as_it = ("--as=system:apiserver", "--as-group=system:masters")
    ok, said = guarded.asked("create", bad, *as_it)
    assert not ok
    assert "runs privileged" in said
    for name in ("as-apiserver", "system:as-apiserver"):
        ok, said = guarded.asked("create", binding(name), *as_it)
        assert not ok
        assert "cluster-admin" in said
    more = guarded.get("clusterrolebinding", "cluster-admin")
    more["subjects"].append({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"})
    ok, said = guarded.asked("replace", more, *as_it)
    assert not ok
    assert "User mallory" in said


def test_kube_public_is_guarded_too(guarded: Guarded) -> None:
    bad = pod("kube-public", "miner")
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert not guarded.asked("create", bad)[0]


def written_at_start(cluster: ControlPlane) -> set[str]:
    """The RBAC objects that the API server writes when it starts."""
    kinds = "clusterroles,clusterrolebindings,roles,rolebindings"
    found = cluster.kubectl(
        "get",
        kinds,
        "-A",
        "-l=kubernetes.io/bootstrapping",
        "-o=custom-columns=:.kind,:.metadata.namespace,:.metadata.name",
    )
    return set(found.stdout.splitlines())


def test_where_names_say_what_is_denied_the_rest_is_only_told(guarded: Guarded, eventually: Eventually) -> None:
    """The last: from here on the programs are gone, and what they registered fails closed or open."""
    cluster = guarded.cluster
    deny = {"ids": ["privileged-container", "cluster-admin-binding"], "mode": "deny"}
    match = {"namespaces": ["shop"], "clusterScoped": True}
    apply(
        cluster,
        policy("calm", {"profiles": ["default", "strict"], "mode": "warn"}),
        policy("shop", deny, priority=1, match=match),
    )

    def selected() -> list[str]:
        (found,) = configurations(cluster)
        return [str(one["namespaceSelector"]["matchExpressions"][0]["operator"]) for one in found["webhooks"]]

    eventually(lambda: selected() == ["In", "NotIn", "In"], "the configuration for one namespace", seconds=30)
    privileged = {"securityContext": {"privileged": True}}

    def created(namespace: str) -> tuple[bool, str]:
        bad = pod(namespace, "bad")
        bad["spec"]["containers"][0] |= privileged
        return guarded.asked("create", bad, "--dry-run=server")

    eventually(lambda: not created("shop")[0] and created("bar")[0], "the API server to ask as it says")
    ok, said = created("bar")
    assert ok
    assert "privileged-container" in said
    assert said.count("privileged-container") == 1, "asked about once"
    assert "runs privileged" in created("shop")[1]

    # Somebody else in a binding of the system's, where one of its own subjects is missing.
    basic = guarded.get("clusterrolebinding", "system:basic-user")
    basic["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]
    assert guarded.asked("replace", basic)[0]
    guarded.end()
    assert created("bar")[0]
    ok, said = created("shop")
    assert not ok
    assert "failed calling webhook" in said
    assert not guarded.asked("create", binding("late"), "--dry-run=server")[0]

    # What the API server writes when it starts gets past a webhook that is away.
    born_with = written_at_start(cluster)
    assert len(born_with) > 100
    kinds = "clusterroles,clusterrolebindings,roles,rolebindings"
    spared = "metadata.name!=system:basic-user"
    cluster.kubectl("delete", kinds, "-A", "-l=kubernetes.io/bootstrapping", f"--field-selector={spared}")
    cluster.kubectl("delete", "service", "kubernetes", "-ndefault")
    cluster.stop_apiserver()
    cluster.start_apiserver()
    eventually(lambda: written_at_start(cluster) == born_with, "the API server to write its roles", seconds=30)
    who = guarded.get("clusterrolebinding", "system:basic-user")["subjects"]
    assert sorted(one["name"] for one in who) == ["jane", "system:authenticated"]
    eventually(
        lambda: cluster.kubectl("get", "service", "kubernetes", check=False).returncode == 0, "its Service", seconds=30
    )
    assert not created("shop")[0]
