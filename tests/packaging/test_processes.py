"""The Deployments by hand: the image's folder, the manifests' arguments, a ServiceAccount's token, a real API server.

As in a pod: numbered user, no shell, no kubeconfig, the root read-only but for the emptyDirs that the manifests mount.
"""

import base64
import contextlib
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.core.own_names import SERVING_SECRET
from tests.packaging.dockerfile import ROOT, USER, Stage

ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane() as control_plane:
        definitions = str(ROOT / "manifests/crds")
        control_plane.kubectl("apply", "--server-side", "-f", definitions)
        control_plane.kubectl("wait", "--for=condition=Established", "-f", definitions, "--timeout=30s")
        control_plane.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests"))
        yield control_plane


class Container:
    """The container of one of our Deployments, on free ports of this machine."""

    def __init__(self, image: Stage, cluster: ControlPlane, name: str, folder: Path) -> None:
        text = (ROOT / f"manifests/base/{name.removeprefix('iocaudit-')}.yaml").read_text(encoding="utf-8")
        spec: Json = yaml.safe_load(text)["spec"]["template"]["spec"]
        self.container: Json = spec["containers"][0]
        empty = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
        self.writable = [m["mountPath"] for m in self.container["volumeMounts"] if m["name"] in empty]
        self.image, self.cluster, self.name = image, cluster, name
        self.root = image.root.copy(folder / "root")
        self.log = folder / "log"
        self.health = free_port()
        self.put(f"{ACCOUNT}/token", cluster.kubectl("create", "token", name, "-niocaudit").stdout.strip().encode())
        self.put(f"{ACCOUNT}/ca.crt", cluster.ca_file.read_bytes())

    def put(self, name: str, content: bytes) -> None:
        """As the kubelet mounts a file."""
        path = self.root.path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @contextlib.contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        api = urlsplit(self.cluster.url)
        environment = {
            **self.image.environment,
            "KUBERNETES_SERVICE_HOST": str(api.hostname),
            "KUBERNETES_SERVICE_PORT": str(api.port),
            "POD_NAME": self.name,
            "POD_NAMESPACE": "iocaudit",
        }
        argv = [*self.image.entrypoint, *self.container["args"], "--health-port", str(self.health)]
        with self.root.running(
            [*argv, "--metrics-port", str(free_port()), *options],
            self.log,
            environment=environment,
            folder=self.image.folder,
            user=USER,
            writable=self.writable,
        ) as process:
            yield process

    def answers(self, probe: str) -> bool:
        """Whether the kubelet would be content."""
        assert self.container[probe]["httpGet"]["port"] == "health"
        url = f"http://127.0.0.1:{self.health}{self.container[probe]['httpGet']['path']}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while not all(self.answers(probe) for probe in ("startupProbe", "livenessProbe", "readinessProbe")):
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def ends_when_asked(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()


def test_operator_and_webhook_run_as_pods_do(image: Stage, cluster: ControlPlane, tmp_path: Path) -> None:
    for name in ("operator", "webhook"):
        (tmp_path / name).mkdir()
    operator = Container(image, cluster, "iocaudit-operator", tmp_path / "operator")
    with operator.running("--attempts-port", str(free_port())) as process:
        operator.wait_until_ready(process)
        webhook = Container(image, cluster, "iocaudit-admission", tmp_path / "webhook")
        wait_for_report(cluster, operator)
        data = yaml.safe_load(cluster.kubectl("get", "secret", SERVING_SECRET, "-niocaudit", "-oyaml").stdout)["data"]
        (mount,) = [m for m in webhook.container["volumeMounts"] if m["name"] == "tls"]
        for key, value in data.items():
            webhook.put(f"{mount['mountPath']}/{key}", base64.b64decode(value))
        with webhook.running("--port", str(free_port()), "--drain-seconds", "0") as other:
            webhook.wait_until_ready(other)
            webhook.ends_when_asked(other)
        operator.ends_when_asked(process)


def wait_for_report(cluster: ControlPlane, operator: Container) -> None:
    """The first sweep has ended, and its report could be written."""
    deadline = time.monotonic() + 60
    while not cluster.kubectl("get", "clusterauditreports", "-oname").stdout:
        assert time.monotonic() < deadline, operator.log.read_text()
        time.sleep(0.2)
