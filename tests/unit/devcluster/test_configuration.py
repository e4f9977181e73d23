import base64
import json
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from devcluster import configuration, ports
from devcluster.binaries import Binaries
from devcluster.certificates import Authority
from devcluster.controlplane import ControlPlane
from devcluster.errors import ControlPlaneError


def test_the_audit_policy_asks_for_bodies_of_rbac_objects_only() -> None:
    rules = configuration.AUDIT_POLICY["rules"]
    with_bodies = [rule for rule in rules if rule["level"] not in ("None", "Metadata")]
    assert with_bodies == [{"level": "Request", "resources": [{"group": "rbac.authorization.k8s.io"}]}]
    assert rules[-1] == {"level": "Metadata"}


def test_client_certificates_carry_user_and_groups() -> None:
    authority = Authority("ca")
    pair = authority.client("jane@example.com", ["dev", "ops"])
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    subject = certificate.subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["jane@example.com"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "dev",
        "ops",
    ]


def test_serving_certificates_verify_for_their_hosts_and_no_other() -> None:
    authority = Authority("ca")
    pair = authority.serving("server", ["127.0.0.1", "localhost"])
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    store = Store([x509.load_pem_x509_certificate(authority.certificate)])
    builder = PolicyBuilder().store(store)
    assert builder.build_server_verifier(x509.DNSName("localhost")).verify(certificate, [])
    with pytest.raises(x509.verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("example.com")).verify(certificate, [])


def test_a_kubeconfig_holds_everything_itself() -> None:
    pair = Authority("ca").client("u")
    document = json.loads(configuration.kubeconfig("https://127.0.0.1:1", ca=b"CA", client=pair, user="u"))
    assert base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]) == b"CA"
    assert base64.b64decode(document["users"][0]["user"]["client-key-data"]) == pair.key
    context = document["contexts"][0]
    assert context["name"] == document["current-context"]
    assert context["context"] == {"cluster": document["clusters"][0]["name"], "user": "u"}


def test_webhook_credentials_are_for_every_host() -> None:
    document = json.loads(configuration.webhook_credentials(Authority("ca").client("kube-apiserver")))
    assert [user["name"] for user in document["users"]] == ["*"]


def test_a_free_port_can_be_listened_on_and_is_not_one_of_outgoing_connections() -> None:
    port = ports.free_port()
    assert port < 32768
    with socket.create_server((ports.LOOPBACK, port)) as server:
        assert server.getsockname()[1] == port


def test_using_a_control_plane_that_is_not_started_is_an_error() -> None:
    cluster = ControlPlane()
    for use in (lambda: cluster.kubeconfig, cluster.pids, cluster.stop_apiserver):
        with pytest.raises(ControlPlaneError, match=r"call start\(\) first"):
            use()
    cluster.stop()


def test_a_program_that_fails_at_once_is_named_with_its_log_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    etcd = tmp_path / "etcd"
    etcd.write_text("#!/bin/sh\necho cannot allocate memory\nexit 7\n", encoding="utf-8")
    etcd.chmod(0o755)
    cluster = ControlPlane(binaries=Binaries(etcd, etcd, etcd, etcd))
    with pytest.raises(ControlPlaneError, match=r"etcd exited with code 7 (.|\n)*cannot allocate memory"):
        cluster.start()
    assert list(tmp_path.iterdir()) == [etcd]


def test_too_long_a_temporary_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    binary = tmp_path / "unused"
    with pytest.raises(ControlPlaneError, match="set TMPDIR"):
        ControlPlane(binaries=Binaries(binary, binary, binary, binary)).start()
    assert list(long.iterdir()) == []
