"""The operator as a process of its own on a real control plane."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from tests.cluster.installing import install, install_crds
from tests.cluster.processes import (
    START_WITH_WEBHOOK,
    WEBHOOK,
    Eventually,
    Json,
    apply,
    binding,
    deployment,
    items,
    operator,
    pod,
    program,
    settled,
    states,
    versions,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own: what the operator finds is counted, and other tests make bad objects."""
    with ControlPlane() as control_plane:
        install_crds(control_plane)
        control_plane.kubectl("create", "namespace", "iocaudit")
        yield control_plane


def test_from_before_the_start_to_resolved(cluster: ControlPlane, eventually: Eventually, tmp_path: Path) -> None:
    cluster.kubectl("create", "namespace", "shop")
    eventually(lambda: cluster.kubectl("get", "sa", "default", "-nshop", check=False).returncode == 0, "ServiceAccount")
    apply(cluster, deployment("shop", privileged=True, replicas=2), binding("mallory-rules"))
    eventually(lambda: len(items(cluster, "pods", "-nshop")) == 2, "two pods of the Deployment")
    log = tmp_path / "operator.log"
    with operator(cluster, log) as process:
        # What was there before is found by the first sweep, the pods folded into their Deployment.
        eventually(
            lambda: states(cluster, "shop", "privileged-container") == {"Deployment/web": "Open"},
            "the finding on the Deployment",
            seconds=30,
        )
        eventually(lambda: len(items(cluster, "clusterauditreports")) == 1, "the cluster's report")
        admin = states(cluster, None, "cluster-admin-binding")
        assert admin["ClusterRoleBinding/mallory-rules"] == "Open"
        report = items(cluster, "auditreports", "-nshop")[0]["report"]
        assert report["severities"]["critical"] == 1
        assert report["worst"][0]["target"] == "Deployment/web"
        assert report["coverage"]["faults"] == 0
        assert {"iocs", "checks", "lastSweep", "policies"} <= report.keys()
        head, line = cluster.kubectl("get", "auditreports", "-nshop").stdout.splitlines()
        columns = dict(zip(head.split(), line.split(), strict=True))
        assert columns["CRITICAL"] == "1"
        assert columns["AUDITED"] == str(report["coverage"]["audited"])
        assert (columns["SKIPPED"], columns["FAULTS"]) == ("0", "0")
        whole = items(cluster, "clusterauditreports")[0]["report"]
        assert whole["severities"]["critical"] >= report["severities"]["critical"] + 1
        assert whole["namespaces"] >= 1
        assert "CRITICAL" in cluster.kubectl("get", "clusterauditreports").stdout.splitlines()[0]

        # A new object shows within five seconds, once the watches run.
        apply(cluster, pod("shop", "warm-up", hostIPC=True))
        eventually(lambda: "Pod/warm-up" in states(cluster, "shop", "host-ipc"), "the watches to begin", seconds=30)
        apply(cluster, pod("shop", "spy", hostPID=True))
        eventually(
            lambda: states(cluster, "shop", "host-pid").get("Pod/spy") == "Open", "the new pod's finding", seconds=5
        )

        # Gone or fixed is Resolved, and stays to be seen.
        cluster.kubectl("delete", "pod", "spy", "-nshop", "--grace-period=0", "--force")
        cluster.kubectl("delete", "clusterrolebinding", "mallory-rules")
        apply(cluster, deployment("shop", privileged=False, replicas=2))
        eventually(
            lambda: states(cluster, "shop", "host-pid").get("Pod/spy") == "Resolved",
            "the pod's to be resolved",
            seconds=5,
        )
        eventually(
            lambda: states(cluster, "shop", "privileged-container")["Deployment/web"] == "Resolved",
            "the Deployment's to be resolved",
            seconds=5,
        )
        eventually(
            lambda: states(cluster, None, "cluster-admin-binding")["ClusterRoleBinding/mallory-rules"] == "Resolved",
            "the binding's to be resolved",
            seconds=5,
        )
        assert process.poll() is None, log.read_text()[-2000:]


def test_nothing_is_written_when_nothing_changed(cluster: ControlPlane, eventually: Eventually, tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    with operator(cluster, log, period=1.0):
        eventually(lambda: log.read_text().count('"swept"') >= 2, "two sweeps", seconds=30)
        before = settled(cluster)
        seen = log.read_text().count('"swept"')
        eventually(lambda: log.read_text().count('"swept"') >= seen + 3, "three more sweeps", seconds=30)
        assert versions(cluster) == before
    with operator(cluster, log, period=1.0):
        seen = log.read_text().count('"swept"')
        eventually(lambda: log.read_text().count('"swept"') >= seen + 1, "the sweep of a restart", seconds=30)
        assert versions(cluster) == before


def test_killed_in_the_middle_of_a_sweep(cluster: ControlPlane, eventually: Eventually, tmp_path: Path) -> None:
    cluster.kubectl("create", "namespace", "crowd")
    eventually(
        lambda: cluster.kubectl("get", "sa", "default", "-ncrowd", check=False).returncode == 0, "ServiceAccount"
    )
    names = [f"spy-{number:03}" for number in range(60)]
    apply(cluster, *(pod("crowd", name, hostPID=True) for name in names))
    log = tmp_path / "operator.log"

    def found() -> int:
        return len(states(cluster, "crowd", "host-pid"))

    with operator(cluster, log) as process:
        eventually(lambda: found() > 0, "the first findings", seconds=30)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(5)
    with operator(cluster, log):
        eventually(lambda: found() == len(names), "all findings", seconds=30)
        time.sleep(1.0)
    again = [f for f in items(cluster, "iocfindings", "-ncrowd") if f["finding"]["check"] == "host-pid"]
    assert sorted(f["finding"]["target"] for f in again) == [f"Pod/{name}" for name in names]
    assert {f["finding"]["state"] for f in again} == {"Open"}


def test_one_leader_and_a_policys_status(cluster: ControlPlane, eventually: Eventually, tmp_path: Path) -> None:
    def holder() -> str:
        found = cluster.kubectl("get", "lease", "iocaudit-operator", "-niocaudit", "-o", "json", check=False)
        return str(json.loads(found.stdout)["spec"]["holderIdentity"]) if found.returncode == 0 else ""

    with operator(cluster, tmp_path / "one.log") as one:
        eventually(lambda: holder().endswith(f"-{one.pid}"), "the first to lead", seconds=30)
        with operator(cluster, tmp_path / "two.log") as two:
            time.sleep(2.0)
            assert holder().endswith(f"-{one.pid}")
            os.kill(one.pid, signal.SIGKILL)
            one.wait(5)
            eventually(lambda: holder().endswith(f"-{two.pid}"), "the second to take over", seconds=20)
            policy = {
                "apiVersion": "iocaudit.io/v1alpha1",
                "kind": "AuditPolicy",
                "metadata": {"name": "odd"},
                "spec": {"checks": [{"ids": ["no-such-check", "untrusted-registry"], "parameters": {"trusted": 3}}]},
            }
            apply(cluster, policy)

            def accepted() -> str:
                raw = json.loads(cluster.kubectl("get", "auditpolicy", "odd", "-o", "json").stdout)
                conditions = {c["type"]: c for c in raw.get("status", {}).get("conditions", [])}
                return str(conditions.get("Accepted", {}).get("status", ""))

            eventually(lambda: accepted() == "False", "the status of an unusable policy", seconds=20)


def test_webhook_is_registered_once_it_answers(eventually: Eventually, tmp_path: Path) -> None:
    with ControlPlane() as cluster:
        install_crds(cluster)
        cluster.kubectl("create", "namespace", "iocaudit")
        folder, log = tmp_path / "certificates", tmp_path / "operator.log"
        url = f"https://127.0.0.1:{free_port()}"

        def configurations() -> list[Json]:
            return items(cluster, "validatingwebhookconfigurations")

        with program(START_WITH_WEBHOOK, log, cluster.kubeconfig, url, folder):
            eventually(lambda: (folder / "tls.key").exists(), "the certificates", seconds=30)
            assert (folder / "tls.key").stat().st_mode & 0o077 == 0
            eventually(lambda: "does not answer yet" in log.read_text(), "the first look at the webhook")
            assert configurations() == []
            # Nothing is registered, so nothing stands in the way of anybody.
            apply(cluster, pod("default", "before", hostPID=True))
            with program(WEBHOOK, tmp_path / "webhook.log", cluster.kubeconfig, url, folder):
                eventually(lambda: len(configurations()) == 1, "the webhook configuration", seconds=30)
                written = configurations()[0]
                assert [w["name"] for w in written["webhooks"]] == [
                    "deny.iocaudit.io",
                    "observe.iocaudit.io",
                    "system.iocaudit.io",
                ]
                bad = pod("default", "bad")
                bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}

                def denied() -> bool:
                    answer = cluster.kubectl("apply", "-f", "-", input=json.dumps(bad), check=False)
                    return "deny.iocaudit.io" in answer.stderr and "runs privileged" in answer.stderr

                eventually(denied, "the API server to take the configuration up")
                time.sleep(6.0)
                assert configurations()[0]["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


def test_manifests_install_and_their_rights_suffice(eventually: Eventually, tmp_path: Path) -> None:
    with ControlPlane() as cluster:
        install(cluster)
        # Pod security, the quota and the priority class let all of our pods in.
        eventually(lambda: len(items(cluster, "pods", "-niocaudit")) == 4, "two pods of each process", seconds=30)
        account = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator")
        apply(cluster, binding("mallory-rules"))
        folder, log = tmp_path / "certificates", tmp_path / "operator.log"
        url = f"https://127.0.0.1:{free_port()}"
        with program(START_WITH_WEBHOOK, log, account, url, folder):
            eventually(lambda: len(items(cluster, "clusterauditreports")) == 1, "the first report", seconds=30)
            assert states(cluster, None, "cluster-admin-binding")["ClusterRoleBinding/mallory-rules"] == "Open"
            coverage = items(cluster, "clusterauditreports")[0]["report"]["coverage"]
            assert (coverage["skipped"], coverage["faults"]) == (0, 0), coverage
            eventually(lambda: (folder / "tls.key").exists(), "the certificates", seconds=10)
            webhook = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-admission")
            with program(WEBHOOK, tmp_path / "webhook.log", webhook, url, folder):
                eventually(
                    lambda: len(items(cluster, "validatingwebhookconfigurations")) == 1, "the webhook", seconds=30
                )
                owner = items(cluster, "validatingwebhookconfigurations")[0]["metadata"]["ownerReferences"][0]
                assert (owner["kind"], owner["name"]) == ("ClusterRole", "iocaudit-operator")
            # Removal takes the configuration along, so that nothing is left in anybody's way.
            cluster.kubectl("delete", "clusterrole", "iocaudit-operator")
            eventually(
                lambda: items(cluster, "validatingwebhookconfigurations") == [], "the garbage collector", seconds=40
            )
        assert "orbidden" not in log.read_text().partition('"swept"')[2].partition("webhook configuration written")[0]


def test_api_server_away(cluster: ControlPlane, eventually: Eventually, tmp_path: Path) -> None:
    """Without the API nobody can know that the Lease is still held: the leader exits, the next goes on."""
    log = tmp_path / "operator.log"
    with operator(cluster, log) as process:
        eventually(lambda: '"swept"' in log.read_text(), "the first sweep", seconds=30)
        before = settled(cluster)
        cluster.stop_apiserver(grace=0.0)
        try:
            eventually(lambda: process.poll() is not None, "the leader to exit", seconds=20)
        finally:
            cluster.start_apiserver()
        assert process.returncode != 0
        assert "could not be renewed in time" in log.read_text()
    with operator(cluster, log):
        seen = log.read_text().count('"swept"')
        eventually(lambda: log.read_text().count('"swept"') > seen, "the sweep of the next leader", seconds=30)
        assert versions(cluster) == before
