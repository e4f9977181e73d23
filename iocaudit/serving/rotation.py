"""Rotation of our authority and leaf in two phases, so no call fails at any time.

A new authority is first only **announced**: it joins the bundle. Once the bundle that clients really
hold was seen to contain it, and a settling time has passed, it **takes over**: it signs a new leaf. The
authority before stays in the bundle for a grace period, while replicas still serve the leaf it signed.
Pure: the caller stores the state (`to_data`, `from_data`) and publishes ``ca_bundle``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509

from iocaudit.serving.authority import (
    KeyPair,
    Names,
    is_issued_by,
    issue_ca,
    issue_leaf,
    needs_rotation,
    read_certificates,
    read_pair,
    stands_for,
    to_pem,
)
from iocaudit.serving.errors import CertificateError


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things are valid, and how long each phase of a rotation lasts.

    ``settle``: from the moment the new bundle was seen published until leaves under it are issued; longer
    than kubelets and API servers take to see a change. ``grace``: from a new leaf until the authority
    before leaves the bundle; longer than the slowest replica takes to reload its certificate.
    """

    ca: timedelta = timedelta(days=3 * 365)
    leaf: timedelta = timedelta(days=90)
    rotate_at: float = 2 / 3
    settle: timedelta = timedelta(minutes=10)
    grace: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class CertificateState:
    """All of our certificates. ``ca`` signed ``leaf``.

    ``next_ca`` is announced; ``announced_at`` is when the bundle with it was first seen published.
    ``previous_ca`` signed leaves until ``taken_over_at``; its key is gone.
    """

    ca: KeyPair
    leaf: KeyPair
    next_ca: KeyPair | None = None
    announced_at: datetime | None = None
    previous_ca: x509.Certificate | None = None
    taken_over_at: datetime | None = None

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """The authorities that clients should trust now."""
        trusted = [self.ca.certificate]
        if self.next_ca is not None:
            trusted.append(self.next_ca.certificate)
        if self.previous_ca is not None:
            trusted.append(self.previous_ca)
        return tuple(trusted)

    @property
    def ca_bundle(self) -> bytes:
        """What clients should trust now, as PEM (the webhook configuration's ``caBundle``, before base64)."""
        return to_pem(self.trusted)


def first_state(names: Names, now: datetime, lifetimes: Lifetimes | None = None) -> CertificateState:
    """A new authority and a leaf under it."""
    lifetimes = lifetimes or Lifetimes()
    ca = issue_ca(now, lifetimes.ca)
    return CertificateState(ca=ca, leaf=issue_leaf(ca, names, now, lifetimes.leaf))


def rotate(
    state: CertificateState,
    now: datetime,
    *,
    names: Names,
    published: bytes,
    lifetimes: Lifetimes | None = None,
) -> CertificateState:
    """At most one step of the authority's rotation, and a new leaf where one is due; the same object if neither is.

    ``published`` is the PEM bundle that clients were last seen to hold (read back from where it was
    written; empty if unknown): a new authority never signs a leaf before it is in there. The caller
    stores the new state, then publishes its bundle; a crash in between is made good by the next call.
    An authority that has expired is replaced at once, since nothing it signed is accepted any more.
    """
    lifetimes = lifetimes or Lifetimes()
    state = _rotate_authority(state, now, names, published, lifetimes)
    # In the same call: where calls are rare, a leaf that waited for the authority's turn would expire.
    if needs_rotation(state.leaf.certificate, now, lifetimes.rotate_at) or not stands_for(
        state.leaf.certificate, names
    ):
        return replace(state, leaf=issue_leaf(state.ca, names, now, lifetimes.leaf))
    return state


def _rotate_authority(
    state: CertificateState, now: datetime, names: Names, published: bytes, lifetimes: Lifetimes
) -> CertificateState:
    if now >= state.ca.certificate.not_valid_after_utc:
        if state.next_ca is None or now >= state.next_ca.certificate.not_valid_after_utc:
            return first_state(names, now, lifetimes)
        return _take_over(state, state.next_ca, names, now, lifetimes)
    if state.next_ca is not None:
        if state.announced_at is None:
            if _holds(published, state.next_ca.certificate):
                return replace(state, announced_at=now)
        elif now >= state.announced_at + lifetimes.settle and _holds(published, state.next_ca.certificate):
            return _take_over(state, state.next_ca, names, now, lifetimes)
    elif state.previous_ca is not None:
        if state.taken_over_at is None or now >= state.taken_over_at + lifetimes.grace:
            return replace(state, previous_ca=None, taken_over_at=None)
    elif needs_rotation(state.ca.certificate, now, lifetimes.rotate_at):
        return replace(state, next_ca=issue_ca(now, lifetimes.ca))
    return state


def kept_leaf(
    data: Mapping[str, bytes] | None, ca: KeyPair, names: Names, now: datetime, lifetimes: Lifetimes
) -> KeyPair | None:
    """The leaf in the data of a TLS Secret; None where there is none, or where a new one under ``ca`` is due."""
    try:
        leaf = _pair(data or {}, "tls.crt", "tls.key")
    except CertificateError:
        return None
    is_due = needs_rotation(leaf.certificate, now, lifetimes.rotate_at) or not stands_for(leaf.certificate, names)
    return leaf if is_issued_by(leaf.certificate, ca.certificate) and not is_due else None


def to_data(state: CertificateState) -> dict[str, bytes]:
    """The state as the data of a Secret that only its owner reads (it holds the authority's keys)."""
    data = {
        "ca.crt": state.ca.certificate_pem,
        "ca.key": state.ca.key_pem,
        "tls.crt": state.leaf.certificate_pem,
        "tls.key": state.leaf.key_pem,
        "ca-bundle.crt": state.ca_bundle,
    }
    if state.next_ca is not None:
        data["next-ca.crt"] = state.next_ca.certificate_pem
        data["next-ca.key"] = state.next_ca.key_pem
    if state.announced_at is not None:
        data["announced-at"] = state.announced_at.isoformat().encode()
    if state.previous_ca is not None:
        data["previous-ca.crt"] = to_pem([state.previous_ca])
    if state.taken_over_at is not None:
        data["taken-over-at"] = state.taken_over_at.isoformat().encode()
    return data


def to_serving_data(state: CertificateState) -> dict[str, bytes]:
    """The data of the ``kubernetes.io/tls`` Secret that servers mount: no authority's key is in it."""
    return {"tls.crt": state.leaf.certificate_pem, "tls.key": state.leaf.key_pem, "ca.crt": state.ca_bundle}


def from_data(data: Mapping[str, bytes]) -> CertificateState:
    """Read what `to_data` wrote; raises CertificateError naming the field that is missing or wrong."""
    ca = _pair(data, "ca.crt", "ca.key")
    leaf = _pair(data, "tls.crt", "tls.key")
    next_ca = _pair(data, "next-ca.crt", "next-ca.key") if "next-ca.crt" in data else None
    previous = data.get("previous-ca.crt")
    state = CertificateState(
        ca=ca,
        leaf=leaf,
        next_ca=next_ca,
        announced_at=_time(data, "announced-at"),
        previous_ca=read_certificates(previous, "previous-ca.crt")[0] if previous is not None else None,
        taken_over_at=_time(data, "taken-over-at"),
    )
    for name, certificate in (("ca.crt", ca.certificate), ("next-ca.crt", next_ca and next_ca.certificate)):
        if certificate and not is_issued_by(certificate, certificate):
            raise CertificateError(f"{name}: not a self-signed certificate authority")
    if not is_issued_by(leaf.certificate, ca.certificate):
        raise CertificateError("tls.crt: not signed by the authority in ca.crt")
    if read_certificates(_field(data, "ca-bundle.crt"), "ca-bundle.crt") != list(state.trusted):
        raise CertificateError("ca-bundle.crt: does not hold the authorities of the other fields")
    return state


def _take_over(
    state: CertificateState, ca: KeyPair, names: Names, now: datetime, lifetimes: Lifetimes
) -> CertificateState:
    return CertificateState(
        ca=ca,
        leaf=issue_leaf(ca, names, now, lifetimes.leaf),
        previous_ca=state.ca.certificate,
        taken_over_at=now,
    )


def _holds(bundle: bytes, certificate: x509.Certificate) -> bool:
    """Whether clients hold a certificate; a bundle that someone spoilt holds none, and is about to be replaced."""
    try:
        return bool(bundle.strip()) and certificate in read_certificates(bundle, "the published CA bundle")
    except CertificateError:
        return False


def _field(data: Mapping[str, bytes], name: str) -> bytes:
    value = data.get(name)
    if not value:
        raise CertificateError(f"{name}: missing or empty")
    return value


def _pair(data: Mapping[str, bytes], certificate: str, key: str) -> KeyPair:
    return read_pair(_field(data, certificate), _field(data, key), certificate, key)


def _time(data: Mapping[str, bytes], name: str) -> datetime | None:
    value = data.get(name)
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value.decode("ascii"))
    except ValueError as error:
        raise CertificateError(f"{name}: not a time in ISO 8601") from error
    if time.tzinfo is None:
        raise CertificateError(f"{name}: the time has no zone")
    return time.astimezone(UTC)
