"""What a namespace's editor may store keeps both processes far below the memory limits of our manifests.

The API writes ``<`` as six bytes. Peaks are the kernel's (VmHWM), of the whole life of each process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from devcluster.ports import free_port
from iocaudit.cluster.client import Client
from iocaudit.core.kinds import CONFIG_MAP, NETWORK_POLICY, SERVICE, SERVICE_ACCOUNT, Kind
from tests.cluster.processes import CRDS, MANIFESTS, START, Eventually, Json, metric, program

MIB = 1024 * 1024
SWEPT = START.replace("metrics_port=0", "metrics_port=int(sys.argv[3])")


def limit_of(name: str) -> int:
    """Bytes that the manifest of a Deployment lets its container take."""
    for document in yaml.safe_load_all((MANIFESTS / "base" / f"{name}.yaml").read_text()):
        if document["kind"] == "Deployment":
            written = document["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
            return int(re.fullmatch(r"(\d+)Mi", written)[1]) * MIB  # type: ignore[index]
    raise AssertionError(name)


def peak(pid: int) -> int:
    """Bytes of memory that a process has held at most so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own, as it is filled."""
    with ControlPlane(controllers=False) as control_plane:
        for crd in sorted(CRDS.glob("*.yaml")):
            control_plane.kubectl("apply", "--server-side", "-f", str(crd))
        for namespace in ("iocaudit", "shop"):
            control_plane.kubectl("create", "namespace", namespace)
        yield control_plane


def large(kind: Kind, number: int) -> Json:
    found: Json = {"apiVersion": kind.api_version, "kind": kind.name}
    if kind is CONFIG_MAP:
        return {**found, "metadata": {"name": f"large-{number}", "namespace": "shop"}, "data": {"a": "<" * 1_000_000}}
    found["metadata"] = {"name": f"large-{number}", "namespace": "shop", "annotations": {"a": "<" * 250_000}}
    if kind is NETWORK_POLICY:
        found["spec"] = {"podSelector": {"matchLabels": {"app": f"a-{number}"}}, "policyTypes": ["Ingress"]}
    elif kind is SERVICE:
        found["spec"] = {"selector": {"app": f"a-{number}"}, "ports": [{"port": 80}]}
    return found


_COUNTS = {CONFIG_MAP: 60, NETWORK_POLICY: 125, SERVICE: 125, SERVICE_ACCOUNT: 125}


def store(cluster: ControlPlane, first: float, last: float) -> None:
    """Of these shares in all that is stored."""
    client = Client.connect(cluster.kubeconfig)
    wanted = [
        (kind, number) for kind, count in _COUNTS.items() for number in range(int(first * count), int(last * count))
    ]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda one: client.create(one[0], large(*one)), wanted))


def peaks(cluster: ControlPlane, folder: Path, eventually: Eventually) -> tuple[int, int]:
    """Of a webhook that starts until it is ready, and of an operator until it has swept."""
    folder.mkdir()
    webhook = LocalWebhook(cluster, folder / "webhook")
    try:
        webhook.start()
        webhook_peak = peak(webhook.pid)
    finally:
        webhook.close()
    port = free_port()
    with program(SWEPT, folder / "operator.log", cluster.kubeconfig, 600.0, port) as operator:
        eventually(lambda: bool(metric(port, "iocaudit_operator_last_sweep_timestamp_seconds")), "a sweep", seconds=300)
        return webhook_peak, peak(operator.pid)


def test_both_processes_stay_far_below_their_limits_whatever_is_stored(
    cluster: ControlPlane, tmp_path: Path, eventually: Eventually
) -> None:
    store(cluster, 0, 0.25)
    little = peaks(cluster, tmp_path / "little", eventually)
    store(cluster, 0.25, 1)
    much = peaks(cluster, tmp_path / "much", eventually)
    for name, before, after in zip(("admission", "operator"), little, much, strict=True):
        said = f"{name}: {before / MIB:.0f} MiB, four times as much {after / MIB:.0f} MiB"
        assert after < 0.7 * limit_of(name), said
        assert after < 1.1 * before, said
