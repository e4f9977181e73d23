"""What anybody may store, and what happens to connections, must not end or blind what follows the cluster."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.core.kinds import CONFIG_MAP, TRAEFIK_MIDDLEWARE, Kind
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER
from tests.cluster.custom_kinds import crd_of
from tests.cluster.processes import CRDS, Eventually, Json, apply, items, metrics_of, pod, program, states

OPERATOR = """
import sys
from pathlib import Path
from iocaudit.controller.main import main
from iocaudit.controller.options import OperatorOptions
main(OperatorOptions(kubeconfig=Path(sys.argv[1]), namespace="iocaudit", period=3600.0, lease_duration=3.0,
     health_host="127.0.0.1", health_port=int(sys.argv[2]), metrics_host="127.0.0.1", metrics_port=int(sys.argv[3]),
     manage_webhook=False))
"""
"""Kubeconfig, ports of health and metrics; one sweep, so that whatever is found later was followed."""
DEPTH = 3000
PROMPT = 5.0
"""Seconds within which a new pod is found, on a machine that is busy: it takes a fifth of one."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as found:
        found.kubectl("apply", "--server-side", "-f", str(CRDS))
        apply(found, crd_of(TRAEFIK_MIDDLEWARE, ()))
        found.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        for name in ("iocaudit", "shop"):
            found.kubectl("create", "namespace", name)
        yield found


def probe(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def nested(depth: int = DEPTH) -> str:
    return '{"f:a":' * depth + "{}" + "}" * depth


def deep(kind: Kind, name: str, content: Json, namespace: str | None = None) -> tuple[str, str]:
    """The path of an object, and its text with managedFields that nest deeper than any decoder likes."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    managed = (
        f'[{{"manager":"red","operation":"Update","apiVersion":"{kind.api_version}","time":"2026-11-30T08:00:00Z",'
        f'"fieldsType":"FieldsV1","fieldsV1":{nested()}}}]'
    )
    head = json.dumps({"apiVersion": kind.api_version, "kind": kind.name, **content})[:-1]
    written = json.dumps(metadata)[:-1]
    prefix = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    place = f"{prefix}/namespaces/{namespace}" if namespace else prefix
    return f"{place}/{kind.plural}/{name}", f'{head},"metadata":{written},"managedFields":{managed}}}}}'


POLICY: Json = {"spec": {"match": {"namespaces": ["nowhere"]}, "checks": [{"ids": ["host-ipc"], "mode": "audit"}]}}
WAIVER: Json = {
    "spec": {
        "checks": ["host-ipc"],
        "namespaces": ["nowhere"],
        "owner": "team-shop@hooli.com",
        "reason": "it is not there",
        "expires": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30 * 24 * 3600)),
    }
}
DEEP = (
    deep(CONFIG_MAP, "deep", {"data": {"a": "b"}}, "shop"),
    deep(TRAEFIK_MIDDLEWARE, "deep", {"spec": {"rateLimit": {"average": 1}}}, "shop"),
    deep(AUDIT_POLICY, "deep", POLICY),
    deep(IOC_WAIVER, "deep", WAIVER),
)


def store(cluster: ControlPlane, folder: Path, eventually: Eventually) -> None:
    """As a user does who may write these objects: made, then replaced by a body with deep managedFields."""
    for number, (path, body) in enumerate(DEEP):
        shallow = json.loads(body.replace(nested(), "{}"))
        del shallow["metadata"]["managedFields"]
        apply(cluster, shallow)
        file = folder / f"deep-{number}.json"

        def replaced(path: str = path, body: str = body, file: Path = file) -> bool:
            version = json.loads(cluster.kubectl("get", "--raw", path).stdout)["metadata"]["resourceVersion"]
            file.write_text(body.replace('"metadata":{', f'"metadata":{{"resourceVersion":"{version}",'))
            # The operator writes their status in between.
            return cluster.kubectl("replace", "--raw", path, "-f", str(file), check=False).returncode == 0

        eventually(replaced, f"{path} to be stored")
        assert nested(1500) in cluster.kubectl("get", "--raw", path).stdout, "nothing deep was stored"


def remove(cluster: ControlPlane) -> None:
    for path, _ in DEEP:
        cluster.kubectl("delete", "--raw", path)


def policy(mode: str) -> Json:
    checks = [{"ids": ["host-pid"], "mode": mode}]
    spec = {"match": {"namespaces": ["shop"]}, "checks": checks}
    return {"apiVersion": AUDIT_POLICY.api_version, "kind": "AuditPolicy", "metadata": {"name": "later"}, "spec": spec}


class Running:
    """An operator, and what can be asked of it."""

    def __init__(self, cluster: ControlPlane, log: Path, eventually: Eventually) -> None:
        self.cluster, self.log, self.eventually = cluster, log, eventually
        self.health, self.metrics = free_port(), free_port()

    def arguments(self) -> tuple[object, ...]:
        return (self.cluster.kubeconfig, self.health, self.metrics)

    def begun(self) -> None:
        """Wait for the sweep, and for the watches to follow it."""
        self.eventually(lambda: self.log.exists() and '"swept"' in self.log.read_text(), "the sweep", seconds=60)
        self.eventually(self.follows, "the watches", seconds=30)

    def follows(self) -> bool:
        return 'iocaudit_part_seconds_since_progress{part="watch Pod"}' in metrics_of(self.metrics)

    def finds_pods(self, name: str) -> None:
        apply(self.cluster, pod("shop", name, hostPID=True))
        self.eventually(
            lambda: states(self.cluster, "shop", "host-pid").get(f"Pod/{name}") == "Open",
            f"the finding of pod {name}",
            seconds=PROMPT,
        )

    def is_well(self) -> None:
        assert probe(self.health, "/livez") == (200, "ok\n")
        assert probe(self.health, "/readyz")[0] == 200
        figures = metrics_of(self.metrics)
        restarted = {name: value for name, value in figures.items() if "part_restarts_total" in name and value}
        assert restarted == {}
        assert figures["iocaudit_threads_unsupervised"] == 0
        assert figures["iocaudit_threads_hanging"] == 0
        assert figures["iocaudit_operator_kinds_missed"] == 0
        assert figures["iocaudit_operator_kinds_unfollowed"] == 0
        assert {name: value for name, value in figures.items() if "watch_errors" in name and value} == {}
        assert "ended" not in self.log.read_text()


def accepted(cluster: ControlPlane, name: str) -> bool:
    found = [one for one in items(cluster, "auditpolicies") if one["metadata"]["name"] == name]
    conditions = found[0].get("status", {}).get("conditions", []) if found else []
    return any(one["type"] == "Accepted" and one["status"] == "True" for one in conditions)


@pytest.mark.parametrize("when", ["while it runs", "before it starts"])
def test_deep_objects_of_any_kind_cost_nobody_else_anything(
    cluster: ControlPlane, eventually: Eventually, tmp_path: Path, when: str
) -> None:
    running = Running(cluster, tmp_path / "operator.log", eventually)
    if when == "before it starts":
        store(cluster, tmp_path, eventually)
    with program(OPERATOR, running.log, *running.arguments()) as process:
        running.begun()
        running.finds_pods("one")
        if when == "while it runs":
            store(cluster, tmp_path, eventually)
        for name in ("two", "three"):
            running.finds_pods(name)
        eventually(lambda: accepted(cluster, "deep"), "the deep policy's own status", seconds=PROMPT)
        # Policies still take effect, and follow each other.
        apply(cluster, policy("off"))
        eventually(
            lambda: states(cluster, "shop", "host-pid")["Pod/one"] == "Resolved", "the policy", seconds=PROMPT * 2
        )
        assert accepted(cluster, "later")
        cluster.kubectl("delete", "auditpolicy", "later")
        eventually(lambda: states(cluster, "shop", "host-pid")["Pod/one"] == "Open", "its end", seconds=PROMPT * 2)
        running.is_well()
        remove(cluster)
        running.finds_pods("four")
        running.is_well()
        assert process.poll() is None
    cluster.kubectl("delete", "pods", "--all", "-nshop", "--grace-period=0", "--force")
