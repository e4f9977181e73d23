"""The table a person reads: coloured on a terminal, plain when piped."""

import os
import sys
from typing import TextIO

from iocaudit.core.report import Report, by_reason
from iocaudit.core.severity import Severity
from iocaudit.sinks.escape import visible
from iocaudit.sinks.summary import ReadingSummary

_COLOURS = {
    Severity.CRITICAL: "bold white on red",
    Severity.HIGH: "bold red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
}
_MOST_SKIPPED = 20


def render(report: Report, reading: ReadingSummary, stream: TextIO | None = None) -> None:
    """Print the report. A pipe gets one line a hit, without colour and without cutting."""
    stream = stream or sys.stdout
    if stream.isatty() and "NO_COLOR" not in os.environ:
        _render_rich(report, stream)
    else:
        for line in _plain(report):
            stream.write(line + "\n")
    for line in _tail(report, reading):
        stream.write(line + "\n")


def _where(file: str | None, line: int | None) -> str:
    if file is None:
        return ""
    return f"{file}:{line}" if line else file


def _plain(report: Report) -> list[str]:
    lines = []
    for found in report.found:
        where = _where(found.origin.file, found.origin.line)
        prefix = f"{where}: " if where else ""
        lines.append(visible(f"{prefix}{found.severity.label}: {found.check}: {found.message}"))
    return lines


def _render_rich(report: Report, stream: TextIO) -> None:
    from rich.console import Console  # late: only a terminal needs it
    from rich.table import Table
    from rich.text import Text

    if not report.found:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SEVERITY", no_wrap=True)
    table.add_column("CHECK", no_wrap=True)
    table.add_column("OBJECT AND REASON", overflow="fold")
    table.add_column("WHERE", overflow="fold")
    for found in report.found:
        table.add_row(
            Text(found.severity.label.upper(), style=_COLOURS[found.severity]),
            Text(found.check),
            Text(visible(found.message)),
            Text(visible(_where(found.origin.file, found.origin.line)), style="dim"),
        )
    Console(file=stream, highlight=False).print(table)


def _fixable(report: Report) -> list[str]:
    """How much a machine could repair."""
    repairs = [found.hit.repair for found in report.found if found.hit.repair is not None]
    safe = sum(repair.safe for repair in repairs)
    if not repairs:
        return []
    return [f"fixable: {safe} by --fix, {len(repairs) - safe} more with --unsafe-fixes (see them with --diff)"]


def _tail(report: Report, reading: ReadingSummary) -> list[str]:
    lines = [visible(f"error: {error}") for error in reading.errors]
    for fault in report.faults:
        lines.append(visible(f"fault: {fault.check}: {fault.subject}: {fault.error}"))
    merged = by_reason(report.skipped)
    for checks, skipped in merged[:_MOST_SKIPPED]:
        subject = f"{skipped.subject}: " if skipped.subject else ""
        name = f"{checks}: " if checks else ""
        where = _where(skipped.origin.file, skipped.origin.line) if skipped.origin else ""
        lines.append(visible(f"skipped: {where + ': ' if where else ''}{name}{subject}{skipped.reason}"))
    if len(merged) > _MOST_SKIPPED:
        lines.append(f"skipped: {len(merged) - _MOST_SKIPPED} more (all are in -o json)")
    for waived in report.waived[:_MOST_SKIPPED]:
        found = waived.found
        where = _where(found.origin.file, found.origin.line)
        why = f"by {waived.waiver} until {waived.expires}: {waived.reason}"
        lines.append(visible(f"waived: {where + ': ' if where else ''}{found.check}: {found.message} ({why})"))
    if len(report.waived) > _MOST_SKIPPED:
        lines.append(f"waived: {len(report.waived) - _MOST_SKIPPED} more (all are in -o json)")
    lines += [visible(f"note: {note}") for note in reading.notes]
    lines += _fixable(report)
    for check, missing in report.not_configured.items():
        names = ", ".join(missing)
        lines.append(f"not configured: {check} did not run: a policy has to set its parameter {names}")
    counts = [
        f"{sum(1 for found in report.found if found.severity is severity)} {severity.label}"
        for severity in reversed(Severity)
    ]
    lines.append(
        f"{len(report.found)} findings ({', '.join(counts)}) in {report.audited} objects of "
        f"{reading.files} files; {len(report.skipped)} skipped, {len(report.faults)} faults, "
        f"{len(reading.errors)} unreadable"
        + (f", {len(report.waived)} waived" if report.waived else "")
        + (f", {reading.baselined} in the baseline" if reading.baselined else "")
    )
    return lines
