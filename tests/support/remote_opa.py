"""An OPA that runs elsewhere, as docs/remote-opa has it: the real server behind TLS, which knows clients by tokens."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import ipaddress
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devcluster.ports import free_port

EXAMPLE = Path(__file__).parents[2] / "docs" / "remote-opa"
OTHER_OWNER = "other-cluster"
_TOKENS = {
    "loads": ("token-that-loads-" + "l" * 32, "iocaudit", True),
    "asks": ("token-that-asks-" + "a" * 32, "iocaudit", False),
    "other": ("token-of-another-cluster-" + "o" * 32, OTHER_OWNER, True),
}


@dataclass(frozen=True)
class RemoteFiles:
    """Where it is, and the files that a process is given to use it; ``other`` is the token of another owner."""

    url: str
    ca: Path
    loads: Path
    asks: Path
    other: Path


class RemoteServer:
    """One that can be killed, stopped and started again, each time as it begins: without any rule.

    It runs with the arguments that the Deployment of the example has, its files in ``folder`` by their names there.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self.url = f"https://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, program: Path) -> None:
        """Run it, until it answers."""
        assert self._process is None
        log = self._folder / "opa.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [str(program), *self._arguments()], env={"HOME": str(self._folder)}, stdout=out, stderr=out
            )
        self._await(self._process, log)

    def send(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(what)

    def kill(self) -> None:
        """End it at once, whatever state it is in."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _arguments(self) -> list[str]:
        documents = yaml.safe_load_all((EXAMPLE / "opa.yaml").read_text())
        (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        mounts = "|".join(re.escape(mount["mountPath"]) for mount in container["volumeMounts"])
        given = [re.sub(rf"(^|=)({mounts})/", rf"\g<1>{self._folder}/", one) for one in container["args"]]
        return [one.replace("--addr=:8181", f"--addr=127.0.0.1:{self._port}") for one in given]

    def _await(self, process: subprocess.Popen[bytes], log: Path) -> None:
        context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5, context=context):
                    return
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.05)


def clients_json(tokens: Mapping[str, tuple[str, str, bool]]) -> str:
    """The file of clients: token, owner, and whether it loads."""
    known = {
        hashlib.sha256(token.encode()).hexdigest(): {"owner": owner, "loads": loads}
        for token, owner, loads in tokens.values()
    }
    return json.dumps({"opa_clients": known})


@contextlib.contextmanager
def remote_opa(program: Path, folder: Path, *, port: int = 0, more: str = "") -> Iterator[RemoteFiles]:
    """Run an OPA server: our program, or OPA as others build it. ``more``: what it lets clients do beside that."""
    if not (folder / "tls.crt").exists():
        _make_certificate(folder / "tls.crt", folder / "tls.key")
        (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())
    (folder / "authz.rego").write_text((EXAMPLE / "authz.rego").read_text() + more)
    (folder / "tokens.json").write_text(clients_json(_TOKENS))
    paths = {name: folder / name for name in _TOKENS}
    for name, path in paths.items():
        path.write_text(f"{_TOKENS[name][0]}\n")
        os.chmod(path, 0o600)
    server = RemoteServer(folder, port or free_port())
    try:
        server.start(program)
        yield RemoteFiles(server.url, folder / "ca.crt", **paths)
    finally:
        server.kill()


def _make_certificate(certificate: Path, private: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "opa")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
