"""A baseline: hits that are known and left out, each by its fingerprint."""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from iocaudit.cli.writing import write_file
from iocaudit.core.errors import IocauditError
from iocaudit.core.identity import FINGERPRINT, FINGERPRINT_FORM
from iocaudit.core.report import Report
from iocaudit.core.wording import counted
from iocaudit.engine.catalogue import Catalogue
from iocaudit.sinks.escape import json_text
from iocaudit.sources.documents import ReadFailure
from iocaudit.sources.files import read_bytes

_VERSION = 2
"""Of the file; its fingerprints are of the scheme ``v2``."""


class BaselineError(IocauditError):
    """The baseline file cannot be read or written; names the file and what to do."""


class Baseline(NamedTuple):
    """Entries hold ``fingerprint``, and for the reader ``check``, ``subject``, ``path`` and a ``reason``."""

    entries: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, report: Report, reasons: Mapping[str, str] | None = None) -> "Baseline":
        """The hits of a report; ``reasons`` are those that people wrote, by fingerprint."""
        known = reasons or {}
        seen: dict[str, dict[str, Any]] = {}
        for found in report.hits:
            seen.setdefault(
                found.fingerprint,
                {
                    "fingerprint": found.fingerprint,
                    "check": found.check,
                    "subject": str(found.subject),
                    "path": found.hit.path,
                    "reason": known.get(found.fingerprint, ""),
                },
            )
        return cls(tuple(sorted(seen.values(), key=lambda e: (e["check"], e["subject"], e["fingerprint"]))))

    def without(self, report: Report) -> tuple[Report, int]:
        """The report without the hits listed here, and how many there were."""
        known = {entry["fingerprint"] for entry in self.entries}
        kept = [found for found in report.found if found.fingerprint not in known]
        return replace(report, found=kept), len(report.found) - len(kept)

    def stale(self, seen: Collection[str], catalogue: Catalogue) -> list[dict[str, Any]]:
        """The entries of checks that ran (all, where an entry names none that is known) and match no hit."""
        return [
            entry
            for entry in self.entries
            if entry["fingerprint"] not in seen
            and (catalogue.find(str(entry.get("check"))) or not catalogue.whole.find(str(entry.get("check"))))
        ]


def earlier_reasons(*paths: str | None) -> dict[str, str]:
    """The reasons in these baselines, by fingerprint; of two for one hit the first. A file that is absent has none.

    Raises BaselineError for one that is there and cannot be read: what people wrote into it would be lost.
    """
    reasons: dict[str, str] = {}
    for path in dict.fromkeys(path for path in paths if path and _has_text(path)):
        for entry in read_baseline(path, anew=True).entries:
            if (reason := entry.get("reason")) and isinstance(reason, str):
                reasons.setdefault(entry["fingerprint"], reason)
    return reasons


def _has_text(path: str) -> bool:
    """Whether a regular file, not a link to one, is there and not empty: a new file may have been made beforehand."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0


def stale_note(
    path: str, baseline: Baseline, seen: Collection[str], catalogue: Catalogue, *, prune: bool, whole: bool
) -> str:
    """What to say of entries that match nothing any more; with ``prune`` they are removed from the file.

    ``whole``: everything could be judged. Else nothing is removed: an entry may be of what could not.
    """
    stale = baseline.stale(seen, catalogue)
    if not stale:
        return ""
    count = counted(len(stale), "entry", "entries")
    match = "matches" if len(stale) == 1 else "match"
    if not prune:
        return f"{path}: {count} no longer {match} (--prune removes them)"
    if not whole:
        return f"{path}: {count} no longer {match}, not removed: not everything could be judged"
    gone = {entry["fingerprint"] for entry in stale}
    write_baseline(path, Baseline(tuple(one for one in baseline.entries if one["fingerprint"] not in gone)))
    was = "was" if len(stale) == 1 else "were"
    return f"{path}: {count} that no longer {match} {was} removed"


def read_baseline(path: str, *, anew: bool = False) -> Baseline:
    """Read a baseline; BaselineError where the file is absent or not one.

    ``anew``: it is about to be written anew, so one of an earlier scheme counts as empty.
    """
    read = read_bytes(path, named=True)
    if isinstance(read, ReadFailure):
        raise BaselineError(f"{path}: the baseline {read.reason}")
    try:
        data = orjson.loads(read)
    except ValueError as error:
        raise BaselineError(f"{path}: not JSON ({error}); write one with --write-baseline") from error
    if isinstance(data, dict) and data.get("version") == 1:
        if anew:
            return Baseline(())
        raise BaselineError(
            f"{path}: written under identity scheme v1, whose fingerprints are no longer accepted; write it again with "
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
