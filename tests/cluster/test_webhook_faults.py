"""Replicas that come and go, certificates that change and callers that are not the API server, under load."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import (
    BasicConstraints,
    CertificateBuilder,
    DNSName,
    IPAddress,
    Name,
    NameAttribute,
    SubjectAlternativeName,
    random_serial_number,
)
from cryptography.x509.oid import NameOID

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ClusterError, ForbiddenError
from iocaudit.serving.authority import KeyPair, Names, issue_ca, issue_leaf
from tests.cluster.forwarder import Endpoint, Forwarder
from tests.cluster.installing import install_crds
from tests.support.flood import flooding

DENIED = 'admission webhook "deny.iocaudit.io" denied the request'


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """One that shows webhooks a client certificate; without controllers, as nothing here needs them."""
    with ControlPlane(webhook_client_certificate=True, controllers=False) as found:
        install_crds(found)
        found.kubectl("create", "namespace", "shop")
        yield found


def pod(privileged: bool) -> dict[str, Any]:
    container = {"name": "app", "image": "hooli.com/shop/web:1.4", "securityContext": {"privileged": privileged}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "load-", "namespace": "shop"},
        "spec": {"containers": [container]},
    }


class Load:
    """Good and bad pods, created by dry run again and again; any other answer than the right one is a failure."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._client = Client.connect(cluster.kubeconfig)
        self.failures: list[str] = []
        self.denied = self.admitted = 0

    def once(self, privileged: bool) -> str:
        """What was wrong with the answer to one pod; empty where nothing was."""
        try:
            self._client.request("POST", "/api/v1/namespaces/shop/pods", query={"dryRun": "All"}, body=pod(privileged))
        except ForbiddenError as error:
            if not privileged or DENIED not in str(error):
                return str(error)
            self.denied += 1
        except ClusterError as error:
            return str(error)
        else:
            if privileged:
                return "a privileged pod was admitted"
            self.admitted += 1
        return ""

    def _run(self, stop: threading.Event, privileged: bool) -> None:
        while not stop.is_set():
            if failure := self.once(privileged):
                self.failures.append(failure)
            time.sleep(0.01)

    @contextmanager
    def running(self, threads: int = 4) -> Iterator[None]:
        stop = threading.Event()
        workers = [threading.Thread(target=self._run, args=(stop, number % 2 == 0)) for number in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            stop.set()
            for worker in workers:
                worker.join(30)

    def goes_on(self, eventually: Callable[..., None], calls: int = 20) -> None:
        """Wait for that many more right answers of both sorts."""
        denied, admitted = self.denied + calls, self.admitted + calls
        eventually(lambda: self.denied >= denied and self.admitted >= admitted, "further answers", seconds=60)


def serves(load: Load, eventually: Callable[..., None]) -> None:
    """The API server takes a moment to call a new webhook, or to take up its new address."""
    eventually(lambda: not load.once(True) and not load.once(False), "the API server to call the webhook", seconds=60)


def lay_out(folder: Path, version: str, files: dict[str, bytes]) -> None:
    """Write files as the kubelet mounts a Secret: all change at once, by one link."""
    (folder / version).mkdir(parents=True)
    for name, data in files.items():
        (folder / version / name).write_bytes(data)
    fresh = folder / "..data_tmp"
    fresh.symlink_to(version)
    fresh.rename(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)


def ours(ca: KeyPair) -> dict[str, bytes]:
    now = datetime.now(UTC)
    leaf = issue_leaf(ca, Names.of("127.0.0.1"), now, timedelta(hours=12))
    return {"tls.crt": leaf.certificate_pem, "tls.key": leaf.key_pem, "ca.crt": ca.certificate_pem}


def of_cert_manager(ca: KeyPair) -> dict[str, bytes]:
    """RSA keys in PKCS#1, as cert-manager makes them by default."""
    from ipaddress import IPv4Address

    from cryptography.hazmat.primitives.hashes import SHA256

    now = datetime.now(UTC)
    key = rsa.generate_private_key(65537, 2048)
    certificate = (
        CertificateBuilder()
        .subject_name(Name([NameAttribute(NameOID.COMMON_NAME, "iocaudit-admission.iocaudit-system.svc")]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(
            SubjectAlternativeName(
                [DNSName("iocaudit-admission.iocaudit-system.svc"), IPAddress(IPv4Address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(serialization.load_pem_private_key(ca.key_pem, None), SHA256())  # type: ignore[arg-type]
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return {
        "tls.crt": certificate.public_bytes(serialization.Encoding.PEM),
        "tls.key": encoded,
        "ca.crt": ca.certificate_pem,
    }


def served_certificate(webhook: LocalWebhook) -> bytes:
    """The certificate that a new connection is shown, as PEM."""
    return ssl.get_server_certificate(("127.0.0.1", webhook.port)).encode()


def sample(webhook: LocalWebhook, name: str) -> float:
    """The sum of a metric's samples whose name and labels begin so."""
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}\S* (\S+)$", webhook.metrics(), re.MULTILINE))


def test_two_replicas_are_restarted_one_after_the_other_without_a_failed_call(
    cluster: ControlPlane, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    ca = issue_ca(datetime.now(UTC), timedelta(days=1))
    certificates = tmp_path / "certificates"
    lay_out(certificates, "..one", ours(ca))
    replicas = [
        LocalWebhook(
            cluster,
            tmp_path / name,
            certificates=certificates,
            client_ca=cluster.webhook_client_ca_file,
            drain_seconds=3,
        )
        for name in ("a", "b")
    ]
    first = replicas[0]
    first.ca_bundle = ca.certificate_pem
    load = Load(cluster)
    try:
        for replica in replicas:
            replica.start()
        endpoints = [Endpoint(replica.port, lambda replica=replica: replica.ready) for replica in replicas]  # type: ignore[misc]
        with Forwarder(endpoints) as service:
            first.register(url=service.url)
            serves(load, eventually)
            with load.running():
                load.goes_on(eventually)
                for replica in replicas:
                    replica.stop(grace=30)
                    load.goes_on(eventually)
                    replica.start()
                load.goes_on(eventually)
            assert load.failures == []
            # kube-apiserver keeps its connections, so that all are with the first since the second went away.
            assert sample(first, "iocaudit_admission_verdicts_total{") > 0
    finally:
        first.unregister()
        for replica in replicas:
            replica.close()


def test_authority_and_certificate_are_rotated_without_a_failed_call(
    cluster: ControlPlane, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """Our own first, then another authority's: announced in the bundle, taken over, then the old one left out."""
    authorities = [issue_ca(datetime.now(UTC), timedelta(days=1), name) for name in ("one", "two", "three")]
    certificates = tmp_path / "certificates"
    lay_out(certificates, "..0", ours(authorities[0]))
    webhook = LocalWebhook(
        cluster, tmp_path / "webhook", certificates=certificates, client_ca=cluster.webhook_client_ca_file
    )
    webhook.ca_bundle = authorities[0].certificate_pem
    load = Load(cluster)
    loaded = 'iocaudit_certificate_reloads_total{name="serving",result="loaded"}'
    try:
        webhook.start()
        webhook.register()
        serves(load, eventually)
        with load.running():
            for number, make in ((1, ours), (2, of_cert_manager)):
                before, after = authorities[number - 1], authorities[number]
                webhook.ca_bundle = before.certificate_pem + after.certificate_pem
                webhook.register()
                time.sleep(3)  # the API server says nowhere that it has taken the bundle up; an operator waits minutes
                files = make(after)
                lay_out(certificates, f"..{number}", files)
                eventually(lambda number=number: sample(webhook, loaded) == number + 1, "the new certificate")
                assert served_certificate(webhook).split() == files["tls.crt"].split()
                load.goes_on(eventually)
                webhook.ca_bundle = after.certificate_pem
                webhook.register()
                load.goes_on(eventually)
        assert load.failures == []
    finally:
        webhook.unregister()
        webhook.close()


def api_servers_certificate(cluster: ControlPlane, folder: Path) -> Path:
    """Certificate and key that kube-apiserver shows to webhooks, as one PEM file."""
    user = json.loads((cluster.folder / "webhook-client.kubeconfig").read_text())["users"][0]["user"]
    path = folder / "apiserver.pem"
    path.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
    return path


def test_files_of_the_users_own_serve_and_only_the_api_server_gets_in(
    cluster: ControlPlane, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    ca = issue_ca(datetime.now(UTC), timedelta(days=1), "cert-manager")
    certificates = tmp_path / "certificates"
    lay_out(certificates, "..2026_01_01", of_cert_manager(ca))
    webhook = LocalWebhook(
        cluster, tmp_path / "webhook", certificates=certificates, client_ca=cluster.webhook_client_ca_file
    )
    webhook.ca_bundle = ca.certificate_pem

    def post(identity: Path | None, body: bytes) -> tuple[int, str]:
        context = ssl.create_default_context(cadata=ca.certificate_pem.decode())
        if identity is not None:
            context.load_cert_chain(identity)
        connection = http.client.HTTPSConnection("127.0.0.1", webhook.port, context=context, timeout=10)
        try:
            connection.request("POST", "/validate", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    load = Load(cluster)
    try:
        webhook.start()
        webhook.register()
        serves(load, eventually)
        foreign = tmp_path / "foreign.pem"
        stranger = ours(ca)  # under the authority of the serving certificate, which admits nobody
        foreign.write_bytes(stranger["tls.crt"] + stranger["tls.key"])
        for identity in (None, foreign):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                post(identity, b"{}")
        known = api_servers_certificate(cluster, tmp_path)
        status, said = post(known, b"{")
        assert (status, "not JSON" in said) == (400, True)
        assert sample(webhook, "iocaudit_admission_malformed_total") == 1
        assert load.once(True) == load.once(False) == "", "it goes on serving the API server"
    finally:
        webhook.unregister()
        webhook.close()


@pytest.mark.parametrize(
    ("known", "sources", "kinds"),
    [
        (True, 0, {"silent": 6_000, "half": 3_500, "kept": 500}),
        (False, 16, {"silent": 1_000, "half": 1_000, "kept": 2_500, "slow": 100}),
    ],
    ids=["with the API server's certificate", "without"],
)
def test_the_api_server_is_served_among_thousands_of_connections(
    known: bool,
    sources: int,
    kinds: dict[str, int],
    cluster: ControlPlane,
    tmp_path: Path,
    eventually: Callable[..., None],
) -> None:
    """With its certificate even where they come from its own address."""
    client_ca = cluster.webhook_client_ca_file if known else None
    webhook = LocalWebhook(cluster, tmp_path / "webhook", client_ca=client_ca)
    load = Load(cluster)
    try:
        webhook.start()
        with flooding(webhook.port, sources=sources, **kinds):
            webhook.register()  # now, so that the API server's own connections are new
            serves(load, eventually)
            with load.running():
                load.goes_on(eventually, calls=40)
            assert webhook.ready
            assert sample(webhook, 'iocaudit_connections{listener="admission"') <= 1024
            assert sample(webhook, "process_resident_memory_bytes") < 0.7 * 512 * 1024**2
        assert load.failures == []
        assert sample(webhook, 'iocaudit_connections_closed_total{listener="admission"') > 1000
    finally:
        webhook.unregister()
        webhook.close()
