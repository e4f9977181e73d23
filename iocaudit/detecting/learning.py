"""Profiles learned from recorded signals: what was seen, except what an incident holds.

The logs are read twice: for the incidents in them, then for what happened beside these. What the account of an incident
did, or what happened at its target, from a window before it began until a window after it ended, is never learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from iocaudit.detecting.profile_check import ActivitySpan
from iocaudit.detecting.run import detect
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.incidents.correlation import Incident, incidents_of
from iocaudit.incidents.strand import WINDOW
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.profiles.activity import Activity, OutboundConnection, RunningProgram, activities_of
from iocaudit.signals.profiles.patterns import (
    host_pattern,
    image_pattern,
    image_segments,
    path_pattern,
    path_segments,
    resource_pattern,
)
from iocaudit.signals.profiles.reader import NAMESPACE, VERBS
from iocaudit.signals.signal import Signal
from iocaudit.signals.signal_log import SignalLog
from iocaudit.signals.timed_log import LogProgress, LogTally

MOST_ROWS = 5_000
"""Rows of one namespace; what would be one more is counted."""


class LearnedRow(NamedTuple):
    """One line of a profile: ``of`` is an image, a host or an account, ``name`` a program, a port or a resource."""

    sort: str
    of: str
    name: str
    verb: str = ""


@dataclass(slots=True)
class LearnedProfiles:
    """What was learned, by namespace. ``left_out`` counts activities by the reason why they are not in it."""

    tally: LogTally
    incidents: list[Incident]
    since: datetime | None
    rows: dict[str, dict[LearnedRow, ActivitySpan]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class HeldPeriods:
    """The accounts and targets that incidents hold, and when."""

    def __init__(self, incidents: Sequence[Incident], window: timedelta = WINDOW) -> None:
        self._periods: dict[tuple[str, ...], list[tuple[datetime, datetime]]] = {}
        for incident in incidents:
            period = (incident.first - window, incident.last + window)
            for strand in incident.strands:
                key = strand.key
                if key.account:
                    self._periods.setdefault(("account", key.account), []).append(period)
                if "/" in key.target:
                    self._periods.setdefault(("target", key.namespace, key.target), []).append(period)

    def hold(self, signal: Signal) -> bool:
        """Whether an incident holds what a signal tells; one without a time is held at any time."""
        keys: list[tuple[str, ...]] = [("target", signal.locus.namespace, signal.locus.target)]
        if isinstance(signal.report, AuditEvent):  # the account of an alert is a user inside a container, such as root
            keys += [("account", name) for name in (signal.account.username, signal.account.impersonated) if name]
        when = signal.when
        return any(when is None or begin <= when <= end for key in keys for begin, end in self._periods.get(key, ()))


def learn(
    paths: Sequence[str],
    catalogue: Catalogue,
    policies: PolicySet,
    *,
    window: timedelta | None = None,
    namespace: str | None = None,
    progress: LogProgress | None = None,
) -> LearnedProfiles:
    """What the logs show in each namespace, of the last ``window`` before their end. Raises LogError."""
    seen = detect(paths, catalogue, policies, progress=progress)
    incidents = incidents_of(seen.strands)
    end = seen.tally.last
    since = end - window if window is not None and end is not None else None
    log = SignalLog(paths)
    found = LearnedProfiles(log.tally, incidents, since, faults=seen.faults)
    held = HeldPeriods(incidents)
    for signal in log:
        for activity in activities_of(signal.report):
            if namespace is None or activity.namespace == namespace:
                _take(found, held, signal, activity)
    return found


def _take(found: LearnedProfiles, held: HeldPeriods, signal: Signal, activity: Activity) -> None:
    reason = _why_not(found, held, signal)
    is_sayable = NAMESPACE.fullmatch(activity.namespace) is not None
    row = _row(activity) if is_sayable and not reason else None
    if row is None:
        found.left_out[reason or "what an entry cannot say"] += 1
        return
    rows = found.rows.setdefault(activity.namespace, {})
    if row not in rows and len(rows) >= MOST_ROWS:
        found.left_out[f"more than {MOST_ROWS:,} rows of a namespace"] += 1
        return
    rows.setdefault(row, ActivitySpan()).take(signal.when)


def _why_not(found: LearnedProfiles, held: HeldPeriods, signal: Signal) -> str:
    if found.since is not None and (signal.when is None or signal.when < found.since):
        return "before the window"
    if isinstance(signal.report, AuditEvent) and signal.report.is_refused:
        return "refused requests"
    return "held by an incident" if held.hold(signal) else ""


def _row(activity: Activity) -> LearnedRow | None:
    """The row; None where no entry can say it: what is written can always be read."""
    try:
        if isinstance(activity, RunningProgram):
            image, path = image_segments(activity.image), path_segments(activity.path)
            if image is None or path is None or any(one in activity.path for one in "*?"):
                return None
            row = LearnedRow("process", "/".join(image), "/" + "/".join(path))
            image_pattern(row.of)
            path_pattern(row.name)
        elif isinstance(activity, OutboundConnection):
            row = LearnedRow("destination", activity.host, "" if activity.port is None else str(activity.port))
            host_pattern(row.of)
            if not 0 < int(row.name or 1) <= 65_535:
                return None
        else:
            row = LearnedRow("account", activity.account, activity.whole, activity.verb)
            resource_pattern(row.name)
            if activity.verb not in VERBS or any(one in activity.account for one in "*?"):
                return None
    except ValueError:
        return None
    return row if max(map(len, row)) <= 253 and row.of.strip() == row.of else None
