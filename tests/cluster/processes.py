"""The product's programs as processes of their own beside a real control plane, and the objects they look at."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane

MANIFESTS = Path(__file__).parents[2] / "manifests"
CRDS = MANIFESTS / "crds"
Json = dict[str, Any]
Eventually = Callable[..., None]

START = """
import sys
from pathlib import Path
from iocaudit.controller.main import main
from iocaudit.controller.options import OperatorOptions
main(OperatorOptions(kubeconfig=Path(sys.argv[1]), namespace="iocaudit", period=float(sys.argv[2]),
     lease_duration=3.0, health_host="127.0.0.1", health_port=0, metrics_host="127.0.0.1", metrics_port=0,
     manage_webhook=False))
"""

START_WITH_WEBHOOK = """
import sys
from pathlib import Path
from iocaudit.controller.main import main
from iocaudit.controller.options import OperatorOptions
main(OperatorOptions(kubeconfig=Path(sys.argv[1]), namespace="iocaudit", lease_duration=3.0,
     health_host="127.0.0.1", health_port=0, metrics_host="127.0.0.1", metrics_port=int((sys.argv + ["0"])[4]),
     attempts_host="127.0.0.1", attempts_port=int((sys.argv[5:] + ["0"])[0]), webhook_url=sys.argv[2],
     certificate_folder=Path(sys.argv[3])))
"""
"""Kubeconfig, URL, folder for the certificates, and the ports of the metrics and of the receiver (any free ones)."""

WEBHOOK = """
import sys
from pathlib import Path
from admission.main import main
from admission.options import WebhookOptions
main(WebhookOptions(certificates=Path(sys.argv[3]), kubeconfig=Path(sys.argv[1]), host="127.0.0.1",
     port=int(sys.argv[2].rpartition(":")[2]), health_port=0, metrics_port=int((sys.argv + ["0"])[4]),
     drain_seconds=0.0, attempts_url=f"https://127.0.0.1:{sys.argv[5]}" if sys.argv[5:] else None))
"""
"""The same arguments."""


@contextlib.contextmanager
def program(start: str, log: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Runs one; whatever a test does, it is ended with it."""
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-c", start, *map(str, arguments)], stderr=output, stdout=output)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


@contextlib.contextmanager
def kept_running(start: str, log: Path, *arguments: object) -> Iterator[list[int]]:
    """Runs a program and starts it again whenever it exits, as the kubelet would; gives its process ids so far."""
    done, pids = threading.Event(), list[int]()

    def keep() -> None:
        while not done.is_set():
            with program(start, log, *arguments) as process:
                pids.append(process.pid)
                while process.poll() is None and not done.wait(0.1):
                    pass
            done.wait(1.0)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield pids
    finally:
        done.set()
        thread.join(30)


def metrics_of(port: int) -> dict[str, float]:
    """The metrics that a process exposes, each as it is written there, labels included; none while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    split = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in split}


def metric(port: int, name: str) -> float | None:
    """The value of a metric, written as it is exposed, labels included; None where it is not there (yet)."""
    return metrics_of(port).get(name)


def operator(
    cluster: ControlPlane, log: Path, period: float = 600.0
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """The operator without anything to do with the webhook."""
    return program(START, log, cluster.kubeconfig, period)


def apply(cluster: ControlPlane, *objects: Json) -> None:
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def deployment(namespace: str, *, privileged: bool, replicas: int = 1) -> Json:
    container = {"name": "app", "image": "hooli.com/shop/web:1.4", "securityContext": {"privileged": privileged}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


def pod(namespace: str, name: str, **spec: Any) -> Json:
    container = {"name": "app", "image": "hooli.com/shop/web:1.4"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container], **spec},
    }


def binding(name: str) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}],
    }


def items(cluster: ControlPlane, kind: str, *arguments: str) -> list[Json]:
    found: list[Json] = json.loads(cluster.kubectl("get", kind, "-o", "json", *arguments).stdout)["items"]
    return found


def states(cluster: ControlPlane, namespace: str | None, check: str) -> dict[str, str]:
    """Target to state of the findings of a check."""
    place = ("iocfindings", f"-n{namespace}") if namespace else ("clusteriocfindings",)
    found = items(cluster, *place)
    return {f["finding"]["target"]: f["finding"]["state"] for f in found if f["finding"]["check"] == check}


def told(cluster: ControlPlane, namespace: str | None, check: str) -> dict[str, str]:
    """The same, with what is not stored by itself: the targets that a finding names among what it implies."""
    place = ("iocfindings", f"-n{namespace}") if namespace else ("clusteriocfindings",)
    found = [one["finding"] for one in items(cluster, *place)]
    parts = {part["target"]: one["state"] for one in found for part in one.get("implies", ()) if part["check"] == check}
    return parts | {one["target"]: one["state"] for one in found if one["check"] == check}


def settled(cluster: ControlPlane, seconds: float = 60.0) -> dict[tuple[str, str], str]:
    """``versions`` once nothing of ours has been written for two seconds: what depends on a change comes after it."""
    until, before = time.monotonic() + seconds, versions(cluster)
    while time.monotonic() < until:
        time.sleep(2.0)
        now = versions(cluster)
        if now == before:
            return now
        before = now
    raise AssertionError(f"the findings have not come to rest within {seconds:.0f} s")


def versions(cluster: ControlPlane) -> dict[tuple[str, str], str]:
    """The resourceVersion of everything that is ours."""
    return {
        (item["kind"], item["metadata"]["uid"]): item["metadata"]["resourceVersion"]
        for kind in ("iocfindings", "clusteriocfindings", "auditreports", "clusterauditreports")
        for item in items(cluster, kind, "-A")
    }
