"""Every output: as recorded, and harmless whatever the names hold.

``IOCAUDIT_UPDATE_GOLDEN=1 pytest tests/unit/sinks`` writes the golden files anew; read the difference before
committing it.
"""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.report import Report
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.sinks import json_report, sarif
from tests.unit.sinks.samples import outputs, sample

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads(Path(json_report.__file__).with_name("report.schema.json").read_text())
SARIF = jsonschema.Draft4Validator(
    json.loads((Path(__file__).parent / "schemas" / "sarif-schema-2.1.0.json").read_text()),
    format_checker=jsonschema.FormatChecker(),
)
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


@pytest.mark.parametrize("name", sorted(outputs(*BASE)))
def test_as_recorded(name: str) -> None:
    text = outputs(*BASE)[name]
    assert text == golden(name, text)


@given(NAMES)
def test_no_name_breaks_an_output(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report, reading = sample(Path(folder), name)
    said = outputs(report, reading)
    said_plain = said["table-80.txt"].replace("\x1b[0m", "")
    for style in ("1", "2", "1;31"):
        said_plain = said_plain.replace(f"\x1b[{style}m", "")
    for plain in (
        said["table.txt"],
        said["github.txt"],
        said["table-verbose.txt"],
        said["step-summary.md"],
        said_plain,
    ):
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in plain.replace("\n", ""))
    assert "\n::" not in "".join(said[name] for name in ("table.txt", "table-80.txt", "step-summary.md"))
    *commands, last = said["github.txt"].splitlines()
    assert last.startswith("iocaudit: ")
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
    assert data == json_report.as_json(report, reading, builtin_catalogue())
    patched = [one for one in data["findings"] if "patch" in one]
    assert patched
    assert [yaml.safe_load(one["patchYaml"]) for one in patched] == [one["patch"] for one in patched]
    SARIF.validate(json.loads(said["report.sarif"]))


def test_sarif_of_the_whole_catalogue_is_valid_and_within_the_limits_of_code_scanning() -> None:
    report, reading = BASE
    data = sarif.as_sarif(report, reading, builtin_catalogue())
    SARIF.validate(data)
    (run,) = data["runs"]
    for rule in run["tool"]["driver"]["rules"]:
        assert len(rule["properties"]["tags"]) <= 20
        assert 0 < float(rule["properties"]["security-severity"]) <= 10
        assert all(0 < len(rule[part]["text"]) <= 1024 for part in ("shortDescription", "fullDescription", "help"))
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
        assert result["partialFingerprints"]


def test_sarif_leaves_out_the_least_severe_of_too_many_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_RESULTS", 3)
    report, reading = BASE
    low, high = (report.found[0]._replace(severity=severity) for severity in (Severity.LOW, Severity.HIGH))
    many = replace(report, found=[low, high, low, high, low], waived=[])
    (run,) = sarif.as_sarif(many, reading, builtin_catalogue())["runs"]
    assert [result["properties"]["severity"] for result in run["results"]] == ["low", "high", "high"]
    assert "2 more results" in run["invocations"][0]["toolExecutionNotifications"][-1]["message"]["text"]


@pytest.mark.parametrize(
    ("file", "uri", "based"),
    [
        ("a b/c#.yaml", "a%20b/c%23.yaml", True),
        ("./a.yaml", "a.yaml", True),
        ("{cwd}/x/a.yaml", "x/a.yaml", True),
        ("/elsewhere/a.yaml", "file:///elsewhere/a.yaml", False),
        ("caf\udce9.yaml", "caf%E9.yaml", True),
    ],
)
def test_sarif_names_files_as_uris(file: str, uri: str, based: bool) -> None:
    report, reading = BASE
    origin = report.found[0].origin._replace(file=file.format(cwd=Path.cwd()), line=None)
    data = sarif.as_sarif(Report([report.found[0]._replace(origin=origin)]), reading, builtin_catalogue())
    SARIF.validate(data)
    artifact = data["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert (artifact["uri"], "uriBaseId" in artifact) == (uri, based)
