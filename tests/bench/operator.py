"""The operator as a process on a real control plane with 10,000 pods, against merely listing and decoding them.

The pods stand under Deployments, a hundred each, as controllers would have made them; no controllers run, so
that nothing else changes while it is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from devcluster.controlplane import ControlPlane
from iocaudit.cluster.client import Client
from iocaudit.core.kinds import DEPLOYMENT, NAMESPACE, POD, REPLICA_SET, Kind
from tests.bench.scan import Row, cpu_seconds

CRDS = Path(__file__).parents[2] / "manifests" / "crds"
_NAMESPACES, _EACH = 100, 100
_PATIENCE = 600.0
_OURS = "iocaudit-operator"

_OPERATOR = """
import sys
from pathlib import Path
from iocaudit.controller.main import main
from iocaudit.controller.options import OperatorOptions
main(OperatorOptions(kubeconfig=Path(sys.argv[1]), namespace="iocaudit", health_host="127.0.0.1", health_port=0,
     metrics_host="127.0.0.1", metrics_port=0, manage_webhook=False, period=30.0))
"""
_LIST = """
import sys
from pathlib import Path
from iocaudit.cluster.client import Client
from iocaudit.core.kinds import POD
assert sum(1 for _ in Client.connect(Path(sys.argv[1])).each(POD)) >= int(sys.argv[2])
"""


def operator_rows() -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory() as scratch,
        ControlPlane(controllers=False, apiserver_args=["--disable-admission-plugins=ServiceAccount"]) as cluster,
    ):
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
        cluster.kubectl("create", "namespace", "iocaudit")
        began = time.monotonic()
        _fill(Client.connect(cluster.kubeconfig))
        print(f"{_NAMESPACES * _EACH} pods created in {time.monotonic() - began:.0f} s", file=sys.stderr)
        listed = cpu_seconds([sys.executable, "-c", _LIST, str(cluster.kubeconfig), str(_NAMESPACES * _EACH)])
        user = cluster.user_kubeconfig(_OURS, ["system:masters"])
        yield from _measured(cluster, user, Path(scratch) / "operator.log", listed)


def _measured(cluster: ControlPlane, kubeconfig: Path, log: Path, listed: float) -> Iterator[Row]:
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", _OPERATOR, str(kubeconfig)], stdout=output, stderr=output)
    try:
        _await(log, process, 1)
        first = _cpu(process.pid)
        written = _writes(cluster)
        # The watches begin now, and list nothing; the next sweep is that of the period.
        _await(log, process, 2)
        second = _cpu(process.pid)
        time.sleep(1.0)
        again = _writes(cluster) - written
        peak = _peak(process.pid)
    finally:
        process.terminate()
        process.wait(30)
    pods = f"{_NAMESPACES * _EACH} pods"
    yardstick = f"listing them {listed:.2f} s"
    yield (f"operator: start and sweep of {pods}", f"{first:.1f} s", yardstick, f"{first / listed:.1f}", "<= 20 s")
    yield (
        "operator: watches begun and a second sweep",
        f"{second - first:.1f} s",
        yardstick,
        f"{(second - first) / listed:.1f}",
        "<= 20 s",
    )
    yield ("operator: peak memory", f"{peak:.0f} MB", pods, "", "<= 150 MB")
    yield ("operator: writes of the second sweep", str(again), f"{written} of the first", "", "0")


def _fill(client: Client) -> None:
    container = {
        "name": "app",
        "image": "hooli.com/shop/web:1.4",
        "env": [{"name": f"SETTING_{n}", "value": "x" * 60} for n in range(60)],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}], "hostPID": True}
    labels = {"app": "web"}
    selector = {"matchLabels": labels}
    template = {"metadata": {"labels": labels}, "spec": spec}

    def fill(number: int) -> None:
        namespace = f"team-{number:03}"
        client.create(NAMESPACE, _body(NAMESPACE, {"name": namespace}))
        content = {"spec": {"replicas": _EACH, "selector": selector, "template": template}}
        owner = client.create(DEPLOYMENT, _body(DEPLOYMENT, {"name": "web", "namespace": namespace}) | content)
        metadata = {"name": "web-1", "namespace": namespace, "labels": labels, "ownerReferences": _owned(owner)}
        replicas = client.create(REPLICA_SET, _body(REPLICA_SET, metadata) | content)
        for pod in range(_EACH):
            metadata = {**metadata, "name": f"web-1-{pod:03}", "ownerReferences": _owned(replicas)}
            client.create(POD, _body(POD, metadata) | {"spec": spec})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, range(_NAMESPACES)))


def _body(kind: Kind, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}


def _owned(owner: dict[str, Any]) -> list[dict[str, Any]]:
    metadata = owner["metadata"]
    named = {"apiVersion": "apps/v1", "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return [{**named, "controller": True}]


def _await(log: Path, process: subprocess.Popen[bytes], sweeps: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while log.read_text().count('"swept"') < sweeps:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the operator made no {sweeps} sweeps: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def _cpu(pid: int) -> float:
    """User and system seconds of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> float:
    """The most memory a running process has held, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _writes(cluster: ControlPlane) -> int:
    """What the API server's audit log says the operator wrote, its Lease apart."""
    count = 0
    for line in cluster.audit_log.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] == _OURS and event["verb"] not in ("get", "list", "watch"):
            count += event.get("objectRef", {}).get("resource") != "leases" and event["stage"] == "ResponseComplete"
    return count
