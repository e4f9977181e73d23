"""A denied request ends as a finding, is counted once, and is kept when its namespace goes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from devcluster.ports import free_port
from tests.cluster.installing import install

MANIFESTS = Path(__file__).parents[2] / "manifests"
Json = dict[str, Any]
Eventually = Callable[..., None]


class Installed:
    """A control plane with the manifests' rights, the operator and the webhook, each as its own ServiceAccount."""

    def __init__(self, cluster: ControlPlane, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.port = free_port()
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        self.log = folder / "operator.log"
        self.account = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator")
        url = f"https://127.0.0.1:{self.port}"
        self.webhook = LocalWebhook(cluster, folder / "webhook", certificates=self.certificates, attempts_url=url)
        self.operators: list[subprocess.Popen[bytes]] = []

    def start_operator(self) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "iocaudit.cli", "operator", f"--kubeconfig={self.account}"),
            *("--health-host=127.0.0.1", "--health-port=0", "--metrics-host=127.0.0.1", "--metrics-port=0"),
            *("--attempts-host=127.0.0.1", f"--attempts-port={self.port}", f"--webhook-url={self.webhook.url}"),
            f"--certificate-folder={self.certificates}",
        ]
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=MANIFESTS.parent,
                env={**os.environ, "POD_NAMESPACE": "iocaudit"},
            )
        self.operators.append(process)
        return process

    def close(self) -> None:
        for process in self.operators:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
        self.webhook.close()

    def apply(self, body: Json, *arguments: str) -> bool:
        """Whether the API server took it."""
        return self.cluster.kubectl("apply", "-f", "-", *arguments, input=json.dumps(body), check=False).returncode == 0

    def denied(self, name: str, namespace: str = "shop", times: int = 1, *arguments: str) -> None:
        for _ in range(times):
            assert not self.apply(pod(name, namespace), *arguments)

    def attempts(self, kind: str = "iocfindings") -> dict[str, Json]:
        """The denied attempts by target."""
        found = json.loads(self.cluster.kubectl("get", kind, "-A", "-o", "json").stdout)["items"]
        return {f["finding"]["target"]: f for f in found if f["finding"]["type"] == "denied-attempt"}

    def counted(self, target: str, kind: str = "iocfindings") -> int:
        found = self.attempts(kind).get(target)
        return int(found["finding"]["count"]) if found else 0


def pod(name: str, namespace: str = "shop") -> Json:
    container = {"name": "app", "image": "hooli.com/shop/web:1.4", "securityContext": {"privileged": True}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container]},
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with ControlPlane() as cluster:
        install(cluster)
        cluster.kubectl("create", "namespace", "shop")
        found = Installed(cluster, tmp_path_factory.mktemp("attempts"))
        try:
            found.start_operator()
            found.webhook.start()
            yield found
        finally:
            found.close()


@pytest.fixture(autouse=True)
def registered(installed: Installed, eventually: Eventually) -> None:
    eventually(
        lambda: not installed.apply(pod("probe"), "--dry-run=server"), "the API server to call the webhook", seconds=60
    )


def test_a_denied_request_is_a_finding_within_seconds_and_counts_up(
    installed: Installed, eventually: Eventually
) -> None:
    installed.denied("miner")
    eventually(lambda: installed.counted("Pod/miner") == 1, "the finding of the denied pod", seconds=15)
    body = installed.attempts()["Pod/miner"]
    finding = body["finding"]
    assert body["metadata"]["namespace"] == "shop"
    assert (finding["state"], finding["check"], finding["severity"]) == ("Denied", "privileged-container", "critical")
    assert finding["user"]
    assert finding["message"].startswith(f"{finding['user']} was denied once: Pod shop/miner")
    installed.denied("miner", "shop", 3)
    eventually(lambda: installed.counted("Pod/miner") == 4, "three more to be counted", seconds=15)
    assert len(installed.attempts()) == 1
    # What people see; and a dry run, though denied, is nothing that happened.
    lines = installed.cluster.kubectl("get", "iocfindings", "-n", "shop").stdout.splitlines()
    (line,) = [line for line in lines if "Pod/miner" in line]
    assert " Denied " in line
    installed.denied("rehearsal", "shop", 1, "--dry-run=server")
    installed.denied("marker")
    eventually(lambda: installed.counted("Pod/marker") == 1, "a later one to be counted", seconds=15)
    assert "Pod/rehearsal" not in installed.attempts()
    assert "Pod/probe" not in installed.attempts()


def test_a_cluster_scoped_one_is_a_cluster_finding_and_reports_count_neither(
    installed: Installed, eventually: Eventually
) -> None:
    made = installed.cluster.kubectl(
        "create", "clusterrolebinding", "ops", "--clusterrole=cluster-admin", "--user=alice", check=False
    )
    assert made.returncode != 0
    eventually(
        lambda: installed.counted("ClusterRoleBinding/ops", "clusteriocfindings") == 1,
        "the binding's finding",
        seconds=15,
    )
    eventually(
        lambda: '"items": []' not in installed.cluster.kubectl("get", "auditreports", "-A", "-o", "json").stdout,
        "a report",
        seconds=30,
    )
    reports = json.loads(installed.cluster.kubectl("get", "auditreports", "-n", "shop", "-o", "json").stdout)["items"]
    assert all("privileged-container" not in report["report"]["checks"] for report in reports)


def test_a_killed_leader_loses_and_doubles_nothing_and_the_standby_takes_over(
    installed: Installed, eventually: Eventually
) -> None:
    (first,) = installed.operators
    # On the same port, which works because a standby does not listen.
    standby = installed.start_operator()
    names = [f"burst-{n}" for n in range(8)]
    for name in names:
        installed.denied(name)
    # In the middle of writing, and then while there is nobody to post to.
    eventually(lambda: installed.counted("Pod/burst-0") == 1, "the first of them", seconds=15)
    assert standby.poll() is None
    assert "cannot be received" not in installed.log.read_text()
    first.kill()
    first.wait(10)
    for name in names:
        installed.denied(name, "shop", 2)
    eventually(
        lambda: all(installed.counted(f"Pod/{name}") == 3 for name in names),
        "all of them, by the next leader",
        seconds=60,
    )
    installed.denied("after")
    eventually(lambda: installed.counted("Pod/after") == 1, "a later one", seconds=15)
    assert {name: installed.counted(f"Pod/{name}") for name in names} == dict.fromkeys(names, 3)


def test_evidence_is_kept_when_its_namespace_is_deleted(installed: Installed, eventually: Eventually) -> None:
    installed.cluster.kubectl("create", "namespace", "doomed")
    installed.denied("thief", "doomed", 2)
    eventually(lambda: installed.counted("Pod/thief") == 2, "the finding", seconds=15)
    # The operator sees the deletion by its watch, which begins after its first sweep.
    eventually(lambda: '"swept"' in installed.log.read_text(), "the first sweep", seconds=30)
    installed.cluster.kubectl("delete", "namespace", "doomed", "--wait=true")
    eventually(
        lambda: installed.counted("Pod/doomed/thief", "clusteriocfindings") == 2,
        "the copy in cluster scope",
        seconds=15,
    )
    copy = installed.attempts("clusteriocfindings")["Pod/doomed/thief"]["finding"]
    assert (copy["subject"]["namespace"], copy["state"]) == ("doomed", "Denied")
    # One of that name that comes later starts anew, beside it.
    installed.cluster.kubectl("create", "namespace", "doomed")
    installed.denied("thief", "doomed")
    eventually(lambda: installed.counted("Pod/thief") == 1, "the new namespace's finding", seconds=15)
    assert installed.counted("Pod/doomed/thief", "clusteriocfindings") == 2


def test_the_last_denials_are_posted_when_the_webhook_drains(installed: Installed, eventually: Eventually) -> None:
    installed.denied("farewell")
    installed.webhook.stop(20.0)
    try:
        eventually(lambda: installed.counted("Pod/farewell") == 1, "the last one", seconds=15)
        assert "denied attempts not sent to the operator" not in installed.webhook.log.read_text()
    finally:
        installed.webhook.start()
