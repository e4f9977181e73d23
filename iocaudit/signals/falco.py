"""An alert of Falco, as its http_output and as falcosidekick's webhook send it, and as it logs JSON lines.

Every field may be absent, null, of a wrong type or cut (falcosidekick cuts fields of large payloads), and reads as
absent then. Source: falcosecurity/falco, outputs; falcosecurity/falcosidekick, types and outputs/webhook.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from iocaudit.core.shape import Json, mapping, strings, text
from iocaudit.signals.audit_event import LinePlace, moment

PRIORITIES = ("debug", "informational", "notice", "warning", "error", "critical", "alert", "emergency")
"""The least urgent first. Source: Falco documentation, priority of a rule."""
_SPELLINGS = {"info": "informational", "warn": "warning", "err": "error", "crit": "critical", "emerg": "emergency"}
_SOURCES = {"": "syscall", "syscalls": "syscall"}
"""falcosidekick says ``syscalls`` where Falco says ``syscall`` or nothing."""
_CUT = "[...]"


@dataclass(frozen=True, slots=True)
class FalcoAlert:
    """One alert. ``priority`` is one of PRIORITIES, empty where it is not known; ``fields`` are the output fields.

    ``hostname`` is the node that Falco runs on; ``source`` is Falco's: ``syscall``, ``k8s_audit`` or a plugin's.
    """

    place: LinePlace
    identity: str
    rule: str
    priority: str
    source: str
    hostname: str
    output: str
    when: datetime | None
    tags: frozenset[str]
    fields: Mapping[str, str]

    def field(self, name: str) -> str:
        """An output field; empty where the alert lacks it."""
        return self.fields.get(name, "")

    def is_cut(self, name: str) -> bool:
        """Whether only the beginning of a field arrived."""
        return self.field(name).endswith(_CUT)


def is_falco(raw: Mapping[str, object]) -> bool:
    """Whether this is an alert of Falco: a rule with what only Falco puts beside it."""
    return isinstance(raw.get("rule"), str) and ("output_fields" in raw or ("priority" in raw and "output" in raw))


def read_alert(raw: Json, place: LinePlace) -> FalcoAlert:
    """The alert. Its identity is a digest of what Falco says of it, not of what was added on the way."""
    fields = {key: shown for key, value in mapping(raw.get("output_fields")).items() if (shown := _field(value))}
    source = text(raw.get("source")).lower()
    priority = text(raw.get("priority")).strip().lower()
    priority = _SPELLINGS.get(priority, priority)
    rule, time, output = text(raw.get("rule")), text(raw.get("time")), text(raw.get("output"))
    hostname = text(raw.get("hostname"))
    return FalcoAlert(
        place=place,
        identity=_digest(time, rule, hostname, fields),
        rule=rule,
        priority=priority if priority in PRIORITIES else "",
        source=_SOURCES.get(source, source),
        hostname=hostname or fields.get("evt.hostname", ""),
        output=output,
        when=moment(time),
        tags=frozenset(strings(raw.get("tags"))),
        fields=fields,
    )


def _field(value: object) -> str:
    """A field as text; Falco writes ``<NA>`` for what it does not know."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return ", ".join(shown for one in value if (shown := _field(one)))
    return value if isinstance(value, str) and value != "<NA>" else ""


def _digest(time: str, rule: str, hostname: str, fields: Mapping[str, str]) -> str:
    """Cut fields are left out: of the same alert, one copy may have come cut."""
    whole = sorted((key, value) for key, value in fields.items() if not value.endswith(_CUT) and len(value) <= 512)
    lines = [time, rule, hostname, *(part for pair in whole for part in pair)]
    parts = [part.encode("utf-8", "surrogatepass").hex() for part in lines]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]
