"""IocWaivers on a real control plane: operator, webhook and the cluster's own controllers together."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cli.live import scan_cluster
from iocaudit.core.report import finding_name
from iocaudit.core.resource import Ref
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.install.rbac import bindings, cluster_roles, namespaced_roles
from iocaudit.scanning.reading import Scan
from iocaudit.scanning.scan import ScanOptions
from tests.cluster.installing import install_crds
from tests.cluster.processes import START, Eventually, Json, apply, binding, deployment, items, pod, program
from tests.support.running import run

CATALOGUE = builtin_catalogue()
PRIVILEGED: Json = {"name": "app", "image": "hooli.com/shop/web:1.4", "securityContext": {"privileged": True}}

BINDING = ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own: webhooks for all would disturb other tests."""
    with ControlPlane() as control_plane:
        install_crds(control_plane)
        control_plane.kubectl("create", "namespace", "iocaudit")
        control_plane.kubectl("create", "serviceaccount", "iocaudit-operator", "-niocaudit")
        control_plane.kubectl("create", "serviceaccount", "iocaudit-admission", "-niocaudit")
        apply(control_plane, *cluster_roles(CATALOGUE), *bindings("iocaudit"), *namespaced_roles("iocaudit"))
        yield control_plane


@pytest.fixture
def shop(cluster: ControlPlane, eventually: Eventually) -> str:
    """A fresh namespace."""
    name = f"shop-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    eventually(lambda: cluster.kubectl("get", "sa", "default", f"-n{name}", check=False).returncode == 0, "its account")
    return name


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operator") / "operator.log"


@pytest.fixture(scope="module")
def operated(cluster: ControlPlane, log: Path, eventually: Eventually) -> Iterator[ControlPlane]:
    """With an operator that has made its first sweep, by its own rights and no others."""
    with program(START, log, cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator"), 600.0):
        eventually(lambda: '"swept"' in log.read_text(), "the first sweep", seconds=60)
        yield cluster


@pytest.fixture(scope="module")
def webhook(operated: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWebhook]:
    found = LocalWebhook(operated, tmp_path_factory.mktemp("webhook"))
    try:
        found.start()
        yield found
    finally:
        found.unregister()
        found.close()


@pytest.fixture
def guarded(cluster: ControlPlane, webhook: LocalWebhook, shop: str, eventually: Eventually) -> Iterator[str]:
    """A fresh namespace behind the webhook."""
    webhook.register()
    probe = pod(shop, "probe", containers=[PRIVILEGED])
    eventually(lambda: not create(cluster, probe, "--dry-run=server")[0], "the webhook to be called")
    yield shop
    webhook.unregister()


def create(cluster: ControlPlane, body: Json, *arguments: str) -> tuple[bool, str]:
    result = cluster.kubectl("create", "-f", "-", *arguments, input=json.dumps(body), check=False)
    return result.returncode == 0, result.stdout + result.stderr


def end(cluster: ControlPlane, body: Json) -> None:
    """Bring the end of a waiver forward, and wait for it."""
    ends = datetime.now(UTC) + timedelta(seconds=4)
    patch = json.dumps({"spec": {"expires": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}})
    cluster.kubectl("patch", "iocwaiver", body["metadata"]["name"], "--type=merge", "-p", patch)
    time.sleep(4)


def waiver(name: str, namespace: str, *, lasting: timedelta = timedelta(days=30), **spec: Any) -> Json:
    base = {
        "checks": ["privileged-container"],
        "namespaces": [namespace],
        "owner": "team-shop",
        "reason": "until v2 is out",
        "expires": (datetime.now(UTC) + lasting).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    meta = {"name": f"{name}-{namespace}"}
    return {"apiVersion": "iocaudit.io/v1alpha1", "kind": "IocWaiver", "metadata": meta, "spec": {**base, **spec}}


def status(cluster: ControlPlane, body: Json) -> Json:
    found = cluster.kubectl("get", "iocwaiver", body["metadata"]["name"], "-o", "json")
    said: Json = json.loads(found.stdout).get("status", {})
    return said


def finding(cluster: ControlPlane, namespace: str, target: str) -> Json:
    for one in items(cluster, "iocfindings", f"-n{namespace}"):
        content: Json = one["finding"]
        if (content["target"], content["check"]) == (target, "privileged-container"):
            return content
    return {}


def pods(cluster: ControlPlane, namespace: str) -> set[str]:
    return {one["metadata"]["name"] for one in items(cluster, "pods", f"-n{namespace}")}


def test_from_the_waiver_to_waived_to_open_again(operated: ControlPlane, shop: str, eventually: Eventually) -> None:
    cluster = operated
    apply(cluster, deployment(shop, privileged=True, replicas=2), pod(shop, "own", containers=[PRIVILEGED]))
    eventually(lambda: len(pods(cluster, shop)) == 3, "the pods")
    eventually(lambda: finding(cluster, shop, "Deployment/web").get("state") == "Open", "the finding", seconds=30)
    eventually(lambda: finding(cluster, shop, "Pod/own").get("state") == "Open", "the pod's finding", seconds=30)
    accepted = waiver("accepted", shop, kinds=["Deployment"])
    apply(cluster, accepted)
    eventually(lambda: finding(cluster, shop, "Deployment/web").get("state") == "Waived", "it to be waived", seconds=30)
    said = status(cluster, accepted)
    assert (said["state"], said["matching"], said["uncovered"], said["covered"]["count"]) == ("Active", 1, 0, 1)
    assert finding(cluster, shop, "Deployment/web")["waivers"][0]["name"] == accepted["metadata"]["name"]
    assert finding(cluster, shop, "Pod/own")["state"] == "Open", "it names Deployments alone"
    eventually(
        lambda: [r["report"]["waived"] for r in items(cluster, "auditreports", f"-n{shop}")] == [1],
        "the report to count it apart",
    )
    # Nor is another program in its place, whose repository was not there when the waiver was made.
    assert said["covered"]["repositories"] == ["hooli.com/shop/web"]
    other = deployment(shop, privileged=True, replicas=2)
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "evil.io/miner:1"
    apply(cluster, other)
    eventually(lambda: finding(cluster, shop, "Deployment/web").get("state") == "Open", "it to be open", seconds=30)
    apply(cluster, deployment(shop, privileged=True, replicas=2))
    eventually(lambda: finding(cluster, shop, "Deployment/web").get("state") == "Waived", "it to be waived", seconds=30)
    # What comes later is not covered, and what was recorded is never recorded anew.
    later = {**deployment(shop, privileged=True, replicas=0)}
    later["metadata"] = {**later["metadata"], "name": "later"}
    apply(cluster, later)
    eventually(lambda: finding(cluster, shop, "Deployment/later").get("state") == "Open", "the new one", seconds=10)
    assert status(cluster, accepted)["covered"] == said["covered"]
    # It ends by itself, at once, although the next sweep is ten minutes away.
    end(cluster, accepted)
    eventually(
        lambda: finding(cluster, shop, "Deployment/web").get("state") == "Open", "it to be open again", seconds=5
    )
    eventually(lambda: status(cluster, accepted)["state"] == "Expired", "its status to say so", seconds=5)


def test_scan_of_the_cluster_judges_as_the_operator_does(
    operated: ControlPlane, shop: str, eventually: Eventually
) -> None:
    cluster = operated
    apply(cluster, deployment(shop, privileged=True, replicas=2), pod(shop, "own", containers=[PRIVILEGED]))
    eventually(lambda: len(pods(cluster, shop)) == 3, "the pods")
    accepted, refused = waiver("scanned", shop, kinds=["Deployment"]), waiver("never", shop, lasting=timedelta(days=91))
    apply(cluster, accepted, refused)
    eventually(lambda: finding(cluster, shop, "Deployment/web").get("state") == "Waived", "it to be waived", seconds=30)
    eventually(lambda: finding(cluster, shop, "Pod/own").get("state") == "Open", "the pod's finding", seconds=30)
    eventually(lambda: status(cluster, refused).get("state") == "Refused", "the other to be refused", seconds=30)
    catalogue = CATALOGUE.select(["privileged-container"])

    def scanned(kubeconfig: Path = cluster.kubeconfig) -> tuple[Scan, dict[str, str]]:
        scan = scan_cluster(catalogue, ScanOptions(), kubeconfig=kubeconfig)
        waived = [one.found for one in scan.report.waived]
        said = [(one, "Open") for one in scan.report.found] + [(one, "Waived") for one in waived]
        here = [(found.subject, state) for found, state in said if found.subject.namespace == shop]
        return scan, {f"{subject.kind}/{subject.name}": state for subject, state in here}

    scan, found = scanned()
    assert found == {"Deployment/web": "Waived", "Pod/own": "Open"}
    assert any(f"waiver never-{shop}: refused by the operator: it would hold" in note for note in scan.notes)
    off = {"match": {"namespaces": [shop]}, "checks": [{"ids": ["privileged-container"], "mode": "off"}]}
    policy = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": f"off-{shop}"}}
    apply(cluster, {**policy, "spec": off})
    assert scanned()[1] == {}
    # Who may not read them is told so once, and gets the default.
    resources = "pods,deployments.apps,replicasets.apps"
    cluster.kubectl("create", "clusterrole", f"lister-{shop}", "--verb=list", f"--resource={resources}")
    cluster.kubectl("create", "clusterrolebinding", f"lister-{shop}", f"--clusterrole=lister-{shop}", "--user=lister")
    scan, found = scanned(cluster.user_kubeconfig("lister"))
    assert found == {"Deployment/web": "Open", "Pod/own": "Open"}
    assert len([one for one in scan.report.skipped if "cannot read the cluster's AuditPolicies" in one.reason]) == 1
    assert len([note for note in scan.notes if "cannot read the cluster's IocWaivers" in note]) == 1
    cluster.kubectl("delete", "auditpolicy", f"off-{shop}")


def test_what_waive_writes_covers_what_stood_and_nothing_that_comes(
    operated: ControlPlane, shop: str, eventually: Eventually
) -> None:
    cluster = operated
    apply(cluster, deployment(shop, privileged=True, replicas=1), pod(shop, "own", containers=[PRIVILEGED]))
    eventually(lambda: len(pods(cluster, shop)) == 2, "the pods")
    eventually(lambda: finding(cluster, shop, "Pod/own").get("state") == "Open", "the pod's finding", seconds=30)
    asked = ("--cluster", f"--kubeconfig={cluster.kubeconfig}", "-n", shop)
    why = ("--owner", "team-shop", "--reason", "until v2 is out", "--days", "30", "--yes")
    code, text, said = run("waive", *asked, "--include-critical", *why)
    assert code == 0, said
    written = [document for document in yaml.safe_load_all(text) if document]
    cluster.kubectl("apply", "--server-side", "-f", "-", input=text)

    def states() -> set[str]:
        return {one["finding"]["state"] for one in items(cluster, "iocfindings", f"-n{shop}")}

    eventually(lambda: states() == {"Waived"}, "all of it to be waived", seconds=60)
    for one in written:
        recorded = status(cluster, one)
        assert (recorded["state"], recorded["uncovered"]) == ("Active", 0)
        assert set(one["status"]["covered"]["fingerprints"]) == set(recorded["covered"]["fingerprints"])
    apply(cluster, pod(shop, "later", containers=[PRIVILEGED]))
    eventually(lambda: finding(cluster, shop, "Pod/later").get("state") == "Open", "what comes later", seconds=30)
    code, text, said = run("waive", *asked, *why)
    assert code == 0, said
    assert {name for one in yaml.safe_load_all(text) if one for name in one["spec"]["names"]} == {"later"}


def test_a_grant_that_was_accepted_whole_stays_so_but_for_a_later_subject(
    operated: ControlPlane, shop: str, eventually: Eventually
) -> None:
    cluster, name = operated, f"reader-{shop}"
    cluster.kubectl("create", "clusterrole", name, "--verb=get,list", "--resource=secrets")
    cluster.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", "--user=alice")

    def found(kind: str, check: str = "secret-access") -> Json:
        listed = [one["finding"] for one in items(cluster, "clusteriocfindings")]
        return next((one for one in listed if (one["target"], one["check"]) == (f"{kind}/{name}", check)), {})

    def parts() -> set[str]:
        return {one["target"] for one in found("ClusterRole").get("implies", ())}

    eventually(lambda: parts() == {f"ClusterRoleBinding/{name}"}, "the finding, on the role", seconds=30)
    assert found("ClusterRoleBinding") == {}
    assert (found("ClusterRole")["severity"], found("ClusterRole")["state"]) == ("critical", "Open")
    asked = ("--cluster", f"--kubeconfig={cluster.kubeconfig}", "--check", "secret-access", "--include-critical")
    why = ("--owner", "team-shop", "--reason", "until v2 is out", "--days", "30", "--yes")
    code, text, said = run("waive", *asked, "--object", f"ClusterRole/{name}", *why)
    assert code == 0, said
    named = {
        (kind.partition(".")[0], one)
        for w in yaml.safe_load_all(text)
        if w
        for kind in w["spec"]["kinds"]
        for one in w["spec"]["names"]
    }
    assert named == {("ClusterRole", name), ("ClusterRoleBinding", name)}
    cluster.kubectl("apply", "--server-side", "-f", "-", input=text)
    both = ("ClusterRole", "ClusterRoleBinding")
    eventually(lambda: [found(one).get("state") for one in both] == ["Waived"] * 2, "both to be waived", seconds=60)
    more = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": who} for who in ("alice", "bob")]
    cluster.kubectl("patch", "clusterrolebinding", name, "--type=merge", "-p", json.dumps({"subjects": more}))
    eventually(lambda: found("ClusterRoleBinding").get("state") == "Open", "the later subject", seconds=30)
    assert found("ClusterRole")["state"] == "Waived"
    later = found("ClusterRoleBinding")
    assert (later["hitCount"], later["waivedCount"]) == (2, 1)
    assert [one["evidence"] for one in later["hits"] if "waiver" not in one] == [f"User:bob to ClusterRole {name}"]


def test_a_waiver_ahead_of_an_install_is_active_between_sweeps(
    operated: ControlPlane, shop: str, eventually: Eventually
) -> None:
    ahead = waiver("ahead", shop, allowNew=True)
    apply(operated, ahead)
    eventually(lambda: status(operated, ahead).get("state") == "Inert", "nothing to match it", seconds=30)
    apply(operated, pod(shop, "new", containers=[PRIVILEGED]))
    eventually(lambda: finding(operated, shop, "Pod/new").get("state") == "Waived", "it to be waived", seconds=30)
    eventually(lambda: status(operated, ahead).get("state") == "Active", "its status to say so", seconds=5)
    assert (status(operated, ahead)["matching"], status(operated, ahead)["uncovered"]) == (1, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"checks": ["no-such-check"]}, "there is no check 'no-such-check'"),
        ({"lasting": timedelta(days=91)}, "longer than the 90 days that are allowed"),
        ({"expires": "9999-12-31T23:59:59-01:00"}, "is not a time such as"),
    ],
)
def test_refused_ones_say_why(
    operated: ControlPlane, shop: str, eventually: Eventually, change: dict[str, Any], said: str
) -> None:
    refused = waiver("refused", shop, **change)
    apply(operated, refused)
    eventually(lambda: status(operated, refused).get("state") == "Refused", "it to be refused", seconds=30)
    assert said in status(operated, refused)["message"]
    assert "covered" not in status(operated, refused)


def test_names_of_any_length_are_found_waived_and_resolved(
    operated: ControlPlane, shop: str, eventually: Eventually
) -> None:
    """The API server bounds neither the names of RBAC objects nor what a pod claims to be owned by."""
    cluster = operated
    odd = f"{shop}|é {'b' * 400}"
    names = [f"{odd}{end}" for end in ("1", "2")]
    apply(cluster, *map(binding, names))
    claim = {"apiVersion": f"{'g' * 300}.io/v1", "kind": "K" * 300, "name": "n" * 300, "uid": "u", "controller": True}
    owned = pod(shop, "owned", containers=[PRIVILEGED])
    owned["metadata"]["ownerReferences"] = [claim]
    apply(cluster, owned)
    keys = {name: finding_name("cluster-admin-binding", Ref(*BINDING, None, name)) for name in names}

    def states() -> list[str]:
        found = {one["metadata"]["name"]: one["finding"]["state"] for one in items(cluster, "clusteriocfindings")}
        return [found.get(keys[name], "") for name in names]

    eventually(lambda: states() == ["Open", "Open"], "a finding on each binding", seconds=30)

    def claimed() -> list[Json]:
        found = [one["finding"] for one in items(cluster, "iocfindings", f"-n{shop}")]
        return [one for one in found if one["check"] == "privileged-container"]

    eventually(lambda: claimed() != [], "the finding on what the pod claims", seconds=30)
    (unverified,) = claimed()
    assert (unverified["state"], unverified["verified"]) == ("Open", False)
    assert unverified["subject"]["kind"].startswith("KKKK")

    accepted = waiver("long", shop, checks=["cluster-admin-binding"], names=[f"{shop}??*b2"], clusterScope=True)
    apply(cluster, accepted)
    eventually(lambda: states() == ["Open", "Waived"], "one to be waived", seconds=60)
    cluster.kubectl("delete", "clusterrolebinding", names[0])
    eventually(lambda: states() == ["Resolved", "Waived"], "one to be resolved", seconds=30)


def test_its_status_is_not_taken_from_whoever_makes_it(operated: ControlPlane, shop: str) -> None:
    forged = waiver("forged", shop)
    forged["status"] = {"covered": {"count": 1, "fingerprints": ["0123456789abcdef" * 2]}}
    assert create(operated, forged)[0]
    assert "0123456789abcdef" not in str(status(operated, forged))


def test_a_waived_deployment_gets_its_pods_until_the_waiver_ends(
    cluster: ControlPlane, webhook: LocalWebhook, guarded: str, eventually: Eventually
) -> None:
    """Even where the policy spares nothing that exists: the Deployment's waiver speaks for what is made of it."""
    strict = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": f"strict-{guarded}"},
        "spec": {
            "priority": 10,
            "match": {"namespaces": [guarded]},
            "checks": [{"ids": ["privileged-container"], "mode": "deny"}],
            "existing": "deny",
        },
    }
    apply(cluster, strict)
    body = deployment(guarded, privileged=True)
    accepted, said = create(cluster, body)
    assert not accepted
    assert "Deployment" in said
    waived = waiver("legacy", guarded, kinds=["Deployment"], names=["web"], allowNew=True)
    apply(cluster, waived)
    eventually(lambda: create(cluster, body)[0], "the waiver to let the Deployment through")
    eventually(lambda: len(pods(cluster, guarded)) == 1, "the pod, by way of a ReplicaSet", seconds=20)
    (name,) = pods(cluster, guarded)

    # A user's pod that claims the same owner is not believed.
    (made,) = items(cluster, "pods", f"-n{guarded}")
    forged = pod(guarded, "forged", containers=[PRIVILEGED])
    forged["metadata"] |= {"labels": made["metadata"]["labels"], "ownerReferences": made["metadata"]["ownerReferences"]}
    accepted, said = create(cluster, forged)
    assert not accepted
    assert "privileged-container" in said

    # Once it has ended the next pod is denied, at once.
    end(cluster, waived)
    cluster.kubectl("delete", "pod", name, f"-n{guarded}", "--grace-period=0", "--force")

    def failed() -> bool:
        (found,) = items(cluster, "replicasets", f"-n{guarded}")
        return any(
            one["type"] == "ReplicaFailure" and "privileged-container" in one["message"]
            for one in found["status"].get("conditions", [])
        )

    eventually(failed, "the next pod to be denied", seconds=30)
    assert pods(cluster, guarded) == set()


def test_a_rollout_of_what_was_there_before_can_be_restarted(
    cluster: ControlPlane, webhook: LocalWebhook, shop: str, eventually: Eventually
) -> None:
    """And a CronJob goes on making its Jobs: what was let be when the webhook came is not killed by it."""
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": shop},
        "spec": {
            "schedule": "* * * * *",
            "suspend": True,
            "jobTemplate": {"spec": {"template": {"spec": {"containers": [PRIVILEGED], "restartPolicy": "Never"}}}},
        },
    }
    apply(cluster, deployment(shop, privileged=True), cron)
    ran = json.dumps({"status": {"lastSuccessfulTime": "2026-01-01T00:00:00Z"}})
    cluster.kubectl("patch", "cronjob", "tick", f"-n{shop}", "--subresource=status", "--type=merge", "-p", ran)
    eventually(lambda: len(pods(cluster, shop)) == 1, "the pod from before")
    before = pods(cluster, shop)
    webhook.register()
    try:
        probe = pod(shop, "probe", containers=[PRIVILEGED])
        eventually(lambda: not create(cluster, probe, "--dry-run=server")[0], "the webhook to be called")
        cluster.kubectl("rollout", "restart", "deployment/web", f"-n{shop}")
        eventually(lambda: bool(pods(cluster, shop) - before), "the new ReplicaSet's pod", seconds=30)
        cluster.kubectl("patch", "cronjob", "tick", f"-n{shop}", "-p", '{"spec":{"suspend":false}}')
        eventually(lambda: bool(items(cluster, "jobs", f"-n{shop}")), "the CronJob's next Job", seconds=90)
        eventually(lambda: any(name.startswith("tick-") for name in pods(cluster, shop)), "its pod", seconds=30)
    finally:
        cluster.kubectl("delete", "cronjob", "tick", f"-n{shop}")
        webhook.unregister()


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("IocWaiver", {"checks": ["no-such-check"]}, "spec.checks[0]: there is no check 'no-such-check'"),
        ("IocWaiver", {"lasting": timedelta(days=91)}, "longer than the 90 days that are allowed"),
        (
            "AuditPolicy",
            {"checks": [{"ids": ["privilegd-container"], "mode": "deny"}]},
            "spec.checks[0].ids[0]: there is no check 'privilegd-container' (did you mean privileged-container?)",
        ),
        (
            "AuditPolicy",
            {"checks": [{"ids": ["untrusted-registry"], "parameters": {"trusted": 3}}]},
            "spec.checks[0].parameters.trusted",
        ),
    ],
)
def test_what_could_not_be_used_is_refused_as_it_arrives(
    cluster: ControlPlane, guarded: str, kind: str, spec: dict[str, Any], said: str
) -> None:
    policy = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "AuditPolicy", "metadata": {"name": "bad"}, "spec": spec}
    body = policy if kind == "AuditPolicy" else waiver("bad", guarded, **spec)
    accepted, output = create(cluster, body, "--dry-run=server")
    assert not accepted
    assert 'admission webhook "observe.iocaudit.io" denied the request' in output
    assert said in output


def test_nobody_inside_a_namespace_can_accept_a_risk(cluster: ControlPlane, shop: str) -> None:
    """CVE-2024-48921 and its like: neither admin of a namespace nor our own processes may write one."""
    cluster.kubectl("create", "rolebinding", "boss", f"-n{shop}", "--clusterrole=admin", "--user=boss")
    cluster.kubectl(
        "create", "clusterrolebinding", f"warden-{shop}", "--clusterrole=iocaudit-waiver-editor", "--user=warden"
    )

    def may(verb: str, user: str, resource: str = "iocwaivers.iocaudit.io", *, subresource: str = "") -> bool:
        more = (f"--subresource={subresource}",) if subresource else ()
        result = cluster.kubectl("auth", "can-i", verb, resource, f"--as={user}", *more, check=False)
        return result.stdout.strip() == "yes"

    processes = [f"system:serviceaccount:iocaudit:{name}" for name in ("iocaudit-operator", "iocaudit-admission")]
    for user in ("boss", *processes):
        assert not any(may(verb, user) for verb in ("create", "update", "patch", "delete")), user
    assert all(may(verb, "warden") for verb in ("create", "update", "patch", "delete", "get", "list", "watch"))
    for verb in ("update", "patch"):
        assert not may(verb, "warden", subresource="status"), "what it covers is the operator's to record"
    assert may("update", processes[0], subresource="status")
    assert not may("update", processes[1], subresource="status")
    assert all(may("watch", user) for user in processes)
