"""Ordinary work of administrators is no incident: stock add-ons, installed and upgraded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from iocaudit.core.severity import Severity
from iocaudit.incidents.correlation import incidents_of
from iocaudit.incidents.strand import StrandLog
from iocaudit.receivers.main import recorded_objects
from iocaudit.signals.detector import Detector
from tests.acceptance.addons import files
from tests.support.applied_log import applied
from tests.support.audit_events import Json

PATHS = files()
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)


def objects(path: Path) -> Iterator[Json]:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        yield from (document or {}).get("items") or ([document] if document else [])


def test_there_are_add_ons() -> None:
    assert len(PATHS) >= 20


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_an_administrator_installs_and_upgrades_an_add_on(path: Path) -> None:
    detector, judge, strands = Detector(), recorded_objects(), StrandLog()
    for signal in (
        *applied(objects(path), "create", BEGIN),
        *applied(objects(path), "patch", BEGIN + timedelta(minutes=30)),
    ):
        for sighting in (*detector.take(signal), *judge.take(signal)):
            strands.add(sighting)
    found = incidents_of(strands)
    assert [one for one in found if one.severity >= Severity.HIGH] == []
    assert len(found) <= 1
