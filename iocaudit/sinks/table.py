"""The table a person reads: by object, worst first, one line a hit where it fits.

The layout is the same on a terminal and in a pipe; colour and the width at which lines are wrapped are the look's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from iocaudit.core.report import Report, ReportedHit, by_reason
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted
from iocaudit.sinks.escape import visible
from iocaudit.sinks.look import Look, cells, wrapped
from iocaudit.sinks.summary import ReadingSummary, gate, headline, indicators, place

_STYLES = {Severity.CRITICAL: "1;31", Severity.HIGH: "31", Severity.MEDIUM: "33", Severity.LOW: "36"}
_BOLD, _DIM, _GOOD, _BAD = "1", "2", "32", "1;31"
_Parts = Mapping[int, list[ReportedHit]]
_FEW = 5
"""How many of what was skipped or waived are listed, unless all is asked for."""
_MOST_LINES = 2
"""Of a critical hit on a terminal; of others one is shown. With ``-v``, and where lines may have any length, all."""
_CONTAINER = re.compile(r'((?:init |ephemeral |sidecar )?container) "([^"]*)"')


def render(report: Report, reading: ReadingSummary, look: Look | None = None) -> str:
    """The report as text."""
    look = look or Look()
    lines: list[str] = []
    parts = report.parts()
    for group in _objects(report.found):
        lines += [*_object(group, parts, look), ""]
    lines += _tail(report, reading, look)
    return "".join(line + "\n" for line in lines)


class _Row(NamedTuple):
    """A hit, the names of further containers of the object that have the same, and what is implied by these hits."""

    found: ReportedHit
    also: tuple[str, ...]
    implied: tuple[ReportedHit, ...]


def _objects(found: Iterable[ReportedHit]) -> list[list[ReportedHit]]:
    """The hits of each object of each file, the worst object first."""
    groups: dict[tuple[object, ...], list[ReportedHit]] = {}
    for one in found:
        ref = one.subject
        key = (one.origin.file, one.origin.document, one.origin.item, ref.group, ref.kind, ref.namespace, ref.name)
        groups.setdefault(key, []).append(one)
    return sorted(groups.values(), key=lambda hits: sorted(-one.severity for one in hits))


def _object(hits: list[ReportedHit], parts: _Parts, look: Look) -> Iterator[str]:
    first = hits[0]
    title, file = visible(str(first.subject)), visible(first.origin.file or "")
    head = look.paint(title, _BOLD)
    if file and look.width is not None and cells(title) + 2 + cells(file) > look.width:
        yield head
        yield from (look.paint(line, _DIM) for line in wrapped(file, look.width, first="  ", indent="  "))
    else:
        yield head + ("  " + look.paint(file, _DIM) if file else "")
    rows = _rows(hits, parts)
    numbers = max(len(_line(row.found)) for row in rows)
    for row in rows:
        yield from _hit(row, numbers, look)


def _rows(hits: list[ReportedHit], parts: _Parts) -> list[_Row]:
    """Worst first; what several containers have in common in one row."""
    grouped: dict[tuple[object, ...], tuple[list[ReportedHit], list[str]]] = {}
    for found in sorted(hits, key=lambda one: (-one.severity, one.origin.line or 0, one.check, one.hit.path)):
        name = _CONTAINER.match(found.hit.message)
        if name is None:
            grouped[(id(found),)] = ([found], [])
            continue
        same = (found.severity, found.check, name[1], found.hit.message[name.end() :])
        if same in grouped:
            grouped[same][0].append(found)
            grouped[same][1].append(name[2])
        else:
            grouped[same] = ([found], [])
    return [
        _Row(found[0], tuple(also), tuple(part for one in found for part in parts.get(id(one), ())))
        for found, also in grouped.values()
    ]


def _line(found: ReportedHit) -> str:
    return str(found.origin.line or "")


def _hit(row: _Row, numbers: int, look: Look) -> Iterator[str]:
    found = row.found
    message = found.hit.message
    if row.also:
        message += f" (also {', '.join(row.also)})"
    if look.verbose and found.hit.place:
        message += f" ({found.hit.place})"
    severity, line = f"{found.severity.label:<8}", f" {_line(found):>{numbers}}" if numbers else ""
    plain = f"  {severity}{line} {found.check}: "
    painted = f"  {look.paint(severity, _STYLES[found.severity])}{look.paint(line, _DIM)} {found.check}: "
    indent = " " * (len(severity) + len(line) + 3)
    more = f" (+{len(row.implied)} implied)" if row.implied and not look.verbose else ""
    lines = wrapped(visible(message) + more, look.width, first=plain, indent=indent)
    most = _MOST_LINES if found.severity is Severity.CRITICAL else 1
    if look.width is not None and not look.verbose and len(lines) > most:
        lines = [*lines[: most - 1], _cut(lines[most - 1], look.width - len(more)) + more]
    yield painted + lines[0][len(plain) :]
    yield from lines[1:]
    if look.verbose:
        for part in row.implied:
            said = f"{part.check}: {_elsewhere(part, found)}{part.hit.message} ({part.hit.place})"
            yield from wrapped(visible(said), look.width, first=f"{indent}implies ", indent=f"{indent}  ")


def _elsewhere(part: ReportedHit, cause: ReportedHit) -> str:
    """Which object an implied hit is on, where that is not the one of its cause."""
    return "" if part.subject == cause.subject else f"{part.subject}: "


def _cut(line: str, width: int) -> str:
    """A line that ends in an ellipsis, within the width."""
    if cells(line) >= width and cells(shorter := line.rpartition(" ")[0]) > width // 2:
        line = shorter
    while cells(line) >= width:
        line = line[:-1]
    return line.rstrip(" ,;:(") + "…"


def _tail(report: Report, reading: ReadingSummary, look: Look) -> Iterator[str]:
    def said(kind: str, what: str, style: str = "") -> list[str]:
        lines = wrapped(visible(what), look.width, first=f"{kind}: ", indent="  ")
        return [look.paint(kind, style) + lines[0][len(kind) :] if style else lines[0], *lines[1:]]

    for error in reading.errors:
        yield from said("error", str(error), _BAD)
    for fault in report.faults:
        yield from said("fault", f"{fault.check}: {fault.subject}: {fault.error}", _BAD)
    yield from _some("skipped", list(_skipped(report)), said, look)
    yield from _some("waived", list(_waived(report)), said, look)
    yield from _some("ignored", list(_ignored(report)), said, look)
    for note in reading.notes:
        yield from said("note", note)
    if reading.not_kubernetes:
        is_not = "is not" if reading.not_kubernetes == 1 else "are not"
        yield from said("not audited", f"{counted(reading.not_kubernetes, 'document')} that {is_not} Kubernetes")
    if report.found and look.width is not None and not look.verbose:
        yield from wrapped("whole messages and paths: -v; why, and how to fix it: iocaudit explain CHECK", look.width)
    if own := gate(report, reading):
        yield from wrapped(visible(own), look.width)
    if report.not_configured:
        number = len(report.not_configured)
        yield from wrapped(
            f"{counted(number, 'check')} {'needs' if number == 1 else 'need'} a parameter (iocaudit checks --unset)",
            look.width,
        )
    if fixable := fixable_of(report):
        yield from said("fixable", fixable)
    if by_indicator := indicators(report):
        yield from said("by indicator", by_indicator)
    bad = any(found.severity >= Severity.HIGH for found in report.found) or bool(reading.errors or report.faults)
    for line in wrapped(headline(report, reading), look.width):
        yield look.paint(line, _BAD if bad else _BOLD if report.found else _GOOD)


def _some(kind: str, entries: list[str], said: Callable[[str, str], list[str]], look: Look) -> Iterator[str]:
    """A few of the entries, or all where that is asked for."""
    shown = entries if look.verbose or len(entries) <= _FEW + 1 else entries[:_FEW]
    for entry in shown:
        yield from said(kind, entry)
    if more := len(entries) - len(shown):
        yield from said(kind, f"{more} more (-v lists them)")


def _skipped(report: Report) -> Iterator[str]:
    for checks, skipped in by_reason(report.skipped):
        where = place(skipped.origin.file, skipped.origin.line) if skipped.origin else ""
        yield ": ".join(str(part) for part in (where, checks, skipped.subject, skipped.reason) if part)


def _waived(report: Report) -> Iterator[str]:
    for waived in report.waived:
        found = waived.found
        where = place(found.origin.file, found.origin.line)
        why = f"by {waived.waiver} until {waived.expires}: {waived.reason}"
        yield f"{where + ': ' if where else ''}{found.check}: {found.subject}: {found.hit.message} ({why})"


def _ignored(report: Report) -> Iterator[str]:
    for ignored in report.ignored:
        found = ignored.found
        where = place(found.origin.file, found.origin.line)
        yield f"{where + ': ' if where else ''}{found.check}: {found.subject}: {found.hit.message} ({ignored.reason})"


def fixable_of(report: Report) -> str:
    """How many of all hits a repair is known for, which is what --diff counts; nothing where for none."""
    every = (*report.found, *(one.found for one in report.implied))
    repairs = [found.hit.repair for found in every if found.hit.repair is not None]
    safe = sum(repair.safe for repair in repairs)
    if not repairs:
        return ""
    unsafe = len(repairs) - safe
    known = [f"{counted(safe, 'hit')} by --fix"] if safe else []
    if unsafe:
        alone = f"{counted(unsafe, 'hit')} by --fix --unsafe-fixes"
        known.append(f"{unsafe} more with --unsafe-fixes" if safe else alone)
    return f"{', '.join(known)} (--diff {'--unsafe-fixes ' if unsafe else ''}shows them)"
