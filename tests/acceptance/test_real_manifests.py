"""What real projects ship is read whole and audited without a fault, and agrees with a plain evaluator."""

import json
import tomllib
from collections import defaultdict
from pathlib import Path

from iocaudit.scanning.scan import Scan, ScanOptions, scan_files
from tests.acceptance import labelled


def _scan() -> tuple[Path, Scan]:
    folder = labelled.folder("IOCAUDIT_REALWORLD", "../shared/realworld")
    return folder, scan_files([str(folder)], labelled.CATALOGUE, ScanOptions(profile="strict"))


def test_no_fault_and_nothing_unreadable() -> None:
    _, scan = _scan()
    assert scan.files > 1500
    assert not scan.report.faults
    assert not scan.errors


def test_pod_level_findings_agree_with_the_expected_ones() -> None:
    folder, scan = _scan()
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in scan.report.found:
        file = str(Path(one.origin.file or "").relative_to(folder))
        found[(file, one.subject.kind, one.subject.name)].add(one.check)
    # The evaluator took a fragment for the whole of its object.
    fragments = {
        str(Path(one.origin.file or "").relative_to(folder))
        for one in scan.report.skipped
        if one.origin is not None and one.reason.startswith("a patch, which ")
    }
    assert len(fragments) < 120
    missing = []
    for line in (folder / "expected.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["file"] in fragments:
            continue
        have = found[(row["file"], row["kind"], row["name"])]
        for slug in row["checks"]:
            ids = labelled.SLUGS.get(slug)
            if ids is not None and not have & set(ids):
                missing.append(f"{row['file']} {row['kind']}/{row['name']}: {slug}")
    allowed = labelled.REALWORLD_EXCEPTIONS
    unexpected = [entry for entry in missing if entry not in allowed]
    assert not unexpected, "\n".join(unexpected[:50])


def test_hits_by_shape_are_those_that_were_looked_at() -> None:
    """At most 1 in 100 of them false."""
    _, scan = _scan()
    found = {
        (one.subject.kind, one.check, one.hit.path, one.hit.evidence)
        for one in scan.report.found
        if one.origin.by_shape
    }
    known = tomllib.loads((labelled.HERE / "by-shape.toml").read_text())["hit"]
    verdicts = {
        (row["kind"], row["check"], row["path"], one): row["verdict"] for row in known for one in row["evidence"]
    }
    assert found <= verdicts.keys(), "look at these, and add them to by-shape.toml with a verdict"
    assert found >= verdicts.keys(), "these are found no more"
    assert sum(not verdict for verdict in verdicts.values()) <= len(verdicts) / 100
