"""What was privileged before the webhook came goes on, and runs no other programs, on a real control plane.

There is no kubelet: pods stay Pending, which the controllers count like others.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cli.live import scan_cluster
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.scanning.scan import ScanOptions
from tests.cluster.conftest import wait_for
from tests.cluster.installing import install_crds
from tests.cluster.processes import Json, apply, items, pod

NAMESPACE = "shop"
GOOD, BUMPED, EVIL = "hooli.com/shop/web:1.4", "hooli.com/shop/web:1.5", "evil.io/miner:1"
PRIVILEGED: Json = {"name": "app", "image": GOOD, "securityContext": {"privileged": True}}
DENYING: Json = {
    "apiVersion": "iocaudit.io/v1alpha1",
    "kind": "AuditPolicy",
    "metadata": {"name": "host-pid"},
    "spec": {"priority": 1, "match": {"namespaces": [NAMESPACE]}, "checks": [{"ids": ["host-pid"], "mode": "deny"}]},
}


def workload(kind: str, name: str, *, replicas: int = 1, pod_spec: Json | None = None, **spec: Any) -> Json:
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec or {"containers": [PRIVILEGED]}}
    selector = {"app": name} if kind == "ReplicationController" else {"matchLabels": {"app": name}}
    whole: Json = {"selector": selector, "template": template, **spec}
    if kind != "DaemonSet":
        whole["replicas"] = replicas
    version = "v1" if kind == "ReplicationController" else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": whole}


HOST = {"containers": [{"name": "app", "image": GOOD}], "hostPID": True}
FILES = {
    "containers": [
        {"name": "app", "image": GOOD, "volumeMounts": [{"name": "etc", "mountPath": "/mnt"}]},
        {"name": "side", "image": "hooli.com/shop/side:1"},
    ],
    "volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}],
}
RUNNING = {
    "deployment/rolling": workload("Deployment", "rolling"),
    "deployment/recreated": workload("Deployment", "recreated", strategy={"type": "Recreate"}),
    "deployment/tight": workload(
        "Deployment", "tight", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    ),
    "deployment/files": workload("Deployment", "files", pod_spec=FILES),
    "deployment/host": workload("Deployment", "host", pod_spec=HOST),
    "statefulset/ordered": workload("StatefulSet", "ordered", serviceName="x", podManagementPolicy="Parallel"),
    "daemonset/everywhere": workload(
        "DaemonSet", "everywhere", pod_spec={"containers": [PRIVILEGED], "tolerations": [{"operator": "Exists"}]}
    ),
    "replicaset/alone": workload("ReplicaSet", "alone"),
    "replicationcontroller/older": workload("ReplicationController", "older"),
}
OTHERS = [
    workload("Deployment", "legacy", strategy={"type": "Recreate"}),
    workload("Deployment", "waived"),
    workload("Deployment", "idle", replicas=0),
    workload("StatefulSet", "idle-set", replicas=0, serviceName="x"),
    pod(NAMESPACE, "own", containers=[PRIVILEGED]),
    pod(NAMESPACE, "host-own", **HOST),
]
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """With what ran before, what was fixed before, an editor of the namespace, and then the webhook."""
    with ControlPlane() as found:
        install_crds(found)
        found.kubectl("create", "namespace", NAMESPACE)
        found.kubectl("create", "rolebinding", "bob", f"-n{NAMESPACE}", "--clusterrole=edit", "--user=bob")
        wait_for(
            lambda: found.kubectl("get", "sa", "default", f"-n{NAMESPACE}", check=False).returncode == 0, "its account"
        )
        apply(found, NODE, DENYING, *RUNNING.values(), *OTHERS)
        names = [name.partition("/")[2] for name in RUNNING]
        for name in (*names, "legacy", "waived"):
            wait_for(lambda app=name: bool(running(found, app)), f"the pods of {name} from before")  # type: ignore[misc]
        fixed = workload("Deployment", "legacy", pod_spec={"containers": [{"name": "app", "image": GOOD}]})
        fixed["spec"]["strategy"] = {"type": "Recreate"}
        apply(found, fixed)
        wait_for(lambda: old_replica_set(found)["status"]["replicas"] == 0, "the rollout of what was fixed")
        for name in RUNNING:
            wait_for(lambda one=name: has_status(found, one), f"{name} to be counted")  # type: ignore[misc]
        webhook = LocalWebhook(found, tmp_path_factory.mktemp("webhook"))
        try:
            webhook.start()
            webhook.register()
            probe = json.dumps(pod(NAMESPACE, "probe", containers=[PRIVILEGED]))
            wait_for(
                lambda: (
                    found.kubectl("create", "-f", "-", "--dry-run=server", input=probe, check=False).returncode != 0
                ),
                "the webhook to be called",
            )
            yield found
        finally:
            webhook.close()


def running(cluster: ControlPlane, app: str) -> dict[str, str]:
    """The pods of an application that are not being deleted, by name, and the image of their first container."""
    found = items(cluster, "pods", f"-n{NAMESPACE}", f"-lapp={app}")
    alive = [one for one in found if "deletionTimestamp" not in one["metadata"]]
    return {one["metadata"]["name"]: one["spec"]["containers"][0]["image"] for one in alive}


def uids(cluster: ControlPlane, app: str) -> set[str]:
    return {one["metadata"]["uid"] for one in items(cluster, "pods", f"-n{NAMESPACE}", f"-lapp={app}")}


def has_status(cluster: ControlPlane, name: str) -> bool:
    status = json.loads(cluster.kubectl("get", name, f"-n{NAMESPACE}", "-o", "json").stdout)["status"]
    return (status.get("replicas") or status.get("currentNumberScheduled") or 0) > 0


def replica_sets(cluster: ControlPlane, app: str) -> list[Json]:
    return items(cluster, "replicasets", f"-n{NAMESPACE}", f"-lapp={app}")


def old_replica_set(cluster: ControlPlane) -> Json:
    """That of ``legacy`` from before it was fixed."""
    (found,) = [
        one
        for one in replica_sets(cluster, "legacy")
        if one["spec"]["template"]["spec"]["containers"][0].get("securityContext", {}).get("privileged")
    ]
    return found


def bob(cluster: ControlPlane, *arguments: str) -> tuple[bool, str]:
    """What the namespace's editor does; whether it was admitted, and what was said."""
    result = cluster.kubectl("--as=bob", f"-n{NAMESPACE}", *arguments, check=False)
    return result.returncode == 0, result.stdout + result.stderr


def set_image(cluster: ControlPlane, name: str, image: str, *arguments: str, of: str = "app") -> tuple[bool, str]:
    return bob(cluster, "set", "image", name, f"{of}={image}", *arguments)


def patched(cluster: ControlPlane, name: str, spec: Json) -> bool:
    """Whether the editor may change the pod's template."""
    body = json.dumps({"spec": {"template": {"spec": spec}}})
    return bob(cluster, "patch", name, "--type=strategic", "-p", body, "--dry-run=server")[0]


@pytest.mark.parametrize("name", RUNNING)
def test_a_new_tag_and_a_restart_go_through(cluster: ControlPlane, name: str) -> None:
    kind, _, app = name.partition("/")
    accepted, said = set_image(cluster, name, EVIL)
    assert not accepted
    assert "denied the request" in said
    accepted, said = set_image(cluster, name, BUMPED)
    assert accepted, said
    if kind in ("replicaset", "replicationcontroller"):
        bob(cluster, "delete", "pod", f"-lapp={app}", "--grace-period=0", "--force")
    wait_for(lambda: BUMPED in running(cluster, app).values(), f"pods of the new tag of {name}", seconds=30)
    if kind in ("replicaset", "replicationcontroller"):
        return
    wait_for(lambda: has_status(cluster, name), "the controller to have counted")
    before = uids(cluster, app)
    accepted, said = bob(cluster, "rollout", "restart", name)
    assert accepted, said
    wait_for(lambda: bool(uids(cluster, app) - before), f"the restarted pods of {name}", seconds=30)


def test_no_other_image_in_what_a_deployment_made(cluster: ControlPlane) -> None:
    made = [f"rs/{one['metadata']['name']}" for one in replica_sets(cluster, "rolling")]
    made += [f"pod/{name}" for name in running(cluster, "rolling")]
    for name in (*made, "pod/own"):
        assert not set_image(cluster, name, EVIL, "--dry-run=server")[0], name
        accepted, said = set_image(cluster, name, "hooli.com/shop/web:1.6", "--dry-run=server")
        assert accepted, said


def test_no_other_image_gets_what_a_volume_or_the_pod_gives(cluster: ControlPlane) -> None:
    assert set_image(cluster, "deployment/files", "evil.io/side:1", of="side")[0], "it mounts nothing"
    mount = {"name": "side", "volumeMounts": [{"name": "etc", "mountPath": "/mnt"}]}
    assert not patched(cluster, "deployment/files", {"containers": [mount]})
    assert not patched(cluster, "deployment/files", {"containers": [{**mount, "name": "more", "image": EVIL}]})
    assert patched(cluster, "deployment/files", {"containers": [{"name": "more", "image": EVIL}]})
    assert not patched(cluster, "deployment/host", {"containers": [{"name": "more", "image": EVIL}]})
    assert not patched(cluster, "deployment/host", {"initContainers": [{"name": "first", "image": EVIL}]})
    assert patched(cluster, "deployment/host", {"initContainers": [{"name": "first", "image": BUMPED}]})


def test_no_other_image_joins_a_pod_of_the_host(cluster: ControlPlane) -> None:
    def debug(image: str) -> bool:
        body = {"spec": {"ephemeralContainers": [{"name": "debug", "image": image}]}}
        patch = ("patch", "pod", "host-own", "--subresource=ephemeralcontainers", "-p", json.dumps(body))
        return cluster.kubectl(f"-n{NAMESPACE}", *patch, check=False).returncode == 0

    assert not debug(EVIL)
    assert debug(BUMPED)


def failed(cluster: ControlPlane, name: str) -> bool:
    """Whether our denial is why a ReplicaSet has no pods."""
    found = json.loads(cluster.kubectl("get", "rs", name, f"-n{NAMESPACE}", "-o", "json").stdout)
    said = [one["message"] for one in found["status"].get("conditions", []) if one["type"] == "ReplicaFailure"]
    return any("privileged-container" in message for message in said)


def test_an_old_replicaset_is_no_way_to_a_privileged_pod(cluster: ControlPlane) -> None:
    name = old_replica_set(cluster)["metadata"]["name"]
    assert bob(cluster, "delete", "deployment", "legacy", "--cascade=orphan")[0]
    accepted, said = set_image(cluster, f"rs/{name}", EVIL)
    assert not accepted
    assert "privileged-container" in said
    assert set_image(cluster, f"rs/{name}", BUMPED)[0]
    assert bob(cluster, "scale", f"rs/{name}", "--replicas=2")[0]
    wait_for(lambda: failed(cluster, name), "its pods to be denied", seconds=30)
    pods = items(cluster, "pods", f"-n{NAMESPACE}", "-lapp=legacy")
    assert not [one for one in pods if "securityContext" in one["spec"]["containers"][0]]
    scan = scan_cluster(
        builtin_catalogue().select(["privileged-container"]), ScanOptions(), kubeconfig=cluster.kubeconfig
    )
    assert f"ReplicaSet {NAMESPACE}/{name}" in {str(found.subject) for found in scan.report.found}


def test_what_runs_nothing_adopts_no_harmless_pods(cluster: ControlPlane) -> None:
    old = old_replica_set(cluster)
    bob(cluster, "delete", "deployment", "legacy", "--cascade=orphan")
    assert bob(cluster, "scale", f"rs/{old['metadata']['name']}", "--replicas=1")[0]
    lent = pod(NAMESPACE, "lent", containers=[{"name": "app", "image": GOOD}])
    lent["metadata"]["labels"] = old["spec"]["selector"]["matchLabels"]
    reference = {"apiVersion": "example.io/v1", "kind": old["kind"], "controller": True}
    named = copy.deepcopy(lent)
    named["metadata"] |= {
        "name": "named",
        "ownerReferences": [reference | {k: old["metadata"][k] for k in ("name", "uid")}],
    }
    result = cluster.kubectl("--as=bob", "create", "-f", "-", input=json.dumps(named), check=False)
    assert "which runs no pods" in result.stderr
    apply(cluster, lent)
    time.sleep(3)  # nothing says that a controller was refused
    assert bob(cluster, "scale", f"rs/{old['metadata']['name']}", "--replicas=3")[0]
    time.sleep(2)
    found = items(cluster, "pods", f"-n{NAMESPACE}", "-lapp=legacy")
    assert "lent" in {one["metadata"]["name"] for one in found}
    assert not [one for one in found if "securityContext" in one["spec"]["containers"][0]]
    assert old_replica_set(cluster)["status"]["replicas"] == 0


@pytest.mark.parametrize("name", ["deployment/idle", "statefulset/idle-set"])
def test_what_is_scaled_up_from_zero_comes_anew(cluster: ControlPlane, name: str) -> None:
    app = name.partition("/")[2]
    accepted, said = bob(cluster, "scale", name, "--replicas=1")
    assert accepted, said

    def denied() -> bool:
        events = items(cluster, "events", f"-n{NAMESPACE}")
        return any(app in one["involvedObject"]["name"] and "privileged-container" in one["message"] for one in events)

    wait_for(denied, "its pods to be denied", seconds=30)
    assert running(cluster, app) == {}


def test_a_waiver_limited_by_images_holds_for_all_that_is_made(cluster: ControlPlane) -> None:
    ends = (datetime.now(UTC) + timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    spec = {"checks": ["privileged-container"], "namespaces": [NAMESPACE], "kinds": ["Deployment"], "names": ["waived"]}
    spec |= {"images": [GOOD, BUMPED], "owner": "o", "reason": "r", "expires": ends, "allowNew": True}  # type: ignore[dict-item]
    waiver = {"apiVersion": "iocaudit.io/v1alpha1", "kind": "IocWaiver", "metadata": {"name": "limited"}, "spec": spec}
    apply(cluster, waiver)
    other = "hooli.com/shop/web:6"
    wait_for(lambda: not set_image(cluster, "deployment/waived", other)[0], "the waiver to be known")
    assert not set_image(cluster, "deployment/waived", EVIL)[0]
    (made,) = running(cluster, "waived")
    (between,) = [one["metadata"]["name"] for one in replica_sets(cluster, "waived")]
    assert bob(cluster, "patch", "deployment", "waived", "--type=merge", "-p", '{"spec":{"paused":true}}')[0]
    for name in (f"pod/{made}", f"rs/{between}"):
        assert not set_image(cluster, name, EVIL)[0], name
        assert not set_image(cluster, name, other)[0], name
        assert set_image(cluster, name, BUMPED)[0], name
    assert bob(cluster, "delete", "pod", made, "--grace-period=0", "--force")[0]
    wait_for(lambda: set(running(cluster, "waived")) not in (set(), {made}), "its successor", seconds=30)
    assert set(running(cluster, "waived").values()) == {BUMPED}
