"""What goes wrong around webhook and operator, and what may not follow from it.

No posture finding is lost or doubled, and nothing is admitted that should be denied.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ExpiredError
from iocaudit.controller.policies import Policies
from iocaudit.controller.publisher import Publisher
from iocaudit.controller.sweep import ClusterAuditor
from iocaudit.core.kinds import POD, kind_of
from iocaudit.engine.catalogue import builtin_catalogue
from tests.cluster.custom_kinds import crd_of
from tests.cluster.installing import install, install_crds
from tests.cluster.processes import (
    START,
    START_WITH_WEBHOOK,
    WEBHOOK,
    Eventually,
    Json,
    apply,
    items,
    kept_running,
    metric,
    operator,
    pod,
    program,
    settled,
    states,
    versions,
)

CATALOGUE = builtin_catalogue()
AWAY = 60.0
"""Seconds for which the API server is away."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own: the API server is stopped, and etcd compacts all the time."""
    # Lists in pages come from etcd, not from what the server has in memory: only those can expire.
    flags = ["--etcd-compaction-interval=2s", "--feature-gates=ListFromCacheSnapshot=false"]
    with ControlPlane(apiserver_args=flags) as control_plane:
        install_crds(control_plane)
        control_plane.kubectl("create", "namespace", "iocaudit")
        yield control_plane


@pytest.fixture
def namespace(cluster: ControlPlane, request: pytest.FixtureRequest, eventually: Eventually) -> Iterator[str]:
    name = request.node.name.replace("_", "-")[:60].strip("-")
    cluster.kubectl("create", "namespace", name)
    eventually(
        lambda: cluster.kubectl("get", "sa", "default", f"-n{name}", check=False).returncode == 0,
        "ServiceAccount",
        seconds=60,
    )
    yield name
    cluster.kubectl("delete", "validatingwebhookconfiguration", "iocaudit", "--ignore-not-found")
    cluster.kubectl("delete", "pods", "--all", f"-n{name}", "--grace-period=0", "--force")
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def privileged(namespace: str, name: str) -> Json:
    body = pod(namespace, name)
    body["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    return body


def create(cluster: ControlPlane, body: Json) -> tuple[bool, str]:
    answer = cluster.kubectl("create", "-f", "-", input=json.dumps(body), check=False)
    return answer.returncode == 0, answer.stderr


def turned_away(cluster: ControlPlane, body: Json) -> bool:
    """Whether it would be denied; nothing is stored."""
    answer = cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(body), check=False)
    return "denied the request" in answer.stderr


def findings(cluster: ControlPlane, namespace: str) -> dict[tuple[str, str], Json]:
    """By check and target; fails where two findings say the same."""
    found = items(cluster, "iocfindings", f"-n{namespace}")
    counts = Counter((one["finding"]["check"], one["finding"]["target"]) for one in found)
    assert [key for key, count in counts.items() if count > 1] == []
    return {(one["finding"]["check"], one["finding"]["target"]): one for one in found}


def delete(cluster: ControlPlane, namespace: str, name: str) -> None:
    cluster.kubectl("delete", "pod", name, f"-n{namespace}", "--grace-period=0", "--force")


def test_a_policy_that_becomes_invalid_keeps_its_last_good_state(
    cluster: ControlPlane, namespace: str, eventually: Eventually, tmp_path: Path
) -> None:
    def policy(trusted: object) -> Json:
        checks = [{"ids": ["untrusted-registry"], "mode": "deny", "parameters": {"trusted": trusted}}]
        return {
            "apiVersion": "iocaudit.io/v1alpha1",
            "kind": "AuditPolicy",
            "metadata": {"name": "registries"},
            "spec": {"match": {"namespaces": [namespace]}, "checks": checks},
        }

    def evil(name: str) -> Json:
        body = pod(namespace, name)
        body["spec"]["containers"][0]["image"] = "hooli.com.evil.io/web:1"
        return body

    def accepted() -> tuple[str, str]:
        raw = json.loads(cluster.kubectl("get", "auditpolicy", "registries", "-o", "json").stdout)
        found = [c for c in raw.get("status", {}).get("conditions", []) if c["type"] == "Accepted"]
        return (found[0]["status"], found[0]["message"]) if found else ("", "")

    apply(cluster, evil("from-before"))
    apply(cluster, policy(["hooli.com/"]))
    url, folder = f"https://127.0.0.1:{free_port()}", tmp_path / "certificates"
    figures, theirs = free_port(), free_port()
    with (
        program(START_WITH_WEBHOOK, tmp_path / "operator.log", cluster.kubeconfig, url, folder, figures),
        program(WEBHOOK, tmp_path / "webhook.log", cluster.kubeconfig, url, folder, theirs) as webhook,
    ):
        eventually(lambda: turned_away(cluster, evil("probe")), "the policy to be in force", seconds=60)
        eventually(
            lambda: states(cluster, namespace, "untrusted-registry").get("Pod/from-before") == "Open", "the finding"
        )
        eventually(lambda: accepted()[0] == "True", "the policy's status")
        assert metric(figures, "iocaudit_operator_policies_refused") == 0
        # The schema cannot know what each check's parameters are: the webhook refuses what it sees. While it does not
        # answer, or before a parameter changed, such a policy is stored all the same.
        ok, said = create(cluster, policy(3))
        assert not ok
        assert "spec.checks[0].parameters.trusted" in said
        webhook.send_signal(signal.SIGSTOP)
        try:
            cluster.kubectl("replace", "-f", "-", input=json.dumps(policy(3)))
        finally:
            webhook.send_signal(signal.SIGCONT)
        eventually(lambda: accepted()[0] == "False", "the status to say that it is unusable", seconds=20)
        assert "its last good state stays in force" in accepted()[1]
        assert "spec.checks[0].parameters.trusted" in accepted()[1]
        eventually(lambda: metric(figures, "iocaudit_operator_policies_refused") == 1, "the operator's metric")
        eventually(lambda: metric(theirs, 'iocaudit_policies{state="invalid"}') == 1, "the webhook's metric")
        ok, said = create(cluster, evil("later"))
        assert not ok
        assert "untrusted-registry" in said
        time.sleep(3.0)
        assert states(cluster, namespace, "untrusted-registry") == {"Pod/from-before": "Open"}
        # Mended, it is what it says now.
        apply(cluster, policy(["hooli.com/", "hooli.com.evil.io/"]))
        eventually(lambda: accepted()[0] == "True", "the status to be good again", seconds=20)
        eventually(lambda: create(cluster, evil("now-fine"))[0], "the mended policy to be in force", seconds=20)
        eventually(
            lambda: states(cluster, namespace, "untrusted-registry").get("Pod/from-before") == "Resolved",
            "the finding to follow the policy",
            seconds=20,
        )
        eventually(lambda: metric(figures, "iocaudit_operator_policies_refused") == 0, "the metric to be good again")
    cluster.kubectl("delete", "auditpolicy", "registries")


def test_a_leader_that_was_paused_writes_nothing_more(
    cluster: ControlPlane, namespace: str, eventually: Eventually, tmp_path: Path
) -> None:
    """It wakes up in the middle of what it did, while another has long taken over."""
    apply(cluster, pod(namespace, "spy", hostPID=True))

    def holder() -> str:
        found = cluster.kubectl("get", "lease", "iocaudit-operator", "-niocaudit", "-o", "json", check=False)
        return str(json.loads(found.stdout)["spec"]["holderIdentity"]) if found.returncode == 0 else ""

    with program(START, tmp_path / "one.log", cluster.kubeconfig, 0.5) as one:
        eventually(lambda: states(cluster, namespace, "host-pid") == {"Pod/spy": "Open"}, "the finding", seconds=60)
        os.kill(one.pid, signal.SIGSTOP)
        with program(START, tmp_path / "two.log", cluster.kubeconfig, 0.5) as two:
            eventually(lambda: holder().endswith(f"-{two.pid}"), "the other to take over", seconds=30)
            delete(cluster, namespace, "spy")
            eventually(
                lambda: states(cluster, namespace, "host-pid") == {"Pod/spy": "Resolved"},
                "the other's work",
                seconds=30,
            )
            before = settled(cluster)
            os.kill(one.pid, signal.SIGCONT)
            eventually(lambda: one.poll() is not None, "the first to exit", seconds=30)
            assert one.returncode != 0
            assert holder().endswith(f"-{two.pid}")
            assert versions(cluster) == before
            assert two.poll() is None


def test_told_to_end_it_hands_the_lease_back_and_is_gone(
    cluster: ControlPlane, namespace: str, eventually: Eventually, tmp_path: Path
) -> None:
    apply(cluster, pod(namespace, "spy", hostPID=True))
    log = tmp_path / "operator.log"
    with operator(cluster, log) as process:
        eventually(lambda: log.exists() and '"swept"' in log.read_text(), "a sweep", seconds=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    lease = json.loads(cluster.kubectl("get", "lease", "iocaudit-operator", "-niocaudit", "-o", "json").stdout)
    assert lease["spec"].get("holderIdentity", "") == ""


def test_deletions_while_nobody_watched(
    cluster: ControlPlane, namespace: str, eventually: Eventually, tmp_path: Path
) -> None:
    apply(cluster, pod(namespace, "stays", hostPID=True), pod(namespace, "goes", hostPID=True))
    log = tmp_path / "operator.log"
    with operator(cluster, log) as process:
        eventually(lambda: log.exists() and '"swept"' in log.read_text(), "a whole sweep", seconds=60)
        assert len(states(cluster, namespace, "host-pid")) == 2
        process.kill()
        process.wait(5)
    before = findings(cluster, namespace)
    delete(cluster, namespace, "goes")
    with operator(cluster, tmp_path / "operator.log"):
        eventually(
            lambda: states(cluster, namespace, "host-pid") == {"Pod/stays": "Open", "Pod/goes": "Resolved"},
            "the next leader to see what is gone",
            seconds=60,
        )
    after = findings(cluster, namespace)
    assert after.keys() == before.keys()
    key = ("host-pid", "Pod/stays")
    assert after[key]["metadata"]["resourceVersion"] == before[key]["metadata"]["resourceVersion"]


def test_etcd_compacts_while_a_list_is_read(
    cluster: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"spy-{number:02}" for number in range(12)]
    apply(cluster, *(pod(namespace, name, hostPID=True) for name in names))
    client = Client.connect(cluster.kubeconfig)
    expired: list[str] = []
    pages = client.pages
    slow = iter([True])

    def small_pages(kind: Any, **options: Any) -> Any:
        try:
            for page in pages(kind, **{**options, "limit": 5}):
                yield page
                if kind is POD and page.remaining and next(slow, False):
                    # Long enough, and with writes enough, for the version of the list to be compacted away.
                    for number in range(8):
                        cluster.kubectl("label", "namespace", namespace, f"round={number}", "--overwrite")
                        time.sleep(1.0)
        except ExpiredError as error:
            expired.append(str(error))
            raise

    monkeypatch.setattr(client, "pages", small_pages)
    swept = ClusterAuditor(client, CATALOGUE, Publisher(client, CATALOGUE), Policies(CATALOGUE))
    swept.sweep()
    assert expired, "nothing was compacted: this tests nothing"
    assert swept.missed == {}
    assert states(cluster, namespace, "host-pid") == {f"Pod/{name}": "Open" for name in names}
    before = findings(cluster, namespace)
    swept.sweep()
    assert findings(cluster, namespace) == before


def test_a_kind_that_may_not_be_read_and_one_that_is_installed_later(
    cluster: ControlPlane, namespace: str, eventually: Eventually, tmp_path: Path
) -> None:
    """Both are turned away by kopf in a way that ends all of its watches; the others must go on."""
    install(cluster)
    role = json.loads(cluster.kubectl("get", "clusterrole", "iocaudit-operator", "-o", "json").stdout)
    fewer = [rule for rule in role["rules"] if rule["apiGroups"] != ["apps"]]
    assert len(fewer) < len(role["rules"])
    patch = [{"op": "replace", "path": "/rules", "value": fewer}]
    cluster.kubectl("patch", "clusterrole", "iocaudit-operator", "--type=json", "-p", json.dumps(patch))
    account = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator")
    rollout = kind_of("argoproj.io", "Rollout")
    assert rollout is not None
    log = tmp_path / "operator.log"
    with program(START, log, account, 3.0):
        apply(cluster, pod(namespace, "warm-up", hostIPC=True))
        eventually(lambda: "Pod/warm-up" in states(cluster, namespace, "host-ipc"), "the watches to begin", seconds=60)
        time.sleep(3.0)
        apply(cluster, pod(namespace, "spy", hostPID=True))
        eventually(lambda: "Pod/spy" in states(cluster, namespace, "host-pid"), "the new pod's finding", seconds=5)
        assert "the watches ended" not in log.read_text()
        reasons = items(cluster, "clusterauditreports")[0]["report"]["coverage"]["reasons"]
        assert any("cannot list deployments" in reason["reason"] for reason in reasons)

        apply(cluster, crd_of(rollout, ()))
        cluster.kubectl("wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout=20s")
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod(namespace, "x", hostPID=True)["spec"]}
        body = {
            "apiVersion": rollout.api_version,
            "kind": rollout.name,
            "metadata": {"name": "late", "namespace": namespace},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
        }
        apply(cluster, body)
        eventually(
            lambda: states(cluster, namespace, "host-pid").get("Rollout/late") == "Open", "its finding", seconds=10
        )
        # Granted meanwhile: the next sweep sees it, and the watches begin anew with it.
        patch = [{"op": "replace", "path": "/rules", "value": role["rules"]}]
        cluster.kubectl("patch", "clusterrole", "iocaudit-operator", "--type=json", "-p", json.dumps(patch))
        eventually(
            lambda: (
                not any(
                    "cannot list" in reason["reason"]
                    for reason in items(cluster, "clusterauditreports")[0]["report"]["coverage"]["reasons"]
                )
            ),
            "the kinds to be read",
            seconds=30,
        )
        cluster.kubectl("delete", "crd", "rollouts.argoproj.io")
        eventually(
            lambda: states(cluster, namespace, "host-pid").get("Rollout/late") == "Resolved",
            "its finding to be resolved with its kind",
            seconds=30,
        )
        apply(cluster, pod(namespace, "another", hostPID=True))
        eventually(lambda: "Pod/another" in states(cluster, namespace, "host-pid"), "watches that go on", seconds=10)


def test_the_api_server_is_away_for_a_minute(
    cluster: ControlPlane, namespace: str, eventually: Eventually, tmp_path: Path
) -> None:
    """The operator exits, as it cannot know that it still leads; whoever supervises it starts it again."""
    apply(cluster, *(pod(namespace, name, hostPID=True) for name in ("stays", "goes", "heals")))
    url, folder = f"https://127.0.0.1:{free_port()}", tmp_path / "certificates"
    admitted: list[str] = []
    refused: list[str] = []
    done = threading.Event()

    def attack() -> None:
        """Tries without a pause to bring in what is denied: the first moment of the server's return counts."""
        number = 0
        while not done.is_set():
            number += 1
            ok, said = create(cluster, privileged(namespace, f"attack-{number}"))
            (admitted if ok else refused).append(said)
            time.sleep(0.05)

    with (
        kept_running(START_WITH_WEBHOOK, tmp_path / "operator.log", cluster.kubeconfig, url, folder) as pids,
        program(WEBHOOK, tmp_path / "webhook.log", cluster.kubeconfig, url, folder),
    ):
        eventually(
            lambda: set(states(cluster, namespace, "host-pid")) == {"Pod/stays", "Pod/goes", "Pod/heals"},
            "the findings from before",
            seconds=60,
        )
        eventually(lambda: turned_away(cluster, privileged(namespace, "probe")), "the webhook to be called", seconds=60)
        time.sleep(2.0)
        before = findings(cluster, namespace)
        thread = threading.Thread(target=attack, daemon=True)
        thread.start()
        time.sleep(1.0)
        cluster.stop_apiserver(grace=0.0)
        time.sleep(AWAY)
        first = len(pids)
        assert first > 1, "the operator was meant to exit without its Lease"
        cluster.start_apiserver()
        delete(cluster, namespace, "goes")
        delete(cluster, namespace, "heals")
        apply(cluster, pod(namespace, "heals"), pod(namespace, "comes", hostIPC=True))
        eventually(
            lambda: (
                states(cluster, namespace, "host-pid")
                == {"Pod/stays": "Open", "Pod/goes": "Resolved", "Pod/heals": "Resolved"}
                and states(cluster, namespace, "host-ipc") == {"Pod/comes": "Open"}
            ),
            "the findings to follow what changed",
            seconds=90,
        )
        done.set()
        thread.join(30)
    assert admitted == []
    assert any("runs privileged" in said for said in refused[-5:])
    after = findings(cluster, namespace)
    assert {key for key in after if key not in before and key[1] != "Pod/comes"} == set()
    for key, one in before.items():
        assert after[key]["metadata"]["uid"] == one["metadata"]["uid"], "lost and made anew"
        if key[1] == "Pod/stays":
            assert after[key]["metadata"]["resourceVersion"] == one["metadata"]["resourceVersion"]
