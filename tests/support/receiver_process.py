"""The real ``iocaudit receivers`` as a process, with nobody behind it: API server and operator are away."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from devcluster.ports import free_port
from iocaudit.serving.authority import issue_ca, issue_leaf
from tests.support.loopback import NAMES, NOW, write_pair
from tests.support.process_cpu import cpu_taken
from tests.support.signal_posts import write_senders


class ReceiverProcess:
    """``start`` and ``kill`` as often as wanted; ``post`` is one request of the API server's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.token_port, self.health, self._metrics = (free_port() for _ in range(4))
        authority = issue_ca(NOW, timedelta(days=1))
        (folder / "api").mkdir()
        write_pair(folder, issue_leaf(authority, NAMES, NOW, timedelta(days=1)))
        write_pair(
            folder / "api", issue_leaf(authority, NAMES, NOW, timedelta(days=1), common_name="system:apiserver-audit")
        )
        (folder / "ca.crt").write_bytes(authority.certificate_pem)
        write_senders(folder)
        away = f"https://127.0.0.1:{free_port()}"
        self.operator_url = away
        (folder / "kubeconfig").write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            f"clusters: [{{name: c, cluster: {{server: '{away}'}}}}]\n"
            "users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.server_context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self.client_context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self.client_context.load_cert_chain(folder / "api/tls.crt", folder / "api/tls.key")

    def __enter__(self) -> ReceiverProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *more: str) -> None:
        command = [sys.executable, "-m", "iocaudit.cli", "receivers", "--host", "127.0.0.1"]
        command += ["--certificates", str(self.folder), "--client-ca", str(self.folder / "ca.crt")]
        command += ["--senders", str(self.folder / "senders.yaml"), "--data", str(self.folder / "data")]
        command += ["--operator-url", self.operator_url, "--kubeconfig", str(self.folder / "kubeconfig")]
        command += ["--port", str(self.port), "--health-port", str(self.health), "--metrics-port", str(self._metrics)]
        command += ["--drain-seconds", "0"]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen([*command, *more], stdout=log, stderr=log)
        log.close()
        until = time.monotonic() + 120
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError((self.folder / "log").read_text()[-4000:])
            time.sleep(0.05)

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.health, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def post(self, body: bytes, path: str = "/audit") -> int:
        """Its status. Raises OSError or HTTPException where there was no answer."""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.client_context)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def cpu(self) -> float:
        """Seconds of CPU that it has taken."""
        assert self._process is not None
        taken = cpu_taken(self._process.pid)
        assert taken is not None
        return taken.own

    def peak_mebibytes(self) -> float:
        """The most memory that it had."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def metric(self, name: str) -> float:
        """A figure that it exposes without labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self._metrics, timeout=30)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def kill(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, 9)
        self._process.wait()

    def terminate(self) -> int:
        """End it in order; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
