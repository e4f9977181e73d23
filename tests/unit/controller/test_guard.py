"""Our own webhook is called as its configurations say: a CA bundle that no longer verifies it is found."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iocaudit.controller.guard import refusal, untrusted
from iocaudit.core.guard import WebhookClient
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.serving.authority import KeyPair, Names, issue_ca, issue_leaf
from tests.support.api import FakeApi
from tests.unit.controller.test_sweep import cluster_of, states

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
OURS, OTHER = issue_ca(NOW, DAY), issue_ca(NOW, DAY)
NAMES = Names.of("127.0.0.1")


def _bundle(authority: KeyPair) -> str:
    return base64.b64encode(authority.certificate_pem).decode()


class _Server:
    """Answers every call with its certificate, and nothing else."""

    def __init__(self, folder: Path, leaf: KeyPair) -> None:
        (folder / "tls.crt").write_bytes(leaf.certificate_pem)
        (folder / "tls.key").write_bytes(leaf.key_pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.calls = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            try:
                self._context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    found = _Server(tmp_path, issue_leaf(OURS, NAMES, NOW, DAY))
    yield found
    found.close()


def _webhook(port: int, bundle: str, name: str = "deny.iocaudit.io") -> dict[str, object]:
    return {"name": name, "clientConfig": {"url": f"https://127.0.0.1:{port}/validate", "caBundle": bundle}}


def _world(*webhooks: dict[str, object]) -> World:
    world = World()
    raw = {
        "apiVersion": VALIDATING_WEBHOOK_CONFIGURATION.api_version,
        "kind": VALIDATING_WEBHOOK_CONFIGURATION.name,
        "metadata": {"name": "iocaudit"},
        "webhooks": list(webhooks),
    }
    world.put(Resource(raw, CLUSTER))
    return world


def test_a_bundle_of_another_authority_is_told_and_ours_is_not(server: _Server) -> None:
    assert refusal(WebhookClient("127.0.0.1", server.port, _bundle(OURS))) is None
    told = refusal(WebhookClient("127.0.0.1", server.port, _bundle(OTHER)))
    assert told is not None
    assert told.startswith(f"127.0.0.1:{server.port}: ")


def test_an_expired_authority_is_told(tmp_path: Path) -> None:
    old = issue_ca(NOW - 3 * DAY, DAY)
    server = _Server(tmp_path, issue_leaf(old, NAMES, NOW - 3 * DAY, DAY))
    try:
        assert "expired" in (refusal(WebhookClient("127.0.0.1", server.port, _bundle(old))) or "")
    finally:
        server.close()


def test_who_does_not_answer_is_not_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert refusal(WebhookClient("127.0.0.1", port, _bundle(OURS))) is None
    assert refusal(WebhookClient("no-such-host.invalid", 443, _bundle(OURS))) is None


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".svc", ".svc", "a\0b"])
def test_what_is_no_host_is_not_told(host: str) -> None:
    assert refusal(WebhookClient(host, 443, _bundle(OURS))) is None
    assert refusal(WebhookClient("127.0.0.1", 2**16, _bundle(OURS))) is None


def test_text_between_the_certificates_of_a_bundle_is_no_matter(server: _Server) -> None:
    noted = base64.b64encode("# Zertifizierungsstelle Köln\n".encode() + OURS.certificate_pem).decode()
    assert refusal(WebhookClient("127.0.0.1", server.port, noted)) is None


def test_a_bundle_that_holds_the_very_certificate_verifies_it_as_for_an_api_server(tmp_path: Path) -> None:
    leaf = issue_leaf(OURS, NAMES, NOW, DAY)
    server = _Server(tmp_path, leaf)
    try:
        assert refusal(WebhookClient("127.0.0.1", server.port, _bundle(leaf))) is None
    finally:
        server.close()


def test_only_our_own_webhook_is_called_and_each_way_once(server: _Server) -> None:
    world = _world(
        _webhook(server.port, _bundle(OTHER)),
        _webhook(server.port, _bundle(OTHER)),
        _webhook(server.port, _bundle(OURS), "deny.example"),
        _webhook(server.port, "bm9uZQ=="),
        {"name": "deny.iocaudit.io"},
    )
    assert list(untrusted(world)) == [WebhookClient("127.0.0.1", server.port, _bundle(OTHER))]
    assert server.calls == 1


def test_the_sweep_flags_a_stale_bundle_though_nothing_in_the_cluster_changed(server: _Server) -> None:
    api = FakeApi()
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]}
    webhook = {**_webhook(server.port, _bundle(OURS)), "failurePolicy": "Fail", "rules": [rule]}
    api.put(VALIDATING_WEBHOOK_CONFIGURATION, "iocaudit", webhooks=[webhook])
    answers: dict[WebhookClient, str] = {}
    cluster = cluster_of(api, untrusted=lambda world: untrusted(world) | answers)
    cluster.sweep()
    assert states(api, "admission-bypass") == {}
    answers[WebhookClient("127.0.0.1", server.port, _bundle(OURS))] = "certificate has expired"
    cluster.sweep()
    assert states(api, "admission-bypass") == {"ValidatingWebhookConfiguration/iocaudit": "Open"}
    (finding,) = (one["finding"] for one in api.stored("clusteriocfindings"))
    assert "has a stale CA bundle, so every call fails: certificate has expired" in str(finding)
    answers.clear()
    cluster.sweep()
    assert states(api, "admission-bypass") == {"ValidatingWebhookConfiguration/iocaudit": "Resolved"}
    # Somebody else's bundle, stored beside ours: found by the next sweep.
    api.put(VALIDATING_WEBHOOK_CONFIGURATION, "old", webhooks=[{**webhook, **_webhook(server.port, _bundle(OTHER))}])
    cluster.sweep()
    assert states(api, "admission-bypass")["ValidatingWebhookConfiguration/old"] == "Open"
