"""How our own webhook is called: where, and under which certificates."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.guard import WebhookClient, certificates, client_of
from iocaudit.serving.authority import issue_ca

_CA = issue_ca(datetime.now(UTC), timedelta(days=1))


def _frame(body: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"


def _bundle(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def test_a_real_bundle_holds_its_certificates() -> None:
    assert len(certificates(_bundle(_CA.certificate_pem))) == 1
    assert len(certificates(_bundle(b"# ours\n" + _CA.certificate_pem + b"\r\n" + _CA.certificate_pem))) == 2


@pytest.mark.parametrize(
    "bundle",
    [
        "",
        "no base64!",
        _bundle(b""),
        _bundle(b"-----BEGIN CERTIFICATE-----\n"),
        _bundle(_frame(b"")),
        _bundle(_frame(b"****")),
        _bundle(_frame(b"AAAA")),
        _bundle(_frame(b"MAMCAQ==")),
        _bundle(_frame(b"MAMCAQEC")),
        _bundle(_frame(b"MIA=")),
        _bundle(_CA.key_pem),
        _bundle(_CA.certificate_pem.replace(b"END CERTIFICATE", b"END")),
        _bundle(_CA.certificate_pem[:200] + _CA.certificate_pem[210:]),
        _CA.certificate_pem.decode(),
    ],
)
def test_what_is_no_certificate_is_told_without_cryptography(bundle: str) -> None:
    assert certificates(bundle) == []


@given(st.binary(max_size=60), st.text(max_size=30))
def test_any_bundle_is_read_or_refused(body: bytes, text: str) -> None:
    assert certificates(text) == []
    for der in certificates(_bundle(_frame(base64.b64encode(body)))):
        assert der == body
        assert der[0] == 0x30


@pytest.mark.parametrize(
    ("config", "client"),
    [
        ({"service": {"name": "a", "namespace": "b"}, "caBundle": "eA=="}, WebhookClient("a.b.svc", 443, "eA==")),
        ({"service": {"name": "a", "namespace": "b", "port": 8443}}, WebhookClient("a.b.svc", 8443, "")),
        ({"url": "https://a.example/x", "caBundle": "e\nA=="}, WebhookClient("a.example", 443, "eA==")),
        ({"url": "https://[::1]:8443/x"}, WebhookClient("::1", 8443, "")),
        ({"url": "https://a:port"}, WebhookClient("", 443, "")),
        ({"service": {"name": 1}}, WebhookClient("", 443, "")),
        (None, WebhookClient("", 443, "")),
    ],
)
def test_where_it_is_called(config: object, client: WebhookClient) -> None:
    assert client_of({"clientConfig": config}) == client
