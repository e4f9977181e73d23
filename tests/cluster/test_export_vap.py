"""`iocaudit export vap` on a real API server: what it denies by itself, whom and what it spares, what it costs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from iocaudit.core.kinds import WORKLOADS
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.engine.waivers import Waivers
from iocaudit.install.vap.export import export
from tests.cluster.exported import CATALOGUE, Asker, denying_policy, exported, install, policies_of
from tests.support.running import run

Json = dict[str, Any]
PRIVILEGED = {"securityContext": {"privileged": True}}
SPEC: Json = {
    "match": {"excludeNamespaces": ["free-*"]},
    "exemptSubjects": [{"kind": "User", "name": "robot"}],
    "checks": [
        {"ids": ["privileged-container", "host-pid", "dangerous-capability", "runs-as-root"], "mode": "deny"},
    ],
}
NAMESPACES = ("shop", "free-one", "waived", "iocaudit")


def waiver_until(end: datetime) -> Json:
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocWaiver",
        "metadata": {"name": "accepted"},
        "spec": {
            "checks": ["privileged-container"],
            "namespaces": ["waived"],
            "owner": "team",
            "reason": "known",
            "expires": _written(end),
        },
    }


def waivers(raw: Json, now: datetime | None = None) -> Waivers:
    return Waivers([read_waiver(raw, CATALOGUE, stored=False, now=now or datetime.now(UTC))])


def _written(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_spec(**container: Any) -> Json:
    return {"containers": [{"name": "app", "image": "hooli.com/app:1", **container}]}


def pod(name: str, spec: Json, namespace: str = "shop") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": spec,
    }


def deployment(name: str, spec: Json, namespace: str = "shop") -> Json:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def every_kind(spec: Json) -> list[Json]:
    """One object of each kind of the API server's own that holds a pod."""
    found = []
    for kind in WORKLOADS:
        template: Json = {"metadata": {"labels": {"app": "x"}}, "spec": spec}
        selector: Json = {"matchLabels": {"app": "x"}}
        body: Json = {"selector": selector, "template": template}
        if kind.name == "Pod":
            body = spec
        elif kind.name == "ReplicationController":
            body = {"selector": {"app": "x"}, "template": template}
        elif kind.name == "StatefulSet":
            body = {**body, "serviceName": "x"}
        elif kind.name in ("Job", "CronJob"):
            body = {"template": {**template, "spec": {**spec, "restartPolicy": "Never"}}}
            if kind.name == "CronJob":
                body = {"schedule": "0 0 * * *", "jobTemplate": {"spec": body}}
        raw: Json = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "x", "namespace": "shop"}}
        found.append(raw | ({"template": template} if kind.name == "PodTemplate" else {"spec": body}))
    return found


class Floor:
    """A control plane under an export, with a privileged pod and Deployment that were there before it."""

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster, self.asker = cluster, Asker(cluster)
        self.waiver = waiver_until(datetime.now(UTC) + timedelta(days=30))
        self.objects = exported(policies_of(SPEC), waivers(self.waiver)).objects


@pytest.fixture(scope="module")
def floor(eventually: Callable[..., None]) -> Iterator[Floor]:
    with ControlPlane() as cluster:
        for name in NAMESPACES:
            cluster.kubectl("create", "namespace", name)
        for name in NAMESPACES:
            there = partial(cluster.kubectl, "get", "sa", "default", f"-n{name}", check=False)
            eventually(lambda there=there: there().returncode == 0, "its ServiceAccount")
        found = Floor(cluster)
        for raw in (pod("before", pod_spec(**PRIVILEGED)), deployment("before", pod_spec(**PRIVILEGED))):
            assert found.asker.create(raw, dry=False).status == 201
        assert found.asker.create(deployment("good", pod_spec()), dry=False).status == 201
        install(cluster, found.objects)
        yield found


def test_every_kind_that_holds_a_pod_is_denied_with_a_message_that_says_what_and_how(floor: Floor) -> None:
    for raw in every_kind(pod_spec(**PRIVILEGED)):
        said = floor.asker.create(raw)
        assert denying_policy(said) == "iocaudit-privileged-container", (raw["kind"], said)
        assert f'{raw["kind"]} shop/x: container "app" runs privileged (' in said.message
        assert 'containers["app"].securityContext.privileged). Remove `privileged: true`' in said.message
    for raw in every_kind(pod_spec()):
        assert floor.asker.create(raw).status == 201, raw["kind"]


def test_every_list_of_containers_counts(floor: Floor) -> None:
    bad = {"name": "two", "image": "x", **PRIVILEGED}
    said = floor.asker.create(pod("init", {**pod_spec(), "initContainers": [bad]}))
    assert 'spec.initContainers["two"].securityContext.privileged' in said.message
    assert floor.asker.create(pod("plain", pod_spec()), dry=False).status == 201
    patch = {"spec": {"ephemeralContainers": [bad]}}
    path = "/api/v1/namespaces/shop/pods/plain/ephemeralcontainers"
    said = floor.asker.ask("PATCH", path, patch, kind="strategic-merge-patch+json")
    assert 'spec.ephemeralContainers["two"].securityContext.privileged' in said.message
    del bad["securityContext"]
    assert floor.asker.ask("PATCH", path, patch, kind="strategic-merge-patch+json").status == 200


def test_what_was_there_before_can_be_changed_scaled_and_counted(floor: Floor) -> None:
    path = "/apis/apps/v1/namespaces/shop/deployments/before"
    for part, body in (
        ("", {"metadata": {"labels": {"touched": "yes"}}}),
        ("", {"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}}),
        ("/scale", {"spec": {"replicas": 3}}),
        ("/status", {"status": {"collisionCount": 1}}),
    ):
        assert floor.asker.ask("PATCH", path + part, body, kind="merge-patch+json").status == 200, part
    path = "/api/v1/namespaces/shop/pods/before"
    assert floor.asker.ask("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, kind="merge-patch+json").status == 200
    said = floor.asker.replace(deployment("good", pod_spec(**PRIVILEGED)))
    assert denying_policy(said) == "iocaudit-privileged-container"
    assert floor.asker.replace(deployment("good", pod_spec(command=["true"]))).status == 200


def test_controllers_go_on_making_pods_of_what_was_there_before(floor: Floor, eventually: Callable[..., None]) -> None:
    def pods() -> set[str]:
        found = json.loads(floor.cluster.kubectl("get", "pods", "-nshop", "-lapp=before", "-o", "json").stdout)
        return {one["metadata"]["name"] for one in found["items"] if one["metadata"].get("ownerReferences")}

    eventually(lambda: len(pods()) == 1, "the pod of the Deployment")
    (before,) = pods()
    floor.cluster.kubectl("delete", "pod", "-nshop", before, "--grace-period=0", "--force")
    eventually(lambda: pods() and pods() != {before}, "another pod in its place")
    # Anyone else who makes such a pod is denied, whatever owner it names.
    raw = json.loads(floor.cluster.kubectl("get", "pod", "-nshop", *pods(), "-o", "json").stdout)
    copied = pod("copied", pod_spec(**PRIVILEGED))
    copied["metadata"]["ownerReferences"] = raw["metadata"]["ownerReferences"]
    assert denying_policy(floor.asker.create(copied)) == "iocaudit-privileged-container"


def test_whom_and_where_the_policies_spare(floor: Floor) -> None:
    bad = pod_spec(**PRIVILEGED)
    assert floor.asker.create(pod("x", bad), user="robot").status == 201
    assert denying_policy(floor.asker.create(pod("x", bad), user="somebody")) == "iocaudit-privileged-container"
    for namespace in ("free-one", "iocaudit", "waived"):
        assert floor.asker.create(pod("x", bad, namespace)).status == 201, namespace
    said = floor.asker.create(pod("x", {**pod_spec(), "hostPID": True}, "waived"))
    assert denying_policy(said) == "iocaudit-host-pid", "the waiver is for another check"
    (policy,) = (
        one
        for one in floor.objects
        if one["metadata"]["name"] == "iocaudit-privileged-container" and "variables" in one["spec"]
    )
    left = policy["metadata"]["annotations"]["iocaudit.io/left-out"]
    assert left.startswith("namespace waived until 20")
    assert "(waiver accepted)" in left
    assert "requests of User robot (exempt)" in left


@pytest.mark.parametrize("containers", [1000, 4000, 25_000])
def test_padding_lets_nothing_through(floor: Floor, containers: int) -> None:
    spec = pod_spec()
    spec["containers"] = [{"name": f"c{at}", "image": "x"} for at in range(containers)]
    spec["containers"].append({"name": "bad", "image": "x", **PRIVILEGED})
    body = json.dumps(pod("padded", spec)).encode()
    if containers > 10_000:
        padding = 3_000_000 - len(body)
        spec["containers"][0]["args"] = ["x" * padding]
        body = json.dumps(pod("padded", spec)).encode()
        assert 2_900_000 < len(body) <= 3 * 1024 * 1024
    said = floor.asker.ask("POST", "/api/v1/namespaces/shop/pods", body)
    print(f"{containers} containers, {len(body)} bytes: {said.seconds:.1f} s: {said.status} {said.message[:200]}")
    assert said.status >= 400
    # On a busy machine the largest takes longer than the API server gives any request: then it is refused for that.
    assert "ValidatingAdmissionPolicy" in said.message or said.status == 504, said.message[:500]


def test_check_says_what_is_stale(floor: Floor, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    raw: Json = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "p0"},
        "spec": copy.deepcopy(SPEC),
    }
    raw["spec"]["checks"][0]["ids"].remove("privileged-container")  # of which the waiver changes what is installed
    policy.write_text(json.dumps(raw))
    arguments = ("export", "vap", "--policy", str(policy), "--check", "--kubeconfig", str(floor.cluster.kubeconfig))
    code, out, _ = run(*arguments)
    assert (code, out.splitlines()) == (
        1,
        [
            "ValidatingAdmissionPolicy iocaudit-privileged-container is installed and not asked for any more",
            "ValidatingAdmissionPolicyBinding iocaudit-privileged-container is installed and not asked for any more",
        ],
    )
    installed = tmp_path / "installed.json"
    names = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    installed.write_text(floor.cluster.kubectl("get", ",".join(names), "-o", "json").stdout)
    again = run("export", "vap", "--policy", str(policy), "--check", "--installed", str(installed))
    assert again[:2] == (code, out)
    raw["spec"]["checks"][0]["ids"].append("host-ipc")
    raw["spec"]["match"]["excludeNamespaces"] = ["other"]
    policy.write_text(json.dumps(raw))
    code, out, _ = run(*arguments)
    assert code == 1
    assert "ValidatingAdmissionPolicy iocaudit-host-ipc is not installed" in out
    assert "ValidatingAdmissionPolicy iocaudit-host-pid differs in spec.matchConditions" in out
    assert "Binding iocaudit-host-pid differs in spec.matchResources.namespaceSelector.matchExpressions" in out


def _check(floor: Floor, file: Path, spec: Json, *waivers: Json) -> tuple[int, list[str]]:
    """The exit code of ``--check`` and what it says, with these policies and waivers in force."""
    policy = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "p0"},
        "spec": spec,
    }
    file.write_text("\n---\n".join(map(json.dumps, (policy, *waivers))))
    kubeconfig = str(floor.cluster.kubeconfig)
    code, out, _ = run("export", "vap", "--policy", str(file), "--check", "--kubeconfig", kubeconfig)
    return code, out.splitlines()


def test_check_names_the_waivers_and_exempt_subjects_that_changed(floor: Floor, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    assert _check(floor, file, SPEC, floor.waiver) == (0, ["what is installed is up to date: 8 objects"])
    spec = {**SPEC, "exemptSubjects": [*SPEC["exemptSubjects"], {"kind": "User", "name": "bob"}]}
    code, lines = _check(floor, file, spec, floor.waiver)
    assert code == 1
    assert len(lines) == 8
    for name in SPEC["checks"][0]["ids"]:
        policy = f"ValidatingAdmissionPolicy iocaudit-{name}"
        assert any(line.startswith(f"{policy} differs in spec.matchConditions") for line in lines)
        assert f"{policy} does not say that it leaves out requests of User bob (exempt)" in lines
    code, lines = _check(floor, file, SPEC)
    end = floor.waiver["spec"]["expires"]
    assert (code, lines) == (
        1,
        [
            "ValidatingAdmissionPolicy iocaudit-privileged-container was exported to leave out namespace waived until "
            f"{end} (waiver accepted), which does not hold any more",
            "ValidatingAdmissionPolicyBinding iocaudit-privileged-container differs in "
            "spec.matchResources.namespaceSelector.matchExpressions[0].values",
        ],
    )


def test_check_names_a_waiver_that_has_ended_since(floor: Floor, tmp_path: Path) -> None:
    ended = waiver_until(datetime.now(UTC) - timedelta(minutes=5))
    then = datetime.now(UTC) - timedelta(minutes=10)
    install(floor.cluster, export(policies_of(SPEC), waivers(ended, then), then, "iocaudit").objects)
    code, lines = _check(floor, tmp_path / "policy.yaml", SPEC, ended)
    assert code == 1
    assert lines[0] == (
        "ValidatingAdmissionPolicy iocaudit-privileged-container was exported to leave out namespace waived until "
        f"{ended['spec']['expires']} (waiver accepted), which is over"
    )
    assert floor.asker.create(pod("x", pod_spec(**PRIVILEGED), "waived")).status == 201
    # What the message asks for: export again, and nothing is left out any more.
    install(floor.cluster, exported(policies_of(SPEC), waivers(ended)).objects)
    assert _check(floor, tmp_path / "policy.yaml", SPEC, ended) == (0, ["what is installed is up to date: 8 objects"])
    said = floor.asker.create(pod("x", pod_spec(**PRIVILEGED), "waived"))
    assert denying_policy(said) == "iocaudit-privileged-container"
