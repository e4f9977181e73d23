"""Install, the webhook away, removal: what stands in nobody's way, what does, and what is left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from tests.cluster.installing import configurations, install, registered, remove, tried
from tests.cluster.processes import (
    START_WITH_WEBHOOK,
    Eventually,
    apply,
    binding,
    deployment,
    items,
    pod,
    program,
    states,
)

AWAY = 'failed calling webhook "deny.iocaudit.io"'


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own: what is registered here concerns everybody."""
    with ControlPlane() as control_plane:
        yield control_plane


@pytest.fixture
def installed(cluster: ControlPlane) -> Iterator[ControlPlane]:
    """Our manifests applied, on a cluster without a kubelet: no image of ours ever becomes ready."""
    install(cluster)
    if cluster.kubectl("get", "namespace", "shop", check=False).returncode != 0:
        cluster.kubectl("create", "namespace", "shop")
    yield cluster
    cluster.kubectl("delete", "validatingwebhookconfiguration", "iocaudit", "--ignore-not-found")
    remove(cluster)
    cluster.kubectl("delete", "pods,deployments", "--all", "-nshop", "--grace-period=0", "--force")


def ours(cluster: ControlPlane) -> list[str]:
    """Everything of ours that is cluster-scoped or a namespace, by kind and name."""
    kinds = (
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "clusterroles",
        "clusterrolebindings",
        "customresourcedefinitions",
        "namespaces",
        "priorityclasses",
        "apiservices",
    )
    names = cluster.kubectl("get", ",".join(kinds), "-o", "name").stdout.split()
    return [name for name in names if "iocaudit" in name]


def test_an_image_that_never_becomes_ready_stands_in_nobodys_way(
    installed: ControlPlane, eventually: Eventually, tmp_path: Path
) -> None:
    def wanted() -> bool:
        return all(d["status"].get("unavailableReplicas", 0) > 0 for d in items(installed, "deployments", "-niocaudit"))

    eventually(wanted, "our Deployments to ask for pods", seconds=30)
    assert configurations(installed) == []
    # Also with an operator that runs, and a webhook that never answers.
    account = installed.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator")
    log = tmp_path / "operator.log"
    url = f"https://127.0.0.1:{free_port()}"
    with program(START_WITH_WEBHOOK, log, account, url, tmp_path / "certificates"):
        eventually(
            lambda: log.exists() and "does not answer yet" in log.read_text(), "a look at the webhook", seconds=30
        )
        bad = pod("shop", "unrelated", hostNetwork=True)
        bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}
        apply(installed, bad, deployment("shop", privileged=True), binding("unrelated"))
        installed.kubectl("delete", "clusterrolebinding", "unrelated")
        assert configurations(installed) == []
    assert [d["metadata"]["name"] for d in items(installed, "deployments", "-nshop")] == ["web"]


def test_a_webhook_that_goes_away_stops_what_is_documented_and_no_more(
    installed: ControlPlane, eventually: Eventually, tmp_path: Path
) -> None:
    apply(installed, pod("shop", "old"), deployment("shop", privileged=False, replicas=0))
    with registered(installed, tmp_path, eventually):
        pass
    # Stopped: what a check that denies looks at, outside the system namespaces and our own.
    assert AWAY in tried(installed, pod("shop", "new"))
    assert AWAY in tried(
        installed, {**deployment("shop", privileged=False), "metadata": {"name": "x", "namespace": "shop"}}
    )
    assert AWAY in tried(installed, binding("new"))
    scaled = installed.kubectl("scale", "deployment/web", "-nshop", "--replicas=1")
    assert scaled.returncode == 0, "the scale subresource is not registered"
    time.sleep(2.0)
    # But what the controller makes of it is a change of the ReplicaSet, which is.
    assert [p for p in items(installed, "pods", "-nshop") if p["metadata"]["name"].startswith("web-")] == []
    assert installed.kubectl("exec", "-nshop", "old", "--", "true", check=False).stderr.count("iocaudit") == 0
    # Possible: everything no check denies on, deletions, the system namespaces, our own, and ending it by hand.
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}}
    assert tried(installed, config_map) == ""
    assert tried(installed, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}}) == ""
    assert tried(installed, pod("kube-system", "plugin", hostNetwork=True)) == ""
    installed.kubectl("delete", "pod", "old", "-nshop", "--grace-period=0", "--force")
    installed.kubectl("delete", "pod", "plugin", "-nkube-system", "--grace-period=0", "--force")
    installed.kubectl("delete", "namespace", "fresh", "--wait=false")
    # Our own Deployment recovers: its pods are made anew, and it can be changed.
    before = {p["metadata"]["uid"] for p in items(installed, "pods", "-niocaudit")}
    installed.kubectl("rollout", "restart", "deployment/iocaudit-admission", "-niocaudit")
    eventually(
        lambda: bool({p["metadata"]["uid"] for p in items(installed, "pods", "-niocaudit")} - before),
        "a new pod of the webhook's Deployment",
        seconds=30,
    )
    installed.kubectl("delete", "validatingwebhookconfiguration", "iocaudit")
    eventually(lambda: tried(installed, pod("shop", "new")) == "", "pods to be created again", seconds=20)
    eventually(
        lambda: any(p["metadata"]["name"].startswith("web-") for p in items(installed, "pods", "-nshop")),
        "the controller to try again",
        seconds=60,
    )


def test_removal_leaves_nothing_behind_though_the_operator_is_dead(
    installed: ControlPlane, eventually: Eventually, tmp_path: Path
) -> None:
    apply(installed, binding("mallory"))
    with registered(installed, tmp_path, eventually):
        eventually(
            lambda: "ClusterRoleBinding/mallory" in states(installed, None, "cluster-admin-binding"), "a finding"
        )
    assert len(configurations(installed)) == 1
    remove(installed)
    eventually(lambda: ours(installed) == [], "all that is ours to be gone", seconds=60)
    apply(installed, pod("shop", "after"))
    installed.kubectl("delete", "clusterrolebinding", "mallory")


def test_removal_leaves_nothing_behind_while_the_operator_runs(
    installed: ControlPlane, eventually: Eventually, tmp_path: Path
) -> None:
    """It runs as the administrator here: nothing but its own restraint keeps it from writing again."""
    with registered(installed, tmp_path, eventually, account=None):
        remove(installed)
        eventually(lambda: configurations(installed) == [], "the webhook configuration to go", seconds=60)
        for _ in range(10):
            assert configurations(installed) == []
            time.sleep(0.5)
        eventually(lambda: ours(installed) == [], "all that is ours to be gone", seconds=60)
        assert "being removed" in (tmp_path / "operator.log").read_text()
    assert ours(installed) == []
