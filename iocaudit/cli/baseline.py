"""A baseline: hits that are known and left out, each by its fingerprint."""

from typing import Any, NamedTuple

import orjson

from iocaudit.cli.writing import write_file
from iocaudit.core.errors import IocauditError
from iocaudit.core.identity import FINGERPRINT, FINGERPRINT_FORM
from iocaudit.core.report import Report
from iocaudit.sinks.escape import json_text
from iocaudit.sources.documents import Unreadable
from iocaudit.sources.files import read_bytes

_VERSION = 2
"""Of the file; its fingerprints are of the scheme ``v2``."""


class BaselineError(IocauditError):
    """The baseline file cannot be read or written; names the file and what to do."""


class Baseline(NamedTuple):
    """Entries hold ``fingerprint``, and for the reader ``check``, ``subject``, ``path`` and a ``reason``."""

    entries: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, report: Report) -> "Baseline":
        seen: dict[str, dict[str, Any]] = {}
        for found in report.hits:
            seen.setdefault(
                found.fingerprint,
                {
                    "fingerprint": found.fingerprint,
                    "check": found.check,
                    "subject": str(found.subject),
                    "path": found.hit.path,
                    "reason": "",
                },
            )
        return cls(tuple(sorted(seen.values(), key=lambda e: (e["check"], e["subject"], e["fingerprint"]))))

    def without(self, report: Report) -> tuple[Report, int]:
        """The report without the hits listed here, and how many there were."""
        known = {entry["fingerprint"] for entry in self.entries}
        kept = [found for found in report.found if found.fingerprint not in known]
        return (
            Report(kept, report.skipped, report.faults, report.not_configured, report.audited, report.waived),
            len(report.found) - len(kept),
        )


def read_baseline(path: str) -> Baseline:
    """Read a baseline; BaselineError where the file is absent or not one."""
    read = read_bytes(path, named=True)
    if isinstance(read, Unreadable):
        raise BaselineError(f"{path}: the baseline {read.reason}")
    try:
        data = orjson.loads(read)
    except ValueError as error:
        raise BaselineError(f"{path}: not JSON ({error}); write one with --write-baseline") from error
    if isinstance(data, dict) and data.get("version") == 1:
        raise BaselineError(
            f"{path}: written under identity scheme v1, whose fingerprints are not taken any more; write it anew with "
            f"--write-baseline, without --baseline"
        )
    entries = data.get("hits") if isinstance(data, dict) and data.get("version") == _VERSION else None
    if not isinstance(entries, list):
        raise BaselineError(f'{path}: not a baseline (expected {{"version": {_VERSION}, "hits": [...]}})')
    for index, entry in enumerate(entries):
        found = entry.get("fingerprint") if isinstance(entry, dict) else None
        if not isinstance(found, str) or not FINGERPRINT.fullmatch(found):
            raise BaselineError(f"{path}: hits[{index}].fingerprint is not {FINGERPRINT_FORM}")
    return Baseline(tuple(entries))


def write_baseline(path: str, baseline: Baseline) -> None:
    """Write a baseline, whole at once and never through a link; raises BaselineError, and leaves what was there."""
    data = orjson.dumps({"version": _VERSION, "hits": list(baseline.entries)}, option=orjson.OPT_INDENT_2)
    try:
        refused = write_file(path, json_text(data.decode()).encode() + b"\n")
    except OSError as error:
        raise BaselineError(f"{path}: cannot write the baseline: {error.strerror}") from error
    if refused:
        raise BaselineError(f"{path}: the baseline is not written: it {refused}")
