"""GitHub Actions: annotations on the lines of a pull request, and the page of a step.

GitHub shows ten errors, ten warnings and ten notices of a step, in the order of the log: the worst come first. What
everything amounts to is the last line of the log, which is not a command.
"""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.links import check_url
from iocaudit.core.report import Report, ReportedHit, by_reason
from iocaudit.core.severity import Severity
from iocaudit.core.wording import counted
from iocaudit.sinks.escape import markdown, visible, workflow_data, workflow_property
from iocaudit.sinks.implied import implies
from iocaudit.sinks.summary import ReadingSummary, gate, headline, indicators, place

_COMMAND = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "notice",
}
_MOST_ROWS = 200
"""Of a step's page, which GitHub cuts at 1 MiB."""
_MOST_NOT_EVALUATED = 50


def _line(command: str, title: str, message: str, file: str | None, line: int | None, *more: str) -> str:
    properties = []
    if file:
        properties.append(f"file={workflow_property(file)}")
    if line:
        properties.append(f"line={line}")
    properties.append(f"title={workflow_property(title)}")
    # The line breaks between them are ours; those in values were made visible before.
    told = "%0A".join(workflow_data(said) for said in (message, *more) if said)
    return f"::{command} {','.join(properties)}::{told}\n"


def render(report: Report, reading: ReadingSummary) -> str:
    """One workflow command a hit, an unreadable document, a fault and a skipped part, errors first; the sum last."""
    lines = [_line("error", "iocaudit: unreadable", error.reason, error.file, error.line) for error in reading.errors]
    for fault in report.faults:
        file, line = (fault.origin.file, fault.origin.line) if fault.origin else (None, None)
        lines.append(_line("error", f"iocaudit fault {fault.check}", f"{fault.subject}: {fault.error}", file, line))
    parts = report.parts()
    for found in worst_first(report):
        origin = found.origin
        title = f"iocaudit {found.check}"
        more = (found.fix, implies(found, parts.get(id(found), ())))
        lines.append(_line(_COMMAND[found.severity], title, found.message, origin.file, origin.line, *more))
    for waived in report.waived:
        found = waived.found
        why = f"{found.message} (by {waived.waiver} until {waived.expires}: {waived.reason})"
        lines.append(_line("notice", f"iocaudit waived {found.check}", why, found.origin.file, found.origin.line))
    for ignored in report.ignored:
        found = ignored.found
        why = f"{found.message} (by an annotation: {ignored.reason})"
        lines.append(_line("notice", f"iocaudit ignored {found.check}", why, found.origin.file, found.origin.line))
    for note in reading.notes:
        lines.append(_line("notice", "iocaudit", note, None, None))
    for skipped in report.skipped:
        file, line = (skipped.origin.file, skipped.origin.line) if skipped.origin else (None, None)
        title = f"iocaudit skipped {skipped.check or ''}".strip()
        lines.append(_line("notice", title, f"{skipped.subject or ''} {skipped.reason}".strip(), file, line))
    if own := gate(report, reading):
        lines.append(f"iocaudit: {visible(own)}\n")
    return "".join(lines) + f"iocaudit: {visible(headline(report, reading))}\n"


def worst_first(report: Report) -> list[ReportedHit]:
    """The hits by severity, within one in the report's order."""
    return sorted(report.found, key=lambda found: -found.severity)


def step_summary(report: Report, reading: ReadingSummary) -> str:
    """What the page of a step shows, as GitHub's Markdown: the numbers, the worst hits, what was not evaluated."""
    return "\n".join(_summary(report, reading)) + "\n"


def _summary(report: Report, reading: ReadingSummary) -> Iterator[str]:
    yield "## iocaudit"
    yield ""
    yield markdown(headline(report, reading))
    if own := gate(report, reading):
        yield ""
        yield markdown(own)
    if report.found:
        if by_indicator := indicators(report):
            yield ""
            yield f"By indicator of compromise: {markdown(by_indicator)}"
        yield ""
        yield "| severity | check | object | what | where |"
        yield "| --- | --- | --- | --- | --- |"
        for found in worst_first(report)[:_MOST_ROWS]:
            where = place(found.origin.file, found.origin.line)
            link = f"[{markdown(found.check)}]({check_url(found.check)})"
            cells = (found.severity.label, link, *map(_cell, (str(found.subject), found.hit.message, where)))
            yield f"| {' | '.join(cells)} |"
        if (more := len(report.found) - _MOST_ROWS) > 0:
            yield ""
            yield f"{counted(more, 'further finding')}: see the log, or `-o json`."
    wrong = [f"unreadable: {error}" for error in reading.errors]
    wrong += [f"fault: {fault.check}: {fault.subject}: {fault.error}" for fault in report.faults]
    for checks, skipped in by_reason(report.skipped):
        file = skipped.origin.file if skipped.origin else ""
        parts = (file, checks, skipped.subject, skipped.reason)
        wrong.append("skipped: " + ": ".join(str(part) for part in parts if part))
    if wrong:
        yield ""
        yield "Not evaluated:"
        yield ""
        for entry in wrong[:_MOST_NOT_EVALUATED]:
            yield f"- {_cell(entry)}"
        if len(wrong) > _MOST_NOT_EVALUATED:
            yield f"- {len(wrong) - _MOST_NOT_EVALUATED} more"


def _cell(text: str) -> str:
    """A value in a table or a list: no markup, and no name in it calls anybody or becomes a link."""
    return markdown(text).replace("&", "&amp;").replace("@", "&#64;").replace("://", "&#58;//")
