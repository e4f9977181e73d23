"""``--generate``: the NetworkPolicies and rate limits that are missing, as new documents."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import click

from iocaudit.core.errors import IocauditError
from iocaudit.core.repair import Repair
from iocaudit.core.report import ReportedHit
from iocaudit.core.shape import Json
from iocaudit.core.wording import counted
from iocaudit.core.yaml_write import block
from iocaudit.repairs.fixes import fix
from iocaudit.repairs.missing import MissingObjects, documents
from iocaudit.scanning.reading import Scan, name_of
from iocaudit.scanning.repairing import Rescan
from iocaudit.sinks.escape import visible
from iocaudit.sources.documents import ReadFailure
from iocaudit.sources.files import read_bytes, read_once

_Key = tuple[str | None, int, str, str]
_HEADER = """\
# Made by iocaudit scan --generate. Before applying it: a NetworkPolicy here denies everything but DNS, so allow what
# has to reach the workloads and what they have to reach; the rates are a start, measure your own.
"""
_CHANGES = """\
# Your existing objects need these fields too; without them the limits have no effect:
"""
_AFTER = "it is still found with the new documents: another policy takes precedence"
_RENDERED = "it was rendered and needs a change: render it to a file and scan that file"


class GenerateError(IocauditError):
    """The new file cannot be written; names it and the reason."""


class _Outcome(NamedTuple):
    """``made`` answers ``wanted``, as scanning with it shows; ``left`` are the hits that are still found then."""

    made: list[Json]
    wanted: list[MissingObjects]
    left: set[_Key]


def generated(rescan: Rescan, paths: tuple[str, ...], target: str) -> Scan:
    """Scan, and write what is missing to a new file, or to standard output (``-``).

    A document is kept only if scanning with it, and with the changes of objects that it takes, makes its hit go away.
    Standard error says those changes, and of what is still missing why. Raises GenerateError where the file is there
    already, or cannot be written.
    """
    given = read_once(paths)
    scan = rescan(given)
    reported = {_key(found) for found in scan.report.found}
    missing = [one for one in scan.missing if _key(one.found) in reported]  # a baseline takes some away
    reasons: dict[_Key, str] = {}
    outcome = _answered(rescan, missing, reported, given, "generated.yaml" if target == "-" else target, reasons)
    changes = [line for one in outcome.wanted for line in _changes(one)]
    changes = list(dict.fromkeys(changes))
    if outcome.made:
        said = _CHANGES + "".join(f"#   {line}\n" for line in changes) if changes else ""
        _write(target, _HEADER + said + _text(outcome.made))
    for one in missing:
        if (key := _key(one.found)) in outcome.left:
            reason = one.reason or reasons.get(key) or _AFTER
            click.echo(visible(f"not generated: {_where(one)}: {reason}"), err=True)
    for note in dict.fromkeys(one.note for one in outcome.wanted if one.note):
        click.echo(visible(f"note: {note}"), err=True)
    for line in changes:
        click.echo(f"change: {line}", err=True)
    gone = sum(_key(one.found) not in outcome.left for one in missing)
    also = f", with the {counted(len(changes), 'change')} above" if changes else ""
    made = counted(len(outcome.made), "document")
    click.echo(f"generated: {made} for {counted(gone, 'finding')}{also}", err=True)
    return scan


def _answered(
    rescan: Rescan,
    missing: list[MissingObjects],
    reported: set[_Key],
    given: Mapping[str, bytes],
    name: str,
    reasons: dict[_Key, str],
) -> _Outcome:
    """Scan with what is made until each of the documents makes its hit go away; those that don't are left out."""
    wanted = [one for one in missing if not one.reason]
    while wanted:
        made = documents(wanted)
        texts = _changed(wanted, given, reasons)
        after = rescan({**texts, name: (_HEADER + _text(made)).encode()})
        left = {_key(found) for found in after.report.found}
        answered = [one for one in wanted if _key(one.found) not in left]
        if len(answered) == len(wanted):
            return _Outcome(made, wanted, left)
        wanted = answered
    return _Outcome([], [], reported)


def _changed(wanted: list[MissingObjects], given: Mapping[str, bytes], reasons: dict[_Key, str]) -> dict[str, bytes]:
    """The bytes of the files as they are once their objects say what the new documents take."""
    by_file: dict[str, list[ReportedHit]] = {}
    for one in wanted:
        if not one.edits or one.found.origin.file is None:
            continue
        if one.found.origin.line is None:
            reasons[_key(one.found)] = _RENDERED
            continue
        file = "-" if one.found.origin.file == name_of("-") else one.found.origin.file
        hit = one.found.hit._replace(repair=Repair(one.edits))
        by_file.setdefault(file, []).append(one.found._replace(hit=hit))
    texts = dict(given)
    for file, found in by_file.items():
        data = texts[file] if file in texts else read_bytes(file)
        if isinstance(data, ReadFailure):
            reasons |= {_key(one): data.reason for one in found}
            continue
        fixed = fix(data, name_of(file), found)
        texts[file] = fixed.data
        reasons |= {_key(refused.found): refused.reason for refused in fixed.refused}
    return texts


def _changes(one: MissingObjects) -> Iterator[str]:
    """What the object of a hit has to say besides, one line each."""
    for edit in one.edits:
        value = json.dumps(edit.value, ensure_ascii=False)
        what = f"set {edit.path} to {value}" if edit.op == "set" else f"add {value} to {edit.path}"
        yield visible(f"{_place(one.found)}: {one.found.subject}: {what}")


def _text(made: list[Json]) -> str:
    return "\n---\n".join(["", *(block(document).rstrip("\n") for document in made)]).lstrip("\n") + "\n"


def _key(found: ReportedHit) -> _Key:
    return (found.origin.file, found.origin.document, found.origin.item, found.fingerprint)


def _where(one: MissingObjects) -> str:
    return f"{_place(one.found)}: {one.found.check}: {one.found.subject}"


def _place(found: ReportedHit) -> str:
    origin = found.origin
    return f"{origin.file}:{origin.line}" if origin.line else str(origin.file)


def _write(target: str, text: str) -> None:
    if target == "-":
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    try:
        with open(target, "xb") as stream:
            stream.write(text.encode())
    except FileExistsError as error:
        raise GenerateError(f"{target} already exists; name a new file") from error
    except OSError as error:
        raise GenerateError(f"{target}: cannot be written: {error.strerror}") from error
