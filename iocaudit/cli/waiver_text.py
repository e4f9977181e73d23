"""IocWaivers as a file, and what is told of them: for whatever command makes some."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from iocaudit.core.moments import rfc3339
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted, several
from iocaudit.core.yaml_write import block
from iocaudit.engine.standing import FindingSelection
from iocaudit.engine.waivers import LONGEST
from iocaudit.engine.waiving import Acceptance, NewWaiver

MOST_DAYS = 3650
_MOST_LEFT = 10
_HEAD = """\
# Accepted risks: kubectl apply -f this file, or iocaudit scan --policy this file.
# The status counts in files only: in a cluster the operator records what each waiver is for.
"""


def acceptance(owner: str, reason: str, days: int, ticket: str) -> Acceptance:
    """Who accepts it, and why, as the options of a command have it. Raises UsageError."""
    return Acceptance(
        _said(owner, "--owner", 253),
        _said(reason, "--reason", 2048),
        datetime.now(UTC).replace(microsecond=0) + timedelta(days=days),
        ticket.strip()[:512],
    )


def too_long(days: int) -> str:
    """What to say of waivers that last longer than clusters take; nothing where they do not."""
    if days <= LONGEST.days:
        return ""
    return f"clusters refuse more than {LONGEST.days} days unless --waiver-max-days allows more"


def waiver_file(waivers: Sequence[NewWaiver], why: Acceptance) -> str:
    """The waivers as the documents of one file."""
    return _HEAD + "".join(_document(waiver, why) for waiver in waivers)


def _said(value: str, option: str, most: int) -> str:
    value = value.strip()
    if not value:
        raise click.UsageError(f"{option} is empty: a waiver needs it")
    if len(value) > most:
        raise click.UsageError(f"{option} is longer than {most} characters")
    return value


def left_out(chosen: FindingSelection, unnameable: list[str]) -> list[str]:
    """For what no waiver was made, and why, one reason a line."""
    lines = []
    if chosen.critical:
        objects = len({(one.key.home, one.key.group, one.key.kind, one.key.name) for one in chosen.critical})
        count = counted(len(chosen.critical), "critical finding")
        where = counted(objects, "object")
        lines.append(f"left out: {count} on {where} (--include-critical takes them, one waiver each)")
    rest = [*chosen.left, *unnameable]
    lines += [f"left out: {line}" for line in rest[:_MOST_LEFT]]
    if len(rest) > _MOST_LEFT:
        lines.append(f"left out: {len(rest) - _MOST_LEFT} more")
    return lines


def summary_of(waivers: Sequence[NewWaiver], why: Acceptance) -> str:
    """One line on what the waivers are for."""
    findings = [one for waiver in waivers for one in waiver.findings]
    objects = {(one.key.home, one.key.group, one.key.kind, one.key.name) for one in findings}
    hits = sum(waiver.count for waiver in waivers)
    critical = sum(1 for one in findings if one.severity is Severity.CRITICAL)
    places = sorted({f"namespace {waiver.home}" if waiver.home is not None else "cluster scope" for waiver in waivers})
    return (
        f"{counted(len(waivers), 'waiver')} for {counted(hits, 'hit')} on {counted(len(objects), 'object')} "
        f"({critical} of {counted(len(findings), 'finding')} critical), in {several(places)}, "
        f"until {rfc3339(why.expires)}"
    )


def _document(waiver: NewWaiver, why: Acceptance) -> str:
    body = waiver.body(why, datetime.now(UTC))
    count = counted(len({(one.key.kind_name, one.key.name) for one in waiver.findings}), "object")
    where = f"namespace {waiver.home}" if waiver.home is not None else "cluster scope"
    return f"---\n# {counted(waiver.count, 'hit')} on {count} in {where}\n{block(body)}\n"
