"""The certificate of a server, read from files and reloaded into live listeners without failing a call.

The files come from a mounted Secret (the kubelet swaps them all at once through its ``..data`` link) or
from the user (cert-manager, or any tool that writes the files one after the other).
"""

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from iocaudit.serving.authority import read_certificates, to_pem
from iocaudit.serving.errors import CertificateError
from iocaudit.serving.metrics import CertificateMetrics
from iocaudit.supervision.part import Life

_log = logging.getLogger(__name__)

# TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 brings its own.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class _Files:
    """What was read in one go."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    trust: bytes | None

    def digest(self) -> bytes:
        parts = (self.certificate, self.key, self.client_ca or b"", self.trust or b"")
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


class CertificateSource:
    """One certificate with its key, for one server or several.

    With ``client_ca`` a client certificate under that file's authorities is required, TLS 1.3 is the
    least (TLS 1.2 could resume a session begun under an authority that was removed since), and the file
    is reloaded like the others: an authority that is taken out is no longer trusted.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        client_ca: Path | None = None,
        trust: Path | None = None,
        name: str = "serving",
        metrics: CertificateMetrics | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._certificate, self._key, self._client_ca, self._trust = certificate, key, client_ca, trust
        self._name, self._metrics, self._clock = name, metrics, clock
        self._seen: bytes | None = None
        self._leaf: x509.Certificate | None = None
        self._current: ssl.SSLContext | None = None
        self._generation = 0
        # Listeners hold this context for ever; at each handshake it hands over to the current one.
        self._outer = self._new_context()
        self._outer.sni_callback = self._hand_over

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        *,
        client_ca: Path | None = None,
        name: str = "serving",
        metrics: CertificateMetrics | None = None,
    ) -> "CertificateSource":
        """From ``tls.crt``, ``tls.key`` and, for `client_context`, ``ca.crt``: a mounted TLS Secret."""
        return cls(
            folder / "tls.crt",
            folder / "tls.key",
            client_ca=client_ca,
            trust=folder / "ca.crt",
            name=name,
            metrics=metrics,
        )

    @property
    def server_context(self) -> ssl.SSLContext:
        """What a listener takes; stays valid over reloads. Load first."""
        return self._outer

    @property
    def generation(self) -> int:
        """Grows by one with each reload; 0 before the first."""
        return self._generation

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate in use. Raises CertificateError before the first load."""
        if self._leaf is None:
            raise CertificateError(f"{self._certificate}: no certificate was loaded yet")
        return self._leaf

    @property
    def expires_at(self) -> datetime:
        """When the certificate in use expires."""
        return self.leaf.not_valid_after_utc

    def client_context(self) -> ssl.SSLContext:
        """A context for calls with this certificate as our identity, trusting ``ca.crt`` alone.

        Of the files as they are now: make a new one when `generation` has grown, or after a failed call.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._trust is None:
            raise CertificateError("no file of authorities to trust (ca.crt) was given")
        try:
            context.load_verify_locations(cafile=self._trust)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"{self._trust}: {_reason(error)}") from error
        self._load_chain(context)
        return context

    async def load(self, timeout: float = 60.0, interval: float = 0.25) -> None:
        """Wait until the files are there and usable; raises CertificateError after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while True:
            try:
                await asyncio.to_thread(self.reload)
            except CertificateError as error:
                if time.monotonic() >= end:
                    raise CertificateError(f"no usable certificate within {timeout:g} seconds: {error}") from error
            else:
                return
            await asyncio.sleep(interval)

    @property
    def name(self) -> str:
        """What metrics and logs call it."""
        return self._name

    async def watch(self, interval: float = 1.0, life: Life | None = None) -> None:
        """Reload whenever the files change, until cancelled; broken ones are logged, counted and left."""
        said = ""
        while True:
            if life is not None:
                life.beat()
            await asyncio.sleep(interval)
            try:
                await asyncio.to_thread(self.reload)
            except CertificateError as error:
                if str(error) == said:
                    continue
                said = str(error)
                _log.error(
                    "keeping the certificate in use: %s",
                    error,
                    extra={"certificate": self._name, "expires": self.expires_at.isoformat()},
                )

    def reload(self) -> bool:
        """Take over the files if they changed; whether they did.

        Raises CertificateError if they cannot be used; what was in use stays. The same broken files are
        refused once, then passed over until they change.
        """
        files = self._read()
        digest = files.digest()
        if digest == self._seen and self._current is not None:
            return False
        self._seen = digest
        try:
            leaf, context = self._build(files)
        except CertificateError:
            self._count("refused")
            raise
        self._leaf, self._current = leaf, context
        self._generation += 1
        self._count("loaded")
        if self._metrics is not None:
            self._metrics.expiry.labels(self._name).set(leaf.not_valid_after_utc.timestamp())
        _log.info(
            "certificate loaded",
            extra={"certificate": self._name, "expires": leaf.not_valid_after_utc.isoformat()},
        )
        return True

    def _build(self, files: _Files) -> tuple[x509.Certificate, ssl.SSLContext]:
        leaf = self._check(files)
        context = self._new_context()
        self._load_chain(context)
        if files.client_ca is not None:
            context.load_verify_locations(
                cadata=to_pem(read_certificates(files.client_ca, str(self._client_ca))).decode()
            )
        # OpenSSL reads the files by itself: what it read must be what was checked.
        if self._read() != files:
            self._seen = None
            raise CertificateError(f"{self._certificate}: the files changed while they were read")
        return leaf, context

    def _check(self, files: _Files) -> x509.Certificate:
        leaf = read_certificates(files.certificate, str(self._certificate))[0]
        try:
            key = serialization.load_pem_private_key(files.key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise CertificateError(f"{self._key}: no readable unencrypted PEM private key") from error
        if key.public_key() != leaf.public_key():
            raise CertificateError(f"{self._key}: the key does not belong to {self._certificate}")
        if self._clock() >= leaf.not_valid_after_utc:
            self._seen = None
            raise CertificateError(f"{self._certificate}: expired at {leaf.not_valid_after_utc.isoformat()}")
        return leaf

    def _load_chain(self, context: ssl.SSLContext) -> None:
        try:
            # An encrypted key is an error, not a question on the terminal.
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise CertificateError(f"{self._certificate}, {self._key}: {_reason(error)}") from error

    def _read(self) -> _Files:
        return _Files(
            _bytes(self._certificate),
            _bytes(self._key),
            _bytes(self._client_ca) if self._client_ca is not None else None,
            # Only `client_context` needs it; cert-manager's issuers need not write one.
            _bytes(self._trust) if self._trust is not None and self._trust.exists() else None,
        )

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        # Without resumption every handshake meets the current certificate and the current client authorities.
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        if self._client_ca is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None

    def _count(self, result: str) -> None:
        if self._metrics is not None:
            self._metrics.reloads.labels(self._name, result).inc()


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror or error}") from error
    if not content:
        raise CertificateError(f"{path}: the file is empty")
    return content


def _reason(error: Exception) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else str(error)) or type(error).__name__
