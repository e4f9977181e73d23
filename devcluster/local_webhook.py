"""Run the product's webhook as a process on loopback and register it by URL, as a Service would in a cluster."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from devcluster.controlplane import ControlPlane
from devcluster.errors import ControlPlaneError
from devcluster.ports import free_port
from devcluster.supervisor import ProcessSupervisor
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.engine.policy_set import PolicySet
from iocaudit.install.webhook_configuration import WebhookTarget, configuration
from iocaudit.serving.authority import Names, issue_ca, issue_leaf


class LocalWebhook:
    """``iocaudit webhook`` with a certificate of its own; ``register`` points the API server at it."""

    def __init__(
        self,
        cluster: ControlPlane,
        folder: Path,
        *,
        certificates: Path | None = None,
        attempts_url: str | None = None,
        client_ca: Path | None = None,
        drain_seconds: int = 1,
    ) -> None:
        """``certificates`` is a folder someone else fills, who sets ``ca_bundle`` too; without it we issue our own.

        ``attempts_url`` is where an operator takes denied attempts, under those certificates. With ``client_ca``
        only clients with a certificate under it are let in.
        """
        self._more = [f"--drain-seconds={drain_seconds}", *([f"--client-ca={client_ca}"] if client_ca else [])]
        self.cluster = cluster
        self.folder = folder
        self.port, self.health_port, self.metrics_port = free_port(), free_port(), free_port()
        self.log = folder / "webhook.log"
        processes = folder / "processes"
        processes.mkdir(parents=True)
        self._supervisor = ProcessSupervisor(processes)
        self.ca_bundle = b""
        self.pid = 0
        """Of the process that was started last."""
        self.attempts_url = attempts_url
        self.certificates = certificates or folder / "certificates"
        if certificates is None:
            self._issue()

    def _issue(self) -> None:
        now = datetime.now(UTC)
        authority = issue_ca(now, timedelta(days=1))
        leaf = issue_leaf(authority, Names.of("127.0.0.1"), now, timedelta(hours=12))
        self.ca_bundle = authority.certificate_pem
        self.certificates.mkdir(parents=True)
        for name, data in (("tls.crt", leaf.certificate_pem), ("tls.key", leaf.key_pem), ("ca.crt", self.ca_bundle)):
            (self.certificates / name).write_bytes(data)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        command = [
            sys.executable,
            "-m",
            "iocaudit.cli",
            "webhook",
            "--host=127.0.0.1",
            f"--port={self.port}",
            f"--health-port={self.health_port}",
            f"--metrics-port={self.metrics_port}",
            f"--certificates={self.certificates}",
            f"--kubeconfig={self.cluster.kubeconfig}",
            *self._more,
            *([f"--attempts-url={self.attempts_url}"] if self.attempts_url else []),
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        self.pid = self._supervisor.start("webhook", command, self.log, environment)
        deadline = time.monotonic() + 60
        while not self.ready:
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"the webhook is not ready: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ready(self) -> bool:
        """What a kubelet's probe would say."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/readyz", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def metrics(self) -> str:
        """What /metrics says now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=2) as answer:
            return str(answer.read().decode())

    def configuration(self, policies: PolicySet | None = None, url: str | None = None) -> dict[str, Any]:
        """The configuration of the built-in catalogue for this webhook's URL, or that of what stands before it.

        By default it goes by the policies that are in the cluster now.
        """
        catalogue = builtin_catalogue()
        target = WebhookTarget("iocaudit", "", url=url or self.url)
        return configuration(catalogue, policies or self._in_force(catalogue), target, self.ca_bundle)

    def _in_force(self, catalogue: Catalogue) -> PolicySet:
        found = self.cluster.kubectl("get", "auditpolicies", "-o", "json", check=False)
        raws = orjson.loads(found.stdout)["items"] if found.returncode == 0 else []
        return read_policies(raws, catalogue)

    def register(self, policies: PolicySet | None = None, url: str | None = None) -> None:
        """Write the ValidatingWebhookConfiguration."""
        body = orjson.dumps(self.configuration(policies, url)).decode()
        self.cluster.kubectl("apply", "-f", "-", input=body)

    def unregister(self) -> None:
        self.cluster.kubectl("delete", "validatingwebhookconfiguration", "iocaudit", "--ignore-not-found")

    def stop(self, grace: float = 5.0) -> None:
        """End the process: SIGTERM, as the kubelet does."""
        self._supervisor.stop("webhook", grace)

    def close(self) -> None:
        self._supervisor.end(2.0)
