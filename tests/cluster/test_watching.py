"""What anybody may store, and what happens to connections, must not end or blind what follows the cluster."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.core.kinds import CONFIG_MAP, TRAEFIK_MIDDLEWARE, Kind
from iocaudit.records.kinds import AUDIT_POLICY, IOC_WAIVER
from iocaudit.serving.authority import Names, issue_ca, issue_leaf
from tests.cluster.custom_kinds import crd_of
from tests.cluster.processes import CRDS, Eventually, Json, apply, items, metrics_of, pod, program, states
from tests.cluster.swallower import Swallower

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


def listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


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


IMPATIENT = """
import sys
from iocaudit.cluster import watch
from iocaudit.cli.main import main
watch.STALE = 6.0
watch._SHORTEST_WATCH = watch._LONGEST_WATCH = 2
main()
"""
"""The program with short bounds: watches of two seconds, of which the client waits for 17."""


def operator_arguments(kubeconfig: Path, health: int, metrics: int) -> tuple[str, ...]:
    """What the command line is given for an operator on loopback that sweeps once."""
    where = ("--health-host=127.0.0.1", f"--health-port={health}", "--metrics-host=127.0.0.1")
    ours = ("--namespace=iocaudit", "--period=3600", "--no-manage-webhook")
    return ("operator", f"--kubeconfig={kubeconfig}", *ours, *where, f"--metrics-port={metrics}")


def test_connections_that_are_alive_and_say_nothing_are_noticed(
    cluster: ControlPlane, eventually: Eventually, tmp_path: Path
) -> None:
    running = Running(cluster, tmp_path / "operator.log", eventually)

    def unfollowed() -> float:
        return metrics_of(running.metrics).get("iocaudit_operator_kinds_unfollowed", -1)

    with Swallower(cluster, tmp_path) as way:
        arguments = operator_arguments(way.kubeconfig, running.health, running.metrics)
        with program(IMPATIENT, running.log, *arguments) as process:
            running.begun()
            running.finds_pods("stall-1")
            way.swallow(new=False)
            eventually(lambda: "the API server sends nothing about them" in running.log.read_text(), "it to be noticed")
            apply(cluster, pod("shop", "stall-2", hostPID=True))
            eventually(
                lambda: states(cluster, "shop", "host-pid").get("Pod/stall-2") == "Open",
                "the pod, on a new connection",
                seconds=90,
            )
            eventually(lambda: unfollowed() == 0, "the kinds to be complete again", seconds=40)
            running.finds_pods("stall-3")
            assert process.poll() is None
            assert probe(running.health, "/livez") == (200, "ok\n")
            figures = metrics_of(running.metrics)
            assert {name: value for name, value in figures.items() if "part_restarts_total" in name and value} == {}
    cluster.kubectl("delete", "pods", "--all", "-nshop", "--grace-period=0", "--force")


def test_a_webhook_that_hears_nothing_says_so_and_is_whole_again_once_it_does(
    cluster: ControlPlane, eventually: Eventually, tmp_path: Path
) -> None:
    """It stays ready, on what it knew; checks that look something up are not evaluated meanwhile."""
    now = datetime.now(UTC)
    ca = issue_ca(now, timedelta(days=1))
    leaf = issue_leaf(ca, Names.of("127.0.0.1"), now, timedelta(hours=1))
    for name, data in (("tls.crt", leaf.certificate_pem), ("tls.key", leaf.key_pem), ("ca.crt", ca.certificate_pem)):
        (tmp_path / name).write_bytes(data)
    port, health, figures = free_port(), free_port(), free_port()
    mounting = pod("shop", "mounting", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "later"}}])

    def warnings() -> str:
        request = {
            "uid": "u",
            "operation": "CREATE",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "name": "mounting",
            "namespace": "shop",
            "object": mounting,
            "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        }
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
        asked = urllib.request.Request(f"https://127.0.0.1:{port}/validate", body, {"Content-Type": "application/json"})
        trust = ssl.create_default_context(cadata=ca.certificate_pem.decode())
        with urllib.request.urlopen(asked, timeout=10, context=trust) as answer:
            response = json.load(answer)["response"]
        return " ".join([*response.get("warnings", ()), str(response.get("auditAnnotations", ""))])

    def missing() -> set[str]:
        return set(json.loads(probe(health, "/readyz")[1])["missing"])

    arguments = (f"--certificates={tmp_path}", "--host=127.0.0.1", f"--port={port}", "--drain-seconds=0")
    ports = (f"--health-port={health}", f"--metrics-port={figures}")
    with Swallower(cluster, tmp_path) as way:
        command = ("webhook", f"--kubeconfig={way.kubeconfig}", *arguments, *ports)
        with program(IMPATIENT, tmp_path / "webhook.log", *command) as process:
            eventually(lambda: listening(health) and probe(health, "/readyz")[0] == 200, "it to be ready", seconds=60)
            assert "not evaluated" not in warnings()
            way.swallow(new=True)
            eventually(lambda: "AuditPolicy.iocaudit.io" in missing(), "it to say that it hears nothing")
            eventually(lambda: "not evaluated" in warnings(), "what needs a look-up to be said not to be evaluated")
            assert (probe(health, "/readyz")[0], probe(health, "/livez")[0]) == (200, 200)
            way.release()
            eventually(lambda: missing() == set(), "it to be whole again", seconds=60)
            eventually(lambda: "not evaluated" not in warnings(), "look-ups to be evaluated again", seconds=20)
            assert process.poll() is None
            said = metrics_of(figures)
            assert said["iocaudit_threads_unsupervised"] == 0
            assert {name: value for name, value in said.items() if "part_restarts_total" in name and value} == {}


HANGING = """
import functools, time
from iocaudit.cli.main import main
from iocaudit.controller import main as operator
from iocaudit.evidence import ledger
from iocaudit.supervision.supervisor import Supervisor
operator.Supervisor = functools.partial(Supervisor, pace=0.1)
ledger.Ledger.run = lambda self, stop: time.sleep(3600)
main()
"""
"""The program with six seconds for a minute, and a part that hangs."""


def test_a_process_that_cannot_be_mended_ends_with_a_reason(cluster: ControlPlane, tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    with program(HANGING, log, *operator_arguments(cluster.kubeconfig, free_port(), free_port())) as process:
        assert process.wait(60) == 2
    lines = log.read_text().splitlines()
    assert [line for line in lines if "the process ends: attempts made no progress for" in line]
    assert lines[-1].startswith("iocaudit: attempts made no progress for")
    assert "Traceback" not in log.read_text()
    lease = json.loads(cluster.kubectl("get", "lease", "iocaudit-operator", "-niocaudit", "-o", "json").stdout)
    assert lease["spec"].get("holderIdentity", "") == "", "another one can take over at once"
