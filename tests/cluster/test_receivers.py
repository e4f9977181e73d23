"""Signals on a real control plane: the API server's audit webhook posts, and the operator writes what was seen."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.serving.authority import issue_ca, issue_leaf
from tests.cluster.installing import install, install_crds
from tests.cluster.processes import program
from tests.support.loopback import NAMES, NOW, write_pair
from tests.support.running import run

Eventually = Callable[..., None]
TOKEN = "the-token-of-the-api-server"
OPERATOR = """
import sys
from pathlib import Path
from iocaudit.controller.main import main
from iocaudit.controller.options import OperatorOptions
main(OperatorOptions(kubeconfig=Path(sys.argv[1]), namespace="iocaudit", lease_duration=3.0,
     health_host="127.0.0.1", health_port=0, metrics_host="127.0.0.1", metrics_port=0,
     attempts_host="127.0.0.1", attempts_port=int(sys.argv[3]), manage_webhook=False,
     certificate_folder=Path(sys.argv[2])))
"""


class Setting:
    """Certificates, the file of senders, and where operator and receivers listen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.operator_port, self.port, self.token_port = free_port(), free_port(), free_port()
        authority = issue_ca(NOW, timedelta(days=1))
        self.authority = authority.certificate_pem
        write_pair(folder, issue_leaf(authority, NAMES, NOW, timedelta(days=1)))
        (folder / "ca.crt").write_bytes(authority.certificate_pem)
        (folder / "api.token").write_text(TOKEN)
        (folder / "senders.yaml").write_text("senders: [{name: api-server, sources: [audit], tokenFile: api.token}]\n")
        self.cluster: ControlPlane | None = None

    @contextlib.contextmanager
    def receivers(self) -> Iterator[subprocess.Popen[bytes]]:
        assert self.cluster is not None
        command = [sys.executable, "-m", "iocaudit.cli", "receivers", "--host=127.0.0.1", "--drain-seconds=0"]
        command += [f"--certificates={self.folder}", f"--client-ca={self.folder / 'ca.crt'}"]
        command += [f"--senders={self.folder / 'senders.yaml'}", f"--data={self.folder / 'data'}"]
        command += [f"--operator-url=https://127.0.0.1:{self.operator_port}"]
        command += [f"--port={self.port}", f"--token-port={self.token_port}", "--health-port=0", "--metrics-port=0"]
        command += [f"--kubeconfig={self.cluster.kubeconfig}"]
        with (self.folder / "receivers.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)

    def seen(self) -> list[dict[str, Any]]:
        assert self.cluster is not None
        found = json.loads(self.cluster.kubectl("get", "clusteriocfindings", "-o", "json").stdout)["items"]
        return [one["finding"] for one in found if one["finding"]["type"] == "runtime"]


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    found = Setting(tmp_path)
    url = f"https://127.0.0.1:{found.token_port}/audit"
    with ControlPlane(
        audit_webhook_url=url, audit_webhook_ca=found.authority, audit_webhook_token=TOKEN
    ) as found.cluster:
        install(found.cluster)
        with program(OPERATOR, tmp_path / "operator.log", found.cluster.kubeconfig, tmp_path, found.operator_port):
            yield found


def test_the_api_server_takes_what_installs_receivers(control_plane: ControlPlane) -> None:
    install_crds(control_plane)
    control_plane.kubectl("create", "namespace", "iocaudit", check=False)
    for arguments in ([], ["--ephemeral"]):
        code, printed, said = run("manifests", "--receivers", *arguments)
        assert (code, said) == (0, "")
        control_plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", input=printed)


def test_what_the_audit_log_shows_becomes_findings_and_nothing_is_lost_or_doubled(
    setting: Setting, eventually: Eventually
) -> None:
    cluster = setting.cluster
    assert cluster is not None
    mallory = cluster.user_kubeconfig("mallory", ["system:masters"])

    def bind(name: str) -> None:
        cluster.kubectl(
            "create",
            "clusterrolebinding",
            name,
            "--clusterrole=cluster-admin",
            "--user=eve",
            kubeconfig=mallory,
        )

    with setting.receivers() as process:
        bind("first")
        eventually(
            lambda: any(one["target"] == "ClusterRoleBinding/first" for one in setting.seen()),
            "a finding of what mallory granted",
            seconds=180,
        )
        for number in range(5):
            bind(f"before-{number}")
        os.kill(process.pid, 9)
        process.wait()
    bind("meanwhile")
    with setting.receivers():
        for number in range(5):
            bind(f"after-{number}")
        wanted = {"first", "meanwhile", *(f"{when}-{number}" for when in ("before", "after") for number in range(5))}

        def granted() -> dict[str, int]:
            names = {one["target"].removeprefix("ClusterRoleBinding/"): one for one in setting.seen()}
            return {name: one["count"] for name, one in names.items() if one.get("user") == "mallory"}

        eventually(lambda: set(granted()) >= wanted, "findings of all that was granted", seconds=90)
        by_detection: dict[tuple[str, str], int] = {}
        for one in setting.seen():
            by_detection[one["target"], one["check"]] = one["count"]
        assert set(by_detection.values()) == {1}, by_detection

        def told() -> list[dict[str, Any]]:
            assert setting.cluster is not None
            found = json.loads(setting.cluster.kubectl("get", "iocincidents", "-o", "json").stdout)["items"]
            return [one["incident"] for one in found if "mallory" in one["incident"]["accounts"]]

        # Each is seen by two detections, and by the check of its object.
        eventually(lambda: [one["signals"] for one in told()] == [3 * len(wanted)], "one incident of it", seconds=90)
        [one] = told()
        assert (one["state"], one["severity"]) == ("Open", "medium"), "one indicator alone is never high"
        assert {f"ClusterRoleBinding/{name}" for name in wanted} <= set(one["targets"])
        [name] = cluster.kubectl("get", "iocincidents", "-o", "name").stdout.split()
        _verify(cluster, name.partition("/")[2], setting.folder)
        listed = cluster.kubectl("get", "iocincidents").stdout.splitlines()
        assert listed[0].split() == ["NAME", "SEVERITY", "INDICATORS", "TARGET", "ACCOUNT", "SIGNALS", "STATE", "AGE"]


def _verify(cluster: ControlPlane, name: str, folder: Path) -> None:
    """The evidence is exported, and what was exported is held against the IocIncident."""
    target, there = folder / "evidence.jsonl", f"--kubeconfig={cluster.kubeconfig}"
    code, printed, said = run("incident", "export", name, f"--data={folder / 'data'}", f"--output={target}")
    assert (code, printed, said) == (0, "", "")
    code, printed, said = run("incident", "verify", str(target), "--cluster", there)
    assert (code, said) == (0, ""), said
    assert f"records of {name} are as they were written" in printed
    first, _, records = target.read_bytes().partition(b"\n")
    forged = records.replace(b"binds cluster-admin", b"reads cluster-admin", 1)
    (folder / "forged.jsonl").write_bytes(first + b"\n" + forged)
    code, _, said = run("incident", "verify", str(folder / "forged.jsonl"), "--cluster", there)
    assert code == 2
    assert "one of them was changed" in said
    for output in ("table", "markdown", "html", "json"):
        code, printed, said = run("incident", "show", name, "-o", output, there)
        assert (code, said) == (0, ""), said
        assert "cluster-admin-attached" in printed
        assert "mallory" in printed
