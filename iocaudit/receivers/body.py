"""The body of a post taken apart: its entries, each with the sender's own identity of it, and the signals they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import orjson

from iocaudit.core.errors import IocauditError
from iocaudit.core.shape import mapping
from iocaudit.decoding.objects import NotJsonError, decode
from iocaudit.signals.alerts import is_alertmanager, read_alerts
from iocaudit.signals.audit_event import AuditEvent, LinePlace, is_event
from iocaudit.signals.audit_wrappers import events_in
from iocaudit.signals.detector_health import HEALTH_LABEL
from iocaudit.signals.falco import is_falco, read_alert
from iocaudit.signals.signal import Signal, SignalSource, signal_of

MOST_ENTRIES = 100_000
_LISTS = ("items", "records", "events", "logEvents")


class BodyError(IocauditError):
    """A body holds no signal of the source that it was posted as; says why."""


class SignalEntry(NamedTuple):
    """One thing reported. ``identity`` is 16 bytes; the same again is the same report. ``raw`` is its JSON."""

    identity: bytes
    raw: Any


def read_entries(source: SignalSource, body: bytes) -> list[SignalEntry]:
    """The entries of a body. Raises BodyError where it is not JSON, or not of that source."""
    identity_of = _IDENTITIES[source]
    return [SignalEntry(identity_of(raw), raw) for raw in _read_reports(source, body)]


def read_signals(source: SignalSource, body: bytes, left_out: Collection[int], place: str) -> Iterator[Signal]:
    """The signals of a body that `read_entries` took, but for the entries at those positions."""
    for index, raw in enumerate(_read_reports(source, body)):
        if index in left_out:
            continue
        where = LinePlace(place, index + 1)
        if source is SignalSource.AUDIT:
            yield from (signal_of(one) for one in events_in(raw, where) if isinstance(one, AuditEvent))
        elif source is SignalSource.FALCO:
            yield signal_of(read_alert(raw, where))
        else:
            yield from (signal_of(one) for one in read_alerts(raw, where))


def _read_reports(source: SignalSource, body: bytes) -> list[dict[str, Any]]:
    """The JSON of each thing reported. Raises BodyError."""
    try:
        raw = _decoded(body)
    except NotJsonError as error:
        raise BodyError(f"the body is not JSON: {error}") from error
    found = list(_REPORTS[source](raw))
    if len(found) > MOST_ENTRIES:
        raise BodyError(f"the body has {len(found)} entries, and may have {MOST_ENTRIES}")
    return found


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return decode(body)


def _audit(raw: Any) -> Iterator[dict[str, Any]]:
    several = next((raw[name] for name in _LISTS if isinstance(raw.get(name), list)), None) if _is_list(raw) else None
    if several is None:
        several = raw if isinstance(raw, list) else [raw]
    elif not several:
        return  # an EventList without an event is one
    some = False
    for one in several:
        if isinstance(one, dict):
            some = True
            yield one
    if not some:
        raise BodyError("the body is not an EventList of audit.k8s.io, nor an event of an audit log")


def _is_list(raw: Any) -> bool:
    return isinstance(raw, dict) and not is_event(raw)


def _audit_identity(raw: dict[str, Any]) -> bytes:
    """Of an event the request, its stage, when and whose: the id alone is the client's to choose."""
    if is_event(raw):
        user = mapping(raw.get("user")).get("username")
        return _digest(raw.get("auditID"), raw.get("stage"), raw.get("requestReceivedTimestamp"), user)
    return _digest(orjson.dumps(raw, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))


def _falco(raw: Any) -> Iterator[dict[str, Any]]:
    several = raw if isinstance(raw, list) else [raw]
    alerts = [one for one in several if isinstance(one, dict) and is_falco(one)]
    if not alerts:
        raise BodyError("the body is not an alert of Falco: it has no rule with output_fields, or priority and output")
    yield from alerts


def _falco_identity(raw: dict[str, Any]) -> bytes:
    return _digest(read_alert(raw, LinePlace("", 0)).identity)


def _alertmanager(raw: Any) -> Iterator[dict[str, Any]]:
    """A message for each alert."""
    if not isinstance(raw, dict) or not is_alertmanager(raw):
        raise BodyError("the body is not a message of Alertmanager's webhook: it has no alerts with a receiver")
    shared = {key: value for key, value in raw.items() if key != "alerts"}
    for one in raw["alerts"]:
        if isinstance(one, dict):
            yield {**shared, "alerts": [one]}


def _alertmanager_identity(raw: dict[str, Any]) -> bytes:
    (alert,) = read_alerts(raw, LinePlace("", 0))
    # Alertmanager repeats what fires: of a detector's health each time tells that it is so now.
    again = (time.time_ns(),) if HEALTH_LABEL in alert.labels else ()
    return _digest(alert.fingerprint, alert.starts_at, alert.status, *again)


def _digest(*parts: object) -> bytes:
    """Of the parts, each by itself: no part can imitate the end of another."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


_REPORTS = {
    SignalSource.AUDIT: _audit,
    SignalSource.FALCO: _falco,
    SignalSource.ALERTMANAGER: _alertmanager,
}
_IDENTITIES = {
    SignalSource.AUDIT: _audit_identity,
    SignalSource.FALCO: _falco_identity,
    SignalSource.ALERTMANAGER: _alertmanager_identity,
}
