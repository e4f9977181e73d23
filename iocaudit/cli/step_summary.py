"""The page of a GitHub Actions step: appended to the file that the runner names."""

from __future__ import annotations

import os

from iocaudit.cli.outputs import OutputError
from iocaudit.core.report import Report
from iocaudit.sinks import github
from iocaudit.sinks.summary import ReadingSummary

_VARIABLE = "GITHUB_STEP_SUMMARY"


def write_step_summary(report: Report, reading: ReadingSummary) -> None:
    """Append the summary where a runner asks for one. Raises OutputError where it cannot be written."""
    path = os.environ.get(_VARIABLE)
    if not path:
        return
    try:
        with open(path, "ab") as stream:
            stream.write(github.step_summary(report, reading).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise OutputError(f"cannot write the step's summary to {path} ({_VARIABLE}): {error.strerror}") from error
