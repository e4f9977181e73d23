"""What recorded signals show, as a table and as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from iocaudit.core.moments import rfc3339
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted
from iocaudit.sinks.columns import columns
from iocaudit.sinks.escape import json_text, visible
from iocaudit.sinks.look import width_of

if TYPE_CHECKING:
    from datetime import datetime

    from iocaudit.detecting.run import DetectOutcome
    from iocaudit.detecting.summary import SightingGroup

_MOST_ROWS = 200
_MOST_LISTED = 10_000
_HEADER = ("SEVERITY", "IOC", "RULE", "ACCOUNT", "NAMESPACE", "TARGET", "COUNT", "LAST", "WHAT")


def as_table(outcome: DetectOutcome, lowest: Severity) -> str:
    """One line a group, the worst first, and what was read."""
    groups = outcome.summary.groups(lowest)
    text = columns(_HEADER, [_row(group) for group in groups[:_MOST_ROWS]], width_of(sys.stdout))
    lines = []
    if len(groups) > _MOST_ROWS:
        lines.append(f"{counted(len(groups) - _MOST_ROWS, 'more group')} (-o json lists all)")
    if not groups:
        lines.append("nothing was seen" if lowest is Severity.LOW else f"nothing of severity {lowest.label} was seen")
    below = outcome.summary.count_below(lowest)
    if below:
        lines.append(f"{counted(below, 'sighting')} of a lower severity (--severity low shows them)")
    if outcome.summary.beyond:
        number = sum(outcome.summary.beyond.values())
        lines.append(f"{counted(number, 'sighting')} beyond the {_MOST_LISTED:,} groups that are kept")
    return text + "".join(f"{visible(line)}\n" for line in (*lines, _read(outcome)))


def _read(outcome: DetectOutcome) -> str:
    tally = outcome.tally
    sorts = ", ".join(f"{number} {name}" for name, number in sorted(tally.wrappers.items()))
    span = f", from {rfc3339(tally.first)} to {rfc3339(tally.last)}" if tally.first and tally.last else ""
    read = counted(tally.events, "signal")
    return f"{read}{f' ({sorts})' if sorts else ''}{span}; {counted(outcome.objects.judged, 'object')} judged"


def _row(group: SightingGroup) -> tuple[str, ...]:
    return (
        group.severity.label,
        ",".join(str(int(ioc)) for ioc in group.iocs),
        group.key.rule,
        group.key.account,
        group.key.namespace,
        group.key.target,
        str(group.count),
        _time(group.last) or "",
        group.message,
    )


def as_json(outcome: DetectOutcome, lowest: Severity) -> str:
    """The same as data: groups and counts."""
    summary, tally = outcome.summary, outcome.tally
    content: dict[str, Any] = {
        "sightings": [_json(group) for group in summary.groups(lowest)],
        "summary": {
            "sightings": summary.sightings,
            "belowSeverity": summary.count_below(lowest),
            "beyondGroups": {severity.label: number for severity, number in sorted(summary.beyond.items())},
            "signals": tally.events,
            "sources": dict(sorted(tally.wrappers.items())),
            "repeated": tally.repeated,
            "objectsJudged": outcome.objects.judged,
            "objectsNotJudged": outcome.objects.not_judged,
            "first": _time(tally.first),
            "last": _time(tally.last),
        },
        "notRead": [str(one) for one in tally.unread],
        "notReadCount": tally.unread_count,
        "notSignals": tally.foreign,
        "faults": outcome.faults,
    }
    return json_text(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"


def _json(group: SightingGroup) -> dict[str, Any]:
    return {
        "rule": group.key.rule,
        "kind": "check" if group.is_check else "sequence" if group.is_sequence else "detection",
        "title": group.title,
        "severity": group.severity.label,
        "iocs": [int(ioc) for ioc in group.iocs],
        "technique": group.technique,
        "relatedChecks": list(group.related),
        "source": str(group.source),
        "account": group.key.account,
        "namespace": group.key.namespace,
        "target": group.key.target,
        "count": group.count,
        "first": _time(group.first),
        "last": _time(group.last),
        "message": group.message,
        "place": group.place,
    }


def _time(when: datetime | None) -> str | None:
    return rfc3339(when) if when is not None else None
