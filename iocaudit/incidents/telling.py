"""An incident as a record: whom and what it concerns, and those of its steps that are told."""

from __future__ import annotations

from datetime import UTC, datetime

from iocaudit.core.identity import bounded
from iocaudit.incidents.correlation import Incident, target_of
from iocaudit.incidents.strand import Strand
from iocaudit.knowledge.clipping import clip
from iocaudit.records.incident import (
    LONGEST_NAME,
    LONGEST_TARGET,
    LONGEST_TECHNIQUE,
    LONGEST_TEXT,
    LONGEST_TITLE,
    MOST_NAMES,
    MOST_STEPS,
    IncidentRecord,
    IncidentState,
    IncidentStep,
)
from iocaudit.sinks.escape import visible


def record_of(
    incident: Incident, name: str, opened: datetime, state: IncidentState = IncidentState.OPEN, reason: str = ""
) -> IncidentRecord:
    """The record of an incident under the name that it was given when it was opened."""
    return IncidentRecord(
        name,
        state,
        reason,
        incident.severity,
        incident.indicators,
        tuple(_name(one, LONGEST_NAME) for one in incident.accounts[:MOST_NAMES]),
        tuple(_name(one, LONGEST_TARGET) for one in incident.targets[:MOST_NAMES]),
        incident.signals,
        incident.first.astimezone(UTC),
        incident.last.astimezone(UTC),
        opened.astimezone(UTC),
        _told(incident.strands),
        len(incident.strands),
        incident.related[:MOST_NAMES],
        tuple(sorted({clip(visible(strand.key.voice), LONGEST_NAME) for strand in incident.habits}))[:MOST_NAMES],
    )


def _told(strands: tuple[Strand, ...]) -> tuple[IncidentStep, ...]:
    """By time; where there are too many, those of the worst, and of these the first."""
    worst = sorted(strands, key=lambda one: (-one.severity, one.first, one.key))[:MOST_STEPS]
    return tuple(_step(one) for one in sorted(worst, key=lambda one: (one.first, one.key)))


def _name(value: str, most: int) -> str:
    return bounded(visible(value), most)


def _step(strand: Strand) -> IncidentStep:
    return IncidentStep(
        strand.rule,
        clip(visible(strand.title), LONGEST_TITLE),
        strand.severity,
        strand.iocs,
        _name(strand.key.account, LONGEST_NAME),
        _name(target_of(strand), LONGEST_TARGET),
        strand.count,
        strand.first.astimezone(UTC),
        strand.last.astimezone(UTC),
        clip(visible(strand.said.message), LONGEST_TEXT),
        clip(visible(strand.technique), LONGEST_TECHNIQUE),
    )
