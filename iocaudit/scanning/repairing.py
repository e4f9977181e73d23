"""Repair what a scan finds in files, scanning again until nothing is left that a repair makes go away."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from iocaudit.core.report import ReportedHit
from iocaudit.repairs.fixes import RefusedRepair, fix
from iocaudit.scanning.reading import Scan, name_of
from iocaudit.sources.documents import ReadFailure
from iocaudit.sources.files import read_bytes

MOST_ROUNDS = 20
"""How often repairs may bring further ones about (a pod off the node's network has host ports of its own)."""

Rescan = Callable[[Mapping[str, bytes]], Scan]
"""Scans with some files replaced by these bytes."""


class RepairOutcome(NamedTuple):
    """What became of a scan: ``first`` is what was found, ``scan`` what is left.

    ``before`` and ``after`` hold the bytes of the files that change, by their path. ``refused`` are the repairs that
    could not be carried out, ``unsafe`` counts those that nobody allowed.
    """

    first: Scan
    scan: Scan
    before: dict[str, bytes]
    after: dict[str, bytes]
    done: list[ReportedHit]
    refused: list[RefusedRepair]
    unsafe: int


def repair(
    rescan: Rescan, *, unsafe: bool, forbidden: Mapping[str, str], given: Mapping[str, bytes] | None = None
) -> RepairOutcome:
    """Carry the repairs of all hits out, in memory. ``forbidden`` are files that must not change, and why.

    ``given`` are the bytes of what cannot be read twice (``-``). A repair after which its hit is still found is
    taken back: nobody gains by it.
    """
    texts = dict(given or {})
    before: dict[str, bytes] = {}
    done: list[ReportedHit] = []
    refused: dict[Hashable, RefusedRepair] = {}
    first = scan = rescan(texts)
    for _ in range(MOST_ROUNDS):
        trial, mine = dict(texts), []
        for file, wanted in _by_file(scan, unsafe, refused).items():
            if (reason := _reason(file, wanted, forbidden)) is not None:
                refused |= {key_of(found): RefusedRepair(found, reason) for found in wanted}
                continue
            data = texts[file] if file in texts else read_bytes(file)
            if isinstance(data, ReadFailure):
                refused |= {key_of(found): RefusedRepair(found, data.reason) for found in wanted}
                continue
            before.setdefault(file, data)
            fixed = fix(data, name_of(file), wanted)
            refused |= {key_of(one.found): one for one in fixed.refused}
            if fixed.data == data:
                refused |= {key_of(found): RefusedRepair(found, "its repair changes nothing") for found in fixed.done}
                continue
            trial[file] = fixed.data
            mine += fixed.done
        if not mine:
            break
        after = rescan(trial)
        still = {key_of(found) for found in after.report.found}
        stuck = [found for found in mine if key_of(found) in still]
        if stuck:
            refused |= {key_of(found): RefusedRepair(found, "it is still found after the change") for found in stuck}
            continue
        texts, scan = trial, after
        done += mine
    changed = {file: data for file, data in texts.items() if file in before and data != before[file]}
    left = [found.hit.repair for found in scan.report.found if found.hit.repair is not None]
    left_out = 0 if unsafe else sum(not one.safe for one in left)
    return RepairOutcome(first, scan, before, changed, done, list(refused.values()), left_out)


def key_of(found: ReportedHit) -> Hashable:
    """What a hit is the same by before and after a change of its file."""
    origin = found.origin
    return (origin.file, origin.document, origin.item, found.check, found.hit.place, found.hit.evidence)


def _by_file(scan: Scan, unsafe: bool, refused: Mapping[Hashable, RefusedRepair]) -> dict[str, list[ReportedHit]]:
    """The hits to repair, by the path of their file."""
    wanted: dict[str, list[ReportedHit]] = {}
    for found in scan.report.found:
        mechanical = found.hit.repair is not None and (unsafe or found.hit.repair.safe)
        if mechanical and found.origin.file is not None and key_of(found) not in refused:
            wanted.setdefault("-" if found.origin.file == name_of("-") else found.origin.file, []).append(found)
    return wanted


def _reason(file: str, wanted: list[ReportedHit], forbidden: Mapping[str, str]) -> str | None:
    """Why a file must not be changed."""
    if any(found.origin.rendered for found in wanted):
        return "it was rendered: change what it was rendered from"
    return forbidden.get(file)
