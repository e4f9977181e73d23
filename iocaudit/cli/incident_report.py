"""The incidents behind recorded signals, as a table and as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from iocaudit.core.moments import rfc3339
from iocaudit.core.wording import counted
from iocaudit.incidents.correlation import target_of
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import json_text, visible
from iocaudit.sinks.look import width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iocaudit.core.severity import Severity
    from iocaudit.detecting.run import DetectOutcome
    from iocaudit.incidents.correlation import Incident
    from iocaudit.incidents.strand import Strand

_HEADER = ("SEVERITY", "INDICATORS", "TARGET", "ACCOUNT", "SIGNALS", "FIRST", "LAST", "NAME")
_MOST_STEPS = 40


def incident_table(outcome: DetectOutcome, incidents: Sequence[Incident], lowest: Severity) -> str:
    """One line an incident, the worst first, with its steps by time below the table."""
    shown = [one for one in incidents if one.severity >= lowest]
    lines = [columns(_HEADER, [_row(one) for one in shown], width_of(sys.stdout))]
    for one in shown:
        lines.append(f"\n{one.name} ({one.severity.label})\n")
        lines += [f"  {visible(_step(strand))}\n" for strand in one.strands[:_MOST_STEPS]]
        if len(one.strands) > _MOST_STEPS:
            lines.append(f"  and {counted(len(one.strands) - _MOST_STEPS, 'more step')} (-o json lists all)\n")
        if one.related:
            lines.append(f"  what made it possible: iocaudit explain {' '.join(one.related)}\n")
    if not shown:
        lines.append("no incident\n" if not incidents else f"no incident of severity {lowest.label}\n")
    lines += [f"{line}\n" for line in _left_out(outcome, incidents, lowest)]
    return "".join(lines)


def _left_out(outcome: DetectOutcome, incidents: Sequence[Incident], lowest: Severity) -> list[str]:
    below = sum(one.severity < lowest for one in incidents)
    inside = sum(one.signals for one in incidents)
    lines = [f"{counted(below, 'incident')} of a lower severity (--severity shows them)"] if below else []
    lines.append(f"{counted(outcome.summary.sightings - inside, 'sighting')} outside of incidents")
    if outcome.strands.timeless:
        lines.append(f"{counted(outcome.strands.timeless, 'sighting')} without a time, which no incident can hold")
    if outcome.strands.beyond:
        lines.append(f"{counted(outcome.strands.beyond, 'sighting')} beyond what is kept for incidents")
    return lines


def _row(one: Incident) -> tuple[str, ...]:
    return (
        one.severity.label,
        ",".join(str(int(ioc)) for ioc in one.indicators),
        _first_of(one.targets),
        _first_of(one.accounts),
        str(one.signals),
        rfc3339(one.first),
        rfc3339(one.last),
        one.name,
    )


def _first_of(names: Sequence[str]) -> str:
    more = len(names) - 1
    return f"{names[0]} +{more}" if more > 0 else "".join(names)


def _step(strand: Strand) -> str:
    times = "" if strand.count == 1 else f" ({strand.count} times)"
    return f"{rfc3339(strand.first)}  {strand.severity.label}  {strand.key.voice}: {strand.said.message}{times}"


def incident_json(outcome: DetectOutcome, incidents: Sequence[Incident], lowest: Severity) -> str:
    """The same as data."""
    inside = sum(one.signals for one in incidents)
    content = {
        "incidents": [_json(one) for one in incidents if one.severity >= lowest],
        "summary": {
            "incidents": len(incidents),
            "sightings": outcome.summary.sightings,
            "outsideIncidents": outcome.summary.sightings - inside,
            "withoutTime": outcome.strands.timeless,
            "beyond": outcome.strands.beyond,
            "signals": outcome.tally.events,
        },
        "notReadCount": outcome.tally.unread_count,
        "faults": outcome.faults,
    }
    return json_text(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"


def _json(one: Incident) -> dict[str, Any]:
    return {
        "name": one.name,
        "severity": one.severity.label,
        "indicators": [int(ioc) for ioc in one.indicators],
        "targets": list(one.targets),
        "accounts": list(one.accounts),
        "signals": one.signals,
        "first": rfc3339(one.first),
        "last": rfc3339(one.last),
        "relatedChecks": list(one.related),
        "steps": [_step_json(strand) for strand in one.strands],
        "habits": [_step_json(strand) for strand in one.habits],
    }


def _step_json(strand: Strand) -> dict[str, Any]:
    return {
        "rule": strand.rule,
        "voice": strand.key.voice,
        "kind": "check" if strand.is_check else "sequence" if strand.is_sequence else "detection",
        "severity": strand.severity.label,
        "iocs": [int(ioc) for ioc in strand.iocs],
        "technique": strand.technique,
        "account": strand.key.account,
        "target": target_of(strand),
        "count": strand.count,
        "first": rfc3339(strand.first),
        "last": rfc3339(strand.last),
        "message": strand.said.message,
        "place": strand.said.place,
    }
