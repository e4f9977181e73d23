"""Every output: as recorded, and harmless whatever the names hold.

``IOCAUDIT_UPDATE_GOLDEN=1 pytest tests/unit/sinks`` writes the golden files anew; read the difference before
committing it.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.sinks import json_report
from tests.unit.sinks.samples import outputs, sample

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads(Path(json_report.__file__).with_name("report.schema.json").read_text())
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

with tempfile.TemporaryDirectory() as _folder:
    BASE = sample(Path(_folder))


def golden(name: str, text: str) -> str:
    """The recorded output; written anew first where IOCAUDIT_UPDATE_GOLDEN is 1."""
    file = GOLDEN / name
    if os.environ.get("IOCAUDIT_UPDATE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        file.write_bytes(text.encode())
    return file.read_bytes().decode()


@pytest.mark.parametrize("name", ["table.txt", "report.json", "report.sarif", "junit.xml", "github.txt"])
def test_as_recorded(name: str) -> None:
    text = outputs(*BASE)[name]
    assert text == golden(name, text)


@given(NAMES)
def test_no_name_breaks_an_output(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report, reading = sample(Path(folder), name)
    said = outputs(report, reading)
    for plain in (said["table.txt"], said["github.txt"]):
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in plain.replace("\n", ""))
    commands = said["github.txt"].splitlines()
    said_once: tuple[list[Any], ...] = (
        report.found,
        reading.errors,
        report.faults,
        report.skipped,
        report.waived,
        reading.notes,
    )
    assert len(commands) == sum(len(entries) for entries in said_once)
    assert all(line.startswith(("::error ", "::notice ")) for line in commands)
    ElementTree.fromstring(said["junit.xml"].encode())
    data = json.loads(said["report.json"])
    jsonschema.Draft202012Validator(SCHEMA).validate(data)
    assert data["findings"][0]["subject"]["name"] == name
    assert data == json_report.as_json(report, reading)
    assert json.loads(said["report.sarif"])["version"] == "2.1.0"
