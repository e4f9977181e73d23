"""What is kept of a sighting as evidence: who did what to what, by which signal, without credentials.

Of objects the spec stays with its images; values of environment variables, Secrets and ConfigMaps are told by their
length alone, and credentials of a known format by their kind.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from iocaudit.core.shape import Json, mapping, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.credentials.credential import by_name, in_text, redacted
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.falco import FalcoAlert
from iocaudit.signals.sighting import Sighting
from iocaudit.sinks.escape import visible

MOST_BYTES: Final = 16 * 1024
"""Of a record; a larger one goes without its object."""
_LONGEST, _MOST_ITEMS, _DEEPEST = 1000, 200, 24
_WITHHELD = frozenset({"data", "stringData", "binaryData"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def record_of(sighting: Sighting, when: datetime, account: str, target: str) -> Json:
    """The record. ``when`` and the names are those that the sighting is attributed by."""
    signal = sighting.signal
    return {
        "account": _text(account),
        "at": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "iocs": [int(ioc) for ioc in sighting.iocs],
        "message": _text(sighting.message),
        "rule": sighting.rule,
        "severity": sighting.severity.label,
        "signal": _signal(sighting),
        "source": signal.source.value,
        "target": _text(target),
        "technique": sighting.technique,
        "title": _text(sighting.title),
    }


def without_object(record: Json) -> Json:
    """The same where the object is too large to be kept."""
    return {**record, "signal": {k: v for k, v in record["signal"].items() if k not in ("object", "fields", "labels")}}


def _signal(sighting: Sighting) -> Json:
    signal, report = sighting.signal, sighting.signal.report
    found: Json = {"identity": _text(signal.identity), "ip": _text(signal.account.ip), "node": _text(signal.locus.node)}
    found |= {"pod": _text(signal.locus.pod), "container": _text(signal.locus.container_id)}
    if isinstance(report, AuditEvent):
        found |= {
            "agent": _text(report.user_agent),
            "auditID": _text(report.audit_id),
            "code": report.code,
            "impersonated": _text(signal.account.impersonated),
            "uri": _address(report.uri),
            "verb": _text(report.verb),
        }
        body = report.response_object if _has_spec(report.response_object) else report.request_object
        found |= {"object": withheld(body)} if body is not None else {}
    elif isinstance(report, FalcoAlert):
        found |= {"output": _text(report.output), "priority": report.priority, "rule": _text(report.rule)}
        found["fields"] = withheld(dict(report.fields))
    else:
        found["labels"] = withheld(dict(report.labels))
    return {key: value for key, value in found.items() if value not in ("", None)}


def _has_spec(body: Json | None) -> bool:
    return body is not None and ("spec" in body or "rules" in body or "roleRef" in body)


def withheld(value: Any, depth: int = 0) -> Any:
    """A value as it may be kept: bounded, and without what is secret in it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if depth >= _DEEPEST:
        return "(too deep)"
    if isinstance(value, list):
        if value and all(isinstance(one, str) for one in value) and (held := _credential(" ".join(value))):
            return [held]
        return [withheld(one, depth + 1) for one in value[:_MOST_ITEMS]]
    if isinstance(value, dict):
        return _map(value, depth)
    return "(unknown)"


def _map(value: dict[Any, Any], depth: int) -> Json:
    found: Json = {}
    is_variable = isinstance(value.get("name"), str) and isinstance(value.get("value"), str) and len(value) == 2
    for key, one in list(value.items())[:_MOST_ITEMS]:
        name = _text(text(key))
        if name in _WITHHELD and isinstance(one, dict):
            found[name] = {_text(text(item)): _length(content) for item, content in list(one.items())[:_MOST_ITEMS]}
        elif name == "value" and is_variable:
            found[name] = _length(one)
        elif name == "annotations":
            found[name] = {
                _text(text(item)): withheld(content, depth + 2)
                for item, content in list(mapping(one).items())[:_MOST_ITEMS]
                if item != _LAST_APPLIED
            }
        elif isinstance(one, str) and (credential := by_name(name, one)) is not None:
            found[name] = f"(withheld: {credential.words})"
        elif name != "managedFields":
            found[name] = withheld(one, depth + 1)
    return found


def _length(value: object) -> str:
    return f"(withheld: {len(value)} characters)" if isinstance(value, str) else "(withheld)"


def _credential(value: str) -> str:
    """What stands for a text that the checks of credentials would report; empty where they would not."""
    found = next(in_text(value), None)
    return f"(withheld: {found.words})" if found is not None else ""


def _address(uri: str) -> str:
    """An address with its query, where that holds no credential: commands of sessions stand in it."""
    path, mark, query = uri.partition("?")
    held = _credential(unquote_plus(query).replace("&command=", " ").replace("command=", ""))
    return _text(path) + mark + (held or _text(query))


def _text(value: str) -> str:
    return _credential(value) or clip(visible(redacted(value)), _LONGEST)
