"""Our own certificate authority: pure functions from keys, names and times to certificates.

EC P-256 throughout. No clock and no I/O: the caller passes ``now`` (aware, UTC) and stores the result.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from iocaudit.core.ip import IpAddress
from iocaudit.serving.errors import CertificateError

BACKDATE = timedelta(minutes=5)
"""How far before ``now`` a certificate becomes valid, so a client whose clock is behind accepts it."""


@dataclass(frozen=True, slots=True)
class Names:
    """Whom a leaf stands for: DNS names and IP addresses of its subjectAltName; at least one."""

    dns: tuple[str, ...] = ()
    addresses: tuple[IpAddress, ...] = ()

    @classmethod
    def of(cls, *names: str) -> "Names":
        """Sort texts into IP addresses and DNS names; raises CertificateError on an empty or bad name."""
        dns: list[str] = []
        addresses: list[IpAddress] = []
        for name in names:
            try:
                addresses.append(ipaddress.ip_address(name))
            except ValueError as error:
                if not name or not name.isascii() or name != name.strip() or len(name) > 253:
                    raise CertificateError(f"{name!r} is neither an IP address nor a DNS name") from error
                dns.append(name)
        return cls(tuple(dns), tuple(addresses))


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key; the key stays out of ``repr``."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        return to_pem([self.certificate])

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """The certificates, one PEM block after the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def read_certificates(pem: bytes, where: str) -> list[x509.Certificate]:
    """All certificates of a PEM text; raises CertificateError naming ``where`` if there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError(f"{where}: no readable PEM certificate ({error})") from error


def read_pair(certificate: bytes, key: bytes, certificate_at: str, key_at: str) -> KeyPair:
    """One certificate with the EC P-256 key that belongs to it; raises CertificateError naming the field."""
    parsed = read_certificates(certificate, certificate_at)[0]
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Nothing of the library's message: it could quote the input, which is a key.
        raise CertificateError(f"{key_at}: no readable unencrypted PEM private key") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise CertificateError(f"{key_at}: the key is not EC P-256")
    if parsed.public_key() != private.public_key():
        raise CertificateError(f"{key_at}: the key does not belong to the certificate in {certificate_at}")
    return KeyPair(parsed, private)


def issue_ca(now: datetime, lifetime: timedelta, common_name: str = "iocaudit") -> KeyPair:
    """A self-signed authority that can sign leaves only (path length 0).

    Its name ends in its serial number, so two generations are never taken for one another.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "iocaudit"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{common_name} CA {serial % 2**32:08x}"),
        ]
    )
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    certificate = (
        _builder(name, name, public, serial, now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate, key)


def issue_leaf(ca: KeyPair, names: Names, now: datetime, lifetime: timedelta, common_name: str = "iocaudit") -> KeyPair:
    """A certificate for servers and clients under ``ca``, never valid for longer than ``ca`` itself."""
    if not names.dns and not names.addresses:
        raise CertificateError("a serving certificate needs at least one DNS name or IP address")
    if now >= ca.certificate.not_valid_after_utc:
        raise CertificateError("the certificate authority has expired; issue a new one first")
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "iocaudit"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    until = min(now + lifetime, ca.certificate.not_valid_after_utc)
    issuer_identifier = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(ca.certificate.subject, subject, public, x509.random_serial_number(), now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(name) for name in names.dns] + [x509.IPAddress(ip) for ip in names.addresses]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier), critical=False
        )
        .sign(ca.key, hashes.SHA256())
    )
    return KeyPair(certificate, key)


def needs_rotation(certificate: x509.Certificate, now: datetime, at: float = 2 / 3) -> bool:
    """Whether that share of the certificate's lifetime has passed."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= start + (end - start) * at


def stands_for(certificate: x509.Certificate, names: Names) -> bool:
    """Whether the subjectAltName holds exactly these names."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return set(held.get_values_for_type(x509.DNSName)) == set(names.dns) and set(
        held.get_values_for_type(x509.IPAddress)
    ) == set(names.addresses)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key signed the certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    issuer: x509.Name,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    serial: int,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    if now.tzinfo is None:
        raise CertificateError("now must carry a time zone")
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before((now - BACKDATE).astimezone(UTC))
        .not_valid_after(until.astimezone(UTC))
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
