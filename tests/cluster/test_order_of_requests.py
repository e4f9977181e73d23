"""Grants and mounts put together in every order, on a real API server with its controllers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from tests.cluster.installing import install_crds
from tests.cluster.processes import Eventually, Json, items, operator
from tests.support.ordered import PODS, READ, SECRETS, aggregate, binding, claim, pod, role, rule, volume

TRUSTED = ("--as=trusted", "--as-group=system:masters")


def letting_trusted(group: str) -> Json:
    """A policy under which one user is let do what the checks of a group would deny."""
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": group},
        "spec": {
            "match": {"clusterScoped": True, "namespaces": ["*"]},
            "checks": [{"groups": [group]}],
            "exemptSubjects": [{"kind": "User", "name": "trusted"}],
        },
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose webhook has seen nothing of what is called ``early``."""
    with ControlPlane() as found:
        install_crds(found)
        for namespace in ("iocaudit", "shop"):
            found.kubectl("create", "namespace", namespace)
        for raw in (volume("early", storageClassName="early"), volume("early-named", storageClassName="none")):
            write(found, raw)
        webhook = LocalWebhook(found, tmp_path_factory.mktemp("webhook"))
        try:
            webhook.start()
            webhook.register()
            refused(found, role("probe", rule("*", "*", "*")))
            yield found
        finally:
            webhook.close()


def ask(cluster: ControlPlane, raw: Json, *arguments: str) -> tuple[bool, str]:
    result = cluster.kubectl("apply", "-f", "-", *arguments, input=json.dumps(raw), check=False)
    return result.returncode == 0, result.stdout + result.stderr


def write(cluster: ControlPlane, raw: Json, *arguments: str) -> None:
    accepted, said = ask(cluster, raw, *arguments)
    assert accepted, said


def refused(cluster: ControlPlane, raw: Json, *arguments: str) -> str:
    """What is said to a write that is denied once the webhook has seen what was before it."""
    until = time.monotonic() + 10
    while True:
        accepted, said = ask(cluster, raw, "--dry-run=server", *arguments)
        if not accepted:
            return said
        if time.monotonic() > until:
            pytest.fail(f"{raw['kind']} {raw['metadata']['name']} is still accepted: {said}")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("name", "rules", "check"),
    [
        ("secrets", SECRETS, "secret-access"),
        ("tokens", rule("create", "serviceaccounts/token"), "token-minting"),
        ("pods", PODS, "workload-creation"),
        ("all", rule("get,list,watch,create,update,patch,delete", "*", "*"), "cluster-admin-binding"),
    ],
)
def test_a_bound_role_is_not_filled(cluster: ControlPlane, name: str, rules: Json, check: str) -> None:
    write(cluster, role(name))
    write(cluster, binding(name, name, "User:mallory"))
    said = refused(cluster, role(name, rules))
    assert f"] {check}: ClusterRole {name}: completes ClusterRoleBinding {name}, which " in said
    write(cluster, role(name, READ))


def test_a_role_is_not_created_for_a_binding_that_waits_for_it(cluster: ControlPlane) -> None:
    write(cluster, binding("waits", "late", "User:mallory"))
    assert "completes ClusterRoleBinding waits" in refused(cluster, role("late", SECRETS))


def test_a_role_that_comes_again_is_a_new_one(cluster: ControlPlane) -> None:
    write(cluster, role("again", SECRETS))
    cluster.kubectl("delete", "clusterrole", "again")
    write(cluster, binding("again", "again", "User:mallory"))
    assert "completes ClusterRoleBinding again" in refused(cluster, role("again", SECRETS))


def test_what_is_aggregated_into_a_bound_role(cluster: ControlPlane) -> None:
    write(cluster, aggregate("whole", "into-whole"))
    write(cluster, aggregate("middle", "into-middle", labels={"into-whole": "true"}))
    write(cluster, binding("whole", "whole", "User:mallory"))
    for label in ("into-whole", "into-middle"):
        assert "completes ClusterRoleBinding whole" in refused(cluster, role("part", SECRETS, labels={label: "true"}))
    write(cluster, role("part", SECRETS))
    result = cluster.kubectl("label", "clusterrole", "part", "into-middle=true", check=False)
    assert result.returncode != 0
    assert "completes ClusterRoleBinding whole" in result.stderr
    write(cluster, role("other", READ, labels={"into-middle": "true"}))
    assert "completes" in refused(cluster, role("other", READ, SECRETS, labels={"into-middle": "true"}))


def test_what_is_aggregated_as_it_lacks_a_label(cluster: ControlPlane) -> None:
    apart = [{"key": key, "operator": "DoesNotExist"} for key in ("kubernetes.io/bootstrapping", "apart")]
    whole = role("bare", aggregationRule={"clusterRoleSelectors": [{"matchExpressions": apart}]})
    for name in ("secrets", "tokens", "pods", "all", "late", "again", "part", "other"):
        cluster.kubectl("delete", "clusterrole", name, "--ignore-not-found")
    write(cluster, whole)
    write(cluster, binding("bare", "bare", "User:mallory"))
    write(cluster, role("apart", SECRETS, labels={"apart": "true"}))
    assert "completes ClusterRoleBinding bare" in refused(cluster, role("new", SECRETS))
    assert "completes ClusterRoleBinding bare" in refused(cluster, role("apart", SECRETS))
    cluster.kubectl("delete", "clusterrolebinding/bare", "clusterrole/bare")


def test_the_empty_name_is_no_limit(cluster: ControlPlane) -> None:
    write(cluster, role("unnamed", rule("list", "secrets", resourceNames=[""])))
    assert "] secret-access: " in refused(cluster, binding("unnamed", "unnamed", "User:mallory"))


def test_what_is_aggregated_into_the_role_of_viewers(cluster: ControlPlane) -> None:
    write(cluster, binding("viewers", "view", "Group:shop-developers"))
    label = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    assert "completes ClusterRoleBinding viewers" in refused(cluster, role("widens", SECRETS, labels=label))
    write(cluster, role("crds", rule("get,create", "things", "example.com"), labels=label))


def test_the_aggregation_controller_fills_what_others_were_let_to(
    cluster: ControlPlane, eventually: Eventually
) -> None:
    write(cluster, letting_trusted("rbac"))
    write(cluster, aggregate("let", "into-let"))
    write(cluster, binding("let", "let", "User:operator"))
    powerful = role(
        "let-part", rule("escalate", "clusterroles", "rbac.authorization.k8s.io"), labels={"into-let": "true"}
    )
    refused(cluster, powerful)
    eventually(lambda: ask(cluster, powerful, "--dry-run=server", *TRUSTED)[0], "the policy to hold")
    write(cluster, powerful, *TRUSTED)

    def filled() -> bool:
        found = json.loads(cluster.kubectl("get", "clusterrole", "let", "-o", "json").stdout)
        return any("escalate" in one["verbs"] for one in found.get("rules") or ())

    eventually(filled, "the aggregation controller to be let")


def test_a_volume_that_comes_after_claim_and_pod(cluster: ControlPlane) -> None:
    write(cluster, claim("last", storageClassName=""))
    write(cluster, pod("last", "last"))
    for kind in ("hostPath", "local"):
        node: dict[str, Any] = {}
        if kind == "local":
            terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["a"]}]}]
            node = {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
        for reserved in ("", "shop/last"):
            said = refused(cluster, volume(f"last-{kind.lower()}", reserved, kind=kind, storageClassName="", **node))
            assert f"host-path-volume: PersistentVolume last-{kind.lower()}: offers host path /etc" in said


def test_a_volume_for_the_system_does_not_become_anothers(cluster: ControlPlane) -> None:
    write(cluster, volume("systems", "kube-system/c", storageClassName=""))
    change = {"spec": {"claimRef": {"namespace": "shop", "name": "c"}}}
    result = cluster.kubectl("patch", "pv", "systems", "--type=merge", "-p", json.dumps(change), check=False)
    assert result.returncode != 0
    assert "host-path-volume" in result.stderr


def test_a_claim_that_takes_a_volume_from_before(cluster: ControlPlane) -> None:
    write(cluster, pod("takes", "takes"))
    for asked in ({"storageClassName": "early"}, {"storageClassName": "none", "volumeName": "early-named"}):
        said = refused(cluster, claim("takes", **asked))
        assert "sensitive-host-path: PersistentVolumeClaim shop/takes: claim takes means PersistentVolume early" in said
    write(cluster, claim("takes", storageClassName="other"))


def test_pods_of_a_template_from_before_the_volume(cluster: ControlPlane, eventually: Eventually) -> None:
    write(cluster, letting_trusted("volumes"))
    template = {"metadata": {"labels": {"app": "grows"}}, "spec": pod("x", "grows")["spec"]}
    grows: Json = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "grows", "namespace": "shop"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "grows"}}, "template": template},
    }
    write(cluster, grows)
    write(cluster, claim("grows", storageClassName=""))

    def made() -> int:
        return len(items(cluster, "pods", "-n", "shop", "-l", "app=grows"))

    eventually(lambda: made() == 1, "the first pod")
    node = volume("grows", "shop/grows", storageClassName="")
    eventually(lambda: ask(cluster, node, "--dry-run=server", *TRUSTED)[0], "the policy to hold")
    write(cluster, node, *TRUSTED)
    refused(cluster, pod("own", "grows"))
    cluster.kubectl("scale", "deployment/grows", "-n", "shop", "--replicas=2")

    def told() -> bool:
        events = items(cluster, "events", "-n", "shop", "--field-selector=reason=FailedCreate")
        return any("sensitive-host-path" in event["message"] for event in events)

    eventually(told, "the ReplicaSet to be told why it makes no more pods")
    assert made() == 1


def test_what_passes_while_the_webhook_has_not_seen_it_is_open_soon(
    cluster: ControlPlane, tmp_path: Path, eventually: Eventually
) -> None:
    names = [f"race-{number}" for number in range(4)]
    with operator(cluster, tmp_path / "operator.log"), ThreadPoolExecutor(8) as pool:
        eventually(lambda: bool(items(cluster, "clusterauditreports")), "the operator to be at work", 60)
        for name in names:
            write(cluster, role(name))
        pairs = [(role(name, SECRETS), binding(name, name, "User:mallory")) for name in names]
        written = [pool.submit(ask, cluster, raw) for pair in pairs for raw in pair]
        accepted = [future.result()[0] for future in written]
        passed = {name for n, name in enumerate(names) if all(accepted[2 * n : 2 * n + 2])}
        eventually(lambda: found_at(cluster).keys() >= passed, f"findings on {sorted(passed)}", 30)
        # Whoever has a role without rules or without a binding is let be, so that of each pair one may pass at least.
        assert all(any(accepted[2 * n : 2 * n + 2]) for n in range(len(names)))
        made = {item["metadata"]["name"]: seconds_of(item) for item in items(cluster, "clusterrolebindings")}
        assert all(found_at(cluster)[name] - made[name] <= 5 for name in passed)


def found_at(cluster: ControlPlane) -> dict[str, float]:
    """When the finding on each ClusterRole that gives Secrets came to tell of its binding, where it is Open."""
    return {
        item["finding"]["subject"]["name"]: datetime.fromisoformat(item["finding"]["lastChanged"]).timestamp()
        for item in items(cluster, "clusteriocfindings")
        if (item["finding"]["check"], item["finding"]["state"]) == ("secret-access", "Open")
        and [one["target"].split("/")[0] for one in item["finding"].get("implies", ())] == ["ClusterRoleBinding"]
    }


def seconds_of(item: Json) -> float:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"]).timestamp()
