"""An incident as it is told: its steps, whom and what it concerns, how bad it is, and in which state it is.

The same content stands in a post to the operator and in the custom resource. Pure: no clock, no API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds.ours import API_VERSION
from iocaudit.core.moments import LATEST, rfc3339
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import Json, mapping, text
from iocaudit.knowledge.clipping import clip
from iocaudit.records.finding import SEVERITY_LABEL, STATE_LABEL, rank

MOST_STEPS: Final = 50
"""Steps that are told; the worst and the first go before the others."""
MOST_NAMES: Final = 32
"""Accounts, targets, habits and checks that are named."""
MOST_WEAKNESSES: Final = 50
LONGEST_TEXT: Final = 1024
LONGEST_NAME: Final = 253
LONGEST_TARGET: Final = 512
LONGEST_TITLE: Final = 256
LONGEST_TECHNIQUE: Final = 64
NAME = re.compile(r"incident-[0-9a-f]{10,32}")
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_HEAD = re.compile(r"[0-9a-f]{64}")
_LARGEST = 2**53 - 1

T = TypeVar("T")


class IncidentState(StrEnum):
    """Open while signals follow each other within the window."""

    OPEN = "Open"
    CLOSED = "Closed"
    MERGED = "Merged"


class IncidentFormatError(IocauditError):
    """What was given is not an incident; names the field and what is wrong with it."""


class IncidentStep(NamedTuple):
    """What one rule said of one account and target. Times are those of the signals, in UTC."""

    rule: str
    title: str
    severity: Severity
    iocs: tuple[IoC, ...]
    account: str
    target: str
    sightings: int
    first: datetime
    last: datetime
    message: str
    technique: str = ""


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """One incident, as far as it is told. ``evidence_head`` binds the ``evidence_count`` records that are kept of it.

    ``name`` is given once, and kept whatever comes later. ``opened`` is when it was first told, ``first`` and ``last``
    are the times of its signals. ``reason`` says why it is not open. ``targets`` are ``namespace/Kind/name``, or
    ``Kind/name`` in cluster scope; ``related`` are the ids of checks that find the weaknesses behind it. Texts are fit
    to be shown, control characters spelled out, and everything is within the bounds of the schema.
    """

    name: str
    state: IncidentState
    reason: str
    severity: Severity
    iocs: tuple[IoC, ...]
    accounts: tuple[str, ...]
    targets: tuple[str, ...]
    signals: int
    first: datetime
    last: datetime
    opened: datetime
    steps: tuple[IncidentStep, ...]
    step_count: int
    related: tuple[str, ...] = ()
    habits: tuple[str, ...] = ()
    merged_into: str = ""
    evidence_count: int = 0
    evidence_head: str = ""


class IncidentWeakness(NamedTuple):
    """A posture finding behind an incident. ``is_used`` where it is of an object that the incident is about."""

    namespace: str
    finding: str
    check: str
    severity: str
    target: str
    state: str
    is_used: bool


def incident_content(record: IncidentRecord) -> Json:
    """The content. What the record holds is within the bounds of the schema already."""
    content: Json = {
        "name": record.name,
        "state": record.state.value,
        "severity": record.severity.label,
        "rank": rank(record.severity),
        "iocs": [int(ioc) for ioc in record.iocs],
        "indicators": ",".join(str(int(ioc)) for ioc in record.iocs),
        "accounts": list(record.accounts),
        "targets": list(record.targets),
        "target": _among(record.targets),
        "account": _among(record.accounts),
        "signals": record.signals,
        "firstSignal": _moment(record.first),
        "lastSignal": _moment(record.last),
        "opened": _moment(record.opened),
        "stepCount": record.step_count,
        "steps": [_step(one) for one in record.steps],
        "relatedChecks": list(record.related),
        "habits": list(record.habits),
    }
    if record.reason:
        content["reason"] = record.reason
    if record.merged_into:
        content["mergedInto"] = record.merged_into
    if record.evidence_head:
        content["evidence"] = {"count": record.evidence_count, "head": record.evidence_head}
    return content


def _among(names: tuple[str, ...]) -> str:
    """The first, and how many more are listed."""
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else ""


def _step(one: IncidentStep) -> Json:
    step: Json = {
        "rule": one.rule,
        "title": one.title,
        "severity": one.severity.label,
        "iocs": [int(ioc) for ioc in one.iocs],
        "account": one.account,
        "target": one.target,
        "count": one.sightings,
        "first": _moment(one.first),
        "last": _moment(one.last),
        "message": one.message,
    }
    return {**step, "technique": one.technique} if one.technique else step


def _moment(when: datetime) -> str:
    """RFC 3339 with microseconds, as an order of steps needs them."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_incident(raw: object, where: str = "incident") -> IncidentRecord:
    """Read a content back. Raises IncidentFormatError; what this version does not know is left out."""
    fields = _Fields(raw, where)
    name = fields.text("name", 64)
    if not NAME.fullmatch(name):
        raise IncidentFormatError(f"{where}.name: not the name of an incident")
    merged = fields.text("mergedInto", 64, optional=True)
    if merged and not NAME.fullmatch(merged):
        raise IncidentFormatError(f"{where}.mergedInto: not the name of an incident")
    first, last = fields.moment("firstSignal"), fields.moment("lastSignal")
    if first > last:
        raise IncidentFormatError(f"{where}.firstSignal: later than lastSignal")
    return IncidentRecord(
        name,
        fields.one_of("state", IncidentState),
        fields.text("reason", LONGEST_TEXT, optional=True),
        fields.one_of("severity", Severity.parse),
        fields.iocs(),
        fields.texts("accounts", MOST_NAMES, LONGEST_NAME),
        fields.texts("targets", MOST_NAMES, LONGEST_TARGET),
        fields.count("signals"),
        first,
        last,
        fields.moment("opened"),
        tuple(_read_step(one, f"{where}.steps[{at}]") for at, one in enumerate(fields.list("steps", MOST_STEPS))),
        fields.count("stepCount"),
        tuple(_check(one, f"{where}.relatedChecks") for one in fields.texts("relatedChecks", MOST_NAMES, 63)),
        fields.texts("habits", MOST_NAMES, LONGEST_NAME),
        merged,
        *_read_evidence(fields.optional("evidence"), f"{where}.evidence"),
    )


def _read_evidence(raw: object, where: str) -> tuple[int, str]:
    if raw is None:
        return 0, ""
    fields = _Fields(raw, where)
    head = fields.text("head", 64)
    if not _HEAD.fullmatch(head):
        raise IncidentFormatError(f"{where}.head: must be 64 hex digits")
    return fields.count("count"), head


def _read_step(raw: object, where: str) -> IncidentStep:
    fields = _Fields(raw, where)
    return IncidentStep(
        _check(fields.text("rule", 63), f"{where}.rule"),
        fields.text("title", LONGEST_TITLE),
        fields.one_of("severity", Severity.parse),
        fields.iocs(),
        fields.text("account", LONGEST_NAME),
        fields.text("target", LONGEST_TARGET),
        fields.count("count"),
        fields.moment("first"),
        fields.moment("last"),
        fields.text("message", LONGEST_TEXT),
        fields.text("technique", LONGEST_TECHNIQUE, optional=True),
    )


def _check(value: str, where: str) -> str:
    if len(value) > 63 or not _ID.fullmatch(value):
        raise IncidentFormatError(f"{where}: not the id of a check or detection")
    return value


class _Fields:
    """The fields of one object, each of its type and within its bound."""

    def __init__(self, raw: object, where: str) -> None:
        if not isinstance(raw, dict):
            raise IncidentFormatError(f"{where}: not an object")
        self._raw, self._where = raw, where

    def text(self, field: str, most: int, *, optional: bool = False) -> str:
        value = self._raw.get(field, "" if optional else None)
        if not isinstance(value, str) or len(value) > most:
            raise IncidentFormatError(f"{self._where}.{field}: must be a string of at most {most} characters")
        return value

    def optional(self, field: str) -> object:
        return self._raw.get(field)

    def one_of(self, field: str, read: Callable[[str], T]) -> T:
        try:
            return read(self.text(field, 64))
        except ValueError as error:
            raise IncidentFormatError(f"{self._where}.{field}: {error}") from error

    def count(self, field: str) -> int:
        value = self._raw.get(field)
        if type(value) is not int or not 0 <= value <= _LARGEST:
            raise IncidentFormatError(f"{self._where}.{field}: must be a whole number from 0 to {_LARGEST}")
        return value

    def moment(self, field: str) -> datetime:
        value = self.text(field, 40)
        try:
            found = datetime.fromisoformat(value)
        except ValueError as error:
            raise IncidentFormatError(f"{self._where}.{field}: must be an RFC 3339 time") from error
        if found.tzinfo is None or not 0 <= found.timestamp() < LATEST:
            raise IncidentFormatError(f"{self._where}.{field}: must be an RFC 3339 time with its zone")
        return found

    def list(self, field: str, most: int) -> list[Any]:
        value = self._raw.get(field)
        if not isinstance(value, list) or len(value) > most:
            raise IncidentFormatError(f"{self._where}.{field}: must be a list of at most {most}")
        return value

    def texts(self, field: str, most: int, longest: int) -> tuple[str, ...]:
        found = self.list(field, most)
        if not all(isinstance(one, str) and len(one) <= longest for one in found):
            raise IncidentFormatError(f"{self._where}.{field}: must be strings of at most {longest} characters")
        return tuple(found)

    def iocs(self) -> tuple[IoC, ...]:
        found = self.list("iocs", len(IoC))
        if not all(type(one) is int and one in set(IoC) for one in found):
            raise IncidentFormatError(f"{self._where}.iocs: must be numbers from 1 to 10")
        return tuple(sorted({IoC(one) for one in found}))


def incident_body(
    record: IncidentRecord, weaknesses: Iterable[IncidentWeakness], now: datetime, before: Mapping[str, Any] | None
) -> Json:
    """The custom resource; ``before`` is the one that is stored, whose version it replaces."""
    content = {key: value for key, value in incident_content(record).items() if key != "name"}
    known = sorted(weaknesses, key=lambda one: (not one.is_used, Severity.parse(one.severity) * -1, one.finding))
    content["weaknesses"] = [_weakness(one) for one in known[:MOST_WEAKNESSES]]
    content["weaknessCount"] = len(known)
    content["lastChanged"] = rfc3339(now)
    metadata: Json = {
        "name": record.name,
        "labels": {SEVERITY_LABEL: record.severity.label, STATE_LABEL: record.state.value},
    }
    version = text(mapping(mapping(before).get("metadata")).get("resourceVersion"))
    if version:
        metadata["resourceVersion"] = version
    return {"apiVersion": API_VERSION, "kind": "IocIncident", "metadata": metadata, "incident": content}


def _weakness(one: IncidentWeakness) -> Json:
    return {
        **({"namespace": one.namespace} if one.namespace else {}),
        "finding": one.finding,
        "check": one.check,
        "severity": one.severity,
        "target": clip(one.target, LONGEST_TARGET),
        "state": one.state,
        "used": one.is_used,
    }
