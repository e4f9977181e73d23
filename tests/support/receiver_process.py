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
from tests.support.signal_posts import write_senders


class ReceiverProcess:
    """``start`` and ``kill`` as often as wanted; ``post`` is one request of the API server's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.health = free_port(), free_port()
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
        self._context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._context.load_cert_chain(folder / "api/tls.crt", folder / "api/tls.key")

    def start(self, *more: str) -> None:
        command = [sys.executable, "-m", "iocaudit.cli", "receivers", "--host", "127.0.0.1"]
        command += ["--certificates", str(self.folder), "--client-ca", str(self.folder / "ca.crt")]
        command += ["--senders", str(self.folder / "senders.yaml"), "--data", str(self.folder / "data")]
        command += ["--operator-url", self.operator_url, "--kubeconfig", str(self.folder / "kubeconfig")]
        command += ["--port", str(self.port), "--health-port", str(self.health), "--metrics-port", "0"]
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
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self._context)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

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
