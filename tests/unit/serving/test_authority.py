"""Certificates verify under the rules of the web's PKI, by cryptography's own verifier."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from iocaudit.serving.authority import (
    BACKDATE,
    KeyPair,
    Names,
    issue_ca,
    issue_leaf,
    needs_rotation,
    read_certificates,
    read_pair,
    stands_for,
    to_pem,
)
from iocaudit.serving.errors import CertificateError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = Names.of("iocaudit.iocaudit.svc", "10.0.0.7", "::1")


def test_a_leaf_verifies_for_each_of_its_names_as_server_and_as_client() -> None:
    ca = issue_ca(NOW, 30 * DAY)
    leaf = issue_leaf(ca, NAMES, NOW, DAY)
    builder = PolicyBuilder().store(Store([ca.certificate])).time(NOW)
    subjects: list[x509.DNSName | x509.IPAddress] = [x509.DNSName(NAMES.dns[0])]
    subjects += [x509.IPAddress(ip) for ip in NAMES.addresses]
    for subject in subjects:
        assert builder.build_server_verifier(subject).verify(leaf.certificate, [])[0] == leaf.certificate
    assert builder.build_client_verifier().verify(leaf.certificate, []).chain[0] == leaf.certificate


@pytest.mark.parametrize("at", [NOW - BACKDATE - timedelta(seconds=1), NOW + DAY + timedelta(seconds=1)])
def test_a_leaf_does_not_verify_outside_its_time(at: datetime) -> None:
    ca = issue_ca(NOW - DAY, 30 * DAY)
    leaf = issue_leaf(ca, NAMES, NOW, DAY)
    verifier = PolicyBuilder().store(Store([ca.certificate])).time(at).build_server_verifier(x509.DNSName(NAMES.dns[0]))
    with pytest.raises(VerificationError):
        verifier.verify(leaf.certificate, [])


def test_a_leaf_does_not_verify_for_another_name_or_under_another_authority() -> None:
    ca, other = issue_ca(NOW, 30 * DAY), issue_ca(NOW, 30 * DAY)
    leaf = issue_leaf(ca, NAMES, NOW, DAY)
    for authority, name in ((ca, "elsewhere.svc"), (other, NAMES.dns[0])):
        verifier = (
            PolicyBuilder().store(Store([authority.certificate])).time(NOW).build_server_verifier(x509.DNSName(name))
        )
        with pytest.raises(VerificationError):
            verifier.verify(leaf.certificate, [])


def test_an_authority_may_sign_leaves_only() -> None:
    certificate = issue_ca(NOW, DAY).certificate
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_a_leaf_never_outlives_its_authority() -> None:
    ca = issue_ca(NOW, DAY)
    leaf = issue_leaf(ca, NAMES, NOW + DAY / 2, 10 * DAY)
    assert leaf.certificate.not_valid_after_utc == ca.certificate.not_valid_after_utc
    with pytest.raises(CertificateError, match="expired"):
        issue_leaf(ca, NAMES, NOW + DAY, DAY)


def test_times_in_another_zone_are_the_same_moment() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert issue_ca(east, DAY).certificate.not_valid_after_utc == NOW + DAY
    with pytest.raises(CertificateError, match="time zone"):
        issue_ca(NOW.replace(tzinfo=None), DAY)


def test_rotation_is_due_after_its_share_of_the_lifetime() -> None:
    certificate = issue_ca(NOW + BACKDATE, 3 * DAY - BACKDATE).certificate
    assert not needs_rotation(certificate, NOW + 2 * DAY - timedelta(seconds=1))
    assert needs_rotation(certificate, NOW + 2 * DAY + timedelta(seconds=1))
    assert needs_rotation(certificate, NOW + DAY, at=0.25)


def test_names_are_compared_as_sets() -> None:
    leaf = issue_leaf(issue_ca(NOW, DAY), Names.of("b", "a", "::1"), NOW, DAY)
    assert stands_for(leaf.certificate, Names.of("a", "::1", "b"))
    assert not stands_for(leaf.certificate, Names.of("a", "b"))


@pytest.mark.parametrize("name", ["", " a", "ä.example", "x" * 254])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(CertificateError, match="neither"):
        Names.of(name)


def test_a_leaf_needs_a_name() -> None:
    with pytest.raises(CertificateError, match="at least one"):
        issue_leaf(issue_ca(NOW, DAY), Names(), NOW, DAY)


def test_pem_round_trip_and_its_errors() -> None:
    one, two = issue_ca(NOW, DAY), issue_ca(NOW, DAY)
    assert read_certificates(to_pem([one.certificate, two.certificate]), "x") == [one.certificate, two.certificate]
    assert read_pair(one.certificate_pem, one.key_pem, "a", "b").key_pem == one.key_pem
    with pytest.raises(CertificateError, match=r"ca\.crt"):
        read_certificates(b"nothing", "ca.crt")
    with pytest.raises(CertificateError, match=r"ca\.key: the key does not belong"):
        read_pair(one.certificate_pem, two.key_pem, "ca.crt", "ca.key")


def test_an_error_or_a_repr_never_shows_a_key() -> None:
    pair: KeyPair = issue_ca(NOW, DAY)
    broken = pair.key_pem[:60] + b"!" + pair.key_pem[61:]
    with pytest.raises(CertificateError) as caught:
        read_pair(pair.certificate_pem, broken, "ca.crt", "ca.key")
    body = pair.key_pem.split(b"\n")[1][:16].decode()
    assert body not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "key=" not in repr(pair)
