"""Labelled events of audit logs come out right through the same corridor as `iocaudit detect`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from iocaudit.core.world import World
from iocaudit.detecting.objects import RecordedObjects
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_reader import read_policies
from iocaudit.signals.detector import Detector
from iocaudit.signals.indicators.catalogue import all_detections
from iocaudit.signals.signal_log import SignalLog
from tests.acceptance.labelled import CATALOGUE, HERE, folder, rows

DATA = tomllib.loads((HERE / "signals.toml").read_text())
SLUGS: dict[str, list[str]] = DATA["slugs"]
RULES: dict[str, list[str]] = DATA["rules"]
LEFT: dict[str, str] = DATA["left"]
OVERRULED: dict[str, str] = DATA["overruled"]


def seen(path: Path, text: str) -> set[str]:
    """The detections and checks that see something in an input of its own."""
    path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    detector = Detector()
    world = World()
    for kind in CATALOGUE.admission_world_kinds:
        world.mark_incomplete(kind, "an event holds no other objects")
    objects = RecordedObjects(Auditor(CATALOGUE, read_policies([], CATALOGUE), world))
    log = SignalLog([str(path)])
    found = {one.rule for signal in log for one in (*detector.take(signal), *objects.take(signal))}
    assert not detector.faults
    assert not objects.faults
    assert not log.tally.unread_count, log.tally.unread
    return found


def events() -> list[dict[str, Any]]:
    path = folder("IOCAUDIT_SIGNALS", "../shared/signals") / "audit-events.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def name_of(row: dict[str, Any]) -> str:
    return f"{row['rule']}/{row['case']}"


def test_the_labelled_cases_that_are_events(tmp_path: Path) -> None:
    labelled = [row for row in rows() if row.raw["input"] == "auditevent"]
    assert len(labelled) > 20
    wrong = []
    for row in labelled:
        found = seen(tmp_path / "log", row.raw["manifest"])
        if found.isdisjoint(SLUGS[row.raw["check"]]) is (row.raw["expect"] == "flag"):
            wrong.append(f"{row.id}: {row.raw['check']} should be {row.raw['expect']}, seen: {sorted(found)}")
    assert not wrong, "\n".join(wrong)


def test_the_labelled_events_of_other_projects(tmp_path: Path) -> None:
    labelled = [row for row in events() if row["rule"] and row["rule"] not in LEFT]
    assert len(labelled) > 40
    wrong = []
    for row in labelled:
        found = seen(tmp_path / "log", json.dumps(row["event"]))
        right = found.isdisjoint(RULES[row["rule"]]) is (row["expect"] == "quiet")
        if right is (name_of(row) in OVERRULED):
            wrong.append(f"{name_of(row)} ({row['expect']}): {sorted(found)}")
    assert not wrong, "\n".join(wrong)


def test_every_sample_is_read(tmp_path: Path) -> None:
    for row in events():
        if row["rule"] is None:
            seen(tmp_path / "log", json.dumps(row["event"]))


@pytest.mark.parametrize("table", [SLUGS, RULES])
def test_the_mapping_names_what_there_is(table: dict[str, list[str]]) -> None:
    known = {one.id for one in all_detections()} | {check.id for check in CATALOGUE}
    assert {id for ids in table.values() for id in ids} <= known
