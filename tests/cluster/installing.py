"""Our manifests applied to a control plane, and our programs beside it as their ServiceAccounts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from tests.cluster.processes import (
    CRDS,
    MANIFESTS,
    START_WITH_WEBHOOK,
    WEBHOOK,
    Eventually,
    Json,
    apply,
    items,
    pod,
    program,
)
from tests.support.policies import preset_policy


def install_crds(cluster: ControlPlane, preset: str | None = "lockdown") -> None:
    """Our kinds, and the preset that holds where a test says nothing else; None: that of an empty cluster."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")
    if preset is not None:
        apply(cluster, preset_policy(preset))


def install(cluster: ControlPlane, preset: str = "lockdown") -> None:
    """Everything that ``kubectl apply -k manifests`` brings, under a preset."""
    install_crds(cluster, None)
    cluster.kubectl("apply", "--server-side", "-k", str(MANIFESTS))
    apply(cluster, preset_policy(preset))


def remove(cluster: ControlPlane) -> None:
    cluster.kubectl("delete", "-k", str(MANIFESTS), "--ignore-not-found", "--timeout=90s", timeout=120)


def configurations(cluster: ControlPlane) -> list[Json]:
    return items(cluster, "validatingwebhookconfigurations")


@contextlib.contextmanager
def registered(
    cluster: ControlPlane, folder: Path, eventually: Eventually, *, account: str | None = "iocaudit-operator"
) -> Iterator[None]:
    """Operator and webhook, up to a webhook that is called, with the operator's receiver; all end with the block.

    ``account`` None runs the operator as the cluster's administrator, whose rights nobody takes away.
    """
    kubeconfig = cluster.serviceaccount_kubeconfig("iocaudit", account) if account else cluster.kubeconfig
    webhook = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-admission")
    certificates, url = folder / "certificates", f"https://127.0.0.1:{free_port()}"
    receiver = free_port()
    with (
        program(START_WITH_WEBHOOK, folder / "operator.log", kubeconfig, url, certificates, 0, receiver),
        program(WEBHOOK, folder / "webhook.log", webhook, url, certificates, 0, receiver),
    ):
        eventually(lambda: len(configurations(cluster)) == 1, "the webhook configuration", seconds=60)
        eventually(lambda: denies(cluster), "the API server to call the webhook", seconds=30)
        yield


def denies(cluster: ControlPlane) -> bool:
    bad = pod("shop", "bad")
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    answer = cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(bad), check=False)
    return answer.returncode != 0 and "runs privileged" in answer.stderr


def tried(cluster: ControlPlane, body: Json) -> str:
    """What the API server says to an apply; empty where it was done."""
    answer = cluster.kubectl("apply", "-f", "-", input=json.dumps(body), check=False)
    return answer.stderr if answer.returncode != 0 else ""
