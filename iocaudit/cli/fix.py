"""``--fix`` and ``--diff``: repair files in memory, then write them or show what would change."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterable
from difflib import unified_diff

import click

from iocaudit.cli.writing import replace_file
from iocaudit.core.errors import IocauditError
from iocaudit.core.wording import counted
from iocaudit.scanning.repairing import RepairOutcome, Rescan, key_of, repair
from iocaudit.sinks.escape import visible
from iocaudit.sources.files import Inputs, read_once

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class FixError(IocauditError):
    """A repaired file cannot be written; names the file and the reason."""


def repaired(rescan: Rescan, paths: tuple[str, ...], *, unsafe: bool, write: bool) -> RepairOutcome:
    """Repair what the paths hold; write it, or show the difference on standard output and write nothing.

    The fixed text of standard input goes to standard output. What was done and what could not be is said on standard
    error. Raises FixError where a file cannot be written.
    """
    given = read_once(paths)
    outcome = repair(rescan, unsafe=unsafe, forbidden=_forbidden(paths), given=given)
    if not write:
        for file, data in sorted(outcome.after.items()):
            _show(file, outcome.before[file], data)
    else:
        for file, data in sorted(outcome.after.items()):
            if file != "-":
                write_file(file, outcome.before[file], data)
        if "-" in given:
            sys.stdout.buffer.write(outcome.after.get("-", given["-"]))
    sys.stdout.flush()
    _say(outcome, "fixed" if write else "would fix")
    return outcome


def _forbidden(paths: Iterable[str]) -> dict[str, str]:
    """The files that must not be written, and why: links out of the folder that was named, second names of a file."""
    forbidden: dict[str, str] = {}
    known: dict[str, str] = {}
    for path in paths:
        root = os.path.realpath(path)
        inputs = Inputs([path])
        forbidden |= dict.fromkeys(inputs.once, "it can be read only once: name a file, or use standard input (-)")
        for file in inputs.files:
            real = os.path.realpath(file)
            if file in forbidden:
                continue
            if file != path and os.path.commonpath((root, real)) != root:
                forbidden[file] = "a link to outside of the folder that was named: name the file itself"
            elif known.setdefault(real, file) != file:
                forbidden[file] = f"the same file as {known[real]}"
    forbidden.pop("-", None)
    return forbidden


def write_file(file: str, before: bytes, after: bytes) -> None:
    """Put new bytes in the place of a file's old ones at once, or raise FixError and leave it as it was.

    A symbolic link stays one, its target changes. Mode, owner and group stay.
    """
    real = os.path.realpath(file)
    try:
        status = os.stat(real)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise FixError(f"{file}: not written: not a regular file, or it has several names")
        with open(real, "rb") as stream:
            if stream.read() != before:
                raise FixError(f"{file}: not written: it was changed meanwhile, scan again")
        replace_file(real, after, status)
    except OSError as error:
        raise FixError(f"{file}: cannot be written: {error.strerror}") from error


def _show(file: str, before: bytes, after: bytes) -> None:
    """The unified diff of one file: its own bytes for ``patch``, made harmless on a terminal."""
    name = "<stdin>" if file == "-" else file
    old, new = (_LINE.findall(data.decode("utf-8", "surrogateescape")) for data in (before, after))
    terminal = sys.stdout.isatty()
    for line in unified_diff(old, new, name, name):
        text, newline = line.removesuffix("\n"), "\n"
        if not line.endswith("\n"):
            newline = "\n\\ No newline at end of file\n"
        text = visible(text.removesuffix("\r")) if terminal else text
        sys.stdout.buffer.write((text + newline).encode("utf-8", "surrogateescape"))


def _say(outcome: RepairOutcome, verb: str) -> None:
    counts: dict[str, Counter[str]] = {}
    for found in outcome.done:
        counts.setdefault(found.origin.file or "", Counter())[found.check] += 1
    for file, checks in sorted(counts.items()):
        shown = ", ".join(f"{check} {count}" for check, count in sorted(checks.items()))
        click.echo(visible(f"{verb}: {file}: {checks.total()} ({shown})"), err=True)
    for found, reason in outcome.refused:
        where = f"{found.origin.file}:{found.origin.line}" if found.origin.line else found.origin.file
        click.echo(visible(f"not fixed: {where}: {found.check}: {found.subject}: {reason}"), err=True)
    if outcome.done:
        fixable = {key_of(found) for found in outcome.first.report.found if found.hit.repair is not None}
        known = sum(key_of(found) in fixable for found in outcome.done)
        after = len(outcome.done) - known
        also = f", and {after} more that became fixable by these changes" if after else ""
        click.echo(f"{verb}: {counted(known, 'hit')}{also}", err=True)
    if outcome.unsafe > 0:
        click.echo(f"{outcome.unsafe} more can be fixed with --unsafe-fixes: they may break the workload", err=True)
