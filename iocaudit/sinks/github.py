"""GitHub workflow commands: annotations on the lines of a pull request."""

from iocaudit.core.report import Report
from iocaudit.core.severity import Severity
from iocaudit.sinks.escape import workflow_data, workflow_property
from iocaudit.sinks.summary import ReadingSummary

_COMMAND = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "notice",
}


def _line(command: str, title: str, message: str, file: str | None, line: int | None) -> str:
    properties = []
    if file:
        properties.append(f"file={workflow_property(file)}")
    if line:
        properties.append(f"line={line}")
    properties.append(f"title={workflow_property(title)}")
    return f"::{command} {','.join(properties)}::{workflow_data(message)}\n"


def render(report: Report, reading: ReadingSummary) -> str:
    """One workflow command a hit, an unreadable document, a fault and a skipped part."""
    lines = []
    for found in report.found:
        fix = f"\n{found.fix}" if found.fix else ""
        # The line break between message and fix is ours; those in values were made visible before.
        message = workflow_data(found.message) + ("%0A" + workflow_data(fix[1:]) if fix else "")
        origin = found.origin
        head = _line(_COMMAND[found.severity], f"iocaudit {found.check}", "", origin.file, origin.line)
        lines.append(head.rstrip("\n") + message + "\n")
    for error in reading.errors:
        lines.append(_line("error", "iocaudit: unreadable", error.reason, error.file, error.line))
    for fault in report.faults:
        file = fault.origin.file if fault.origin else None
        lines.append(_line("error", f"iocaudit fault {fault.check}", f"{fault.subject}: {fault.error}", file, None))
    for waived in report.waived:
        found = waived.found
        why = f"{found.message} (by {waived.waiver} until {waived.expires}: {waived.reason})"
        lines.append(_line("notice", f"iocaudit waived {found.check}", why, found.origin.file, found.origin.line))
    for note in reading.notes:
        lines.append(_line("notice", "iocaudit", note, None, None))
    for skipped in report.skipped:
        file = skipped.origin.file if skipped.origin else None
        title = f"iocaudit skipped {skipped.check or ''}".strip()
        lines.append(_line("notice", title, f"{skipped.subject or ''} {skipped.reason}".strip(), file, None))
    return "".join(lines)
