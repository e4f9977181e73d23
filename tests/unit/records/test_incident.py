"""What is told of an incident fits the schema, whatever was seen, and is read back as it was written."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given

from iocaudit.records.incident import (
    MOST_WEAKNESSES,
    IncidentFormatError,
    IncidentRecord,
    IncidentState,
    IncidentWeakness,
    incident_body,
    incident_content,
    read_incident,
)
from tests.support.crd_schemas import content_schema
from tests.support.incidents import record, records

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SCHEMA = content_schema("iocincidents", "incident")


def weakness(number: int = 0, *, is_used: bool = False, severity: str = "high") -> IncidentWeakness:
    check = "privileged-container"
    return IncidentWeakness("shop", f"{check}-{number}", check, severity, "Deployment/web", "Open", is_used)


@given(records())
def test_any_record_fits_the_schema_and_comes_back(one: IncidentRecord) -> None:
    body = incident_body(one, [weakness()], NOW, None)
    SCHEMA.validate(orjson.loads(orjson.dumps(body["incident"])))
    content = orjson.loads(orjson.dumps(incident_content(one)))
    assert read_incident(content) == one


def test_the_columns_name_the_first_and_how_many_more() -> None:
    content = incident_content(record())
    assert (content["target"], content["account"]) == ("shop/Deployment/web +1", "mallory")
    assert content["indicators"] == "4,6"


def test_the_resource_names_what_was_used_first_and_how_many_there_are() -> None:
    before = {"metadata": {"resourceVersion": "7"}}
    known = [weakness(number) for number in range(60)]
    used = weakness(99, is_used=True, severity="low")
    body = incident_body(record(), [*known, used], NOW, before)
    assert body["metadata"]["resourceVersion"] == "7"
    assert body["metadata"]["labels"] == {"iocaudit.io/severity": "high", "iocaudit.io/state": "Open"}
    told = body["incident"]["weaknesses"]
    assert (told[0]["finding"], told[0]["used"]) == (used.finding, True)
    assert (len(told), body["incident"]["weaknessCount"]) == (MOST_WEAKNESSES, 61)
    assert "name" not in body["incident"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "x", "name: not the name"),
        ("state", "Gone", "state: "),
        ("severity", "bad", "severity: 'bad' is not a severity"),
        ("signals", -1, "signals: must be a whole number"),
        ("signals", True, "signals: must be a whole number"),
        ("firstSignal", "yesterday", "firstSignal: must be an RFC 3339 time"),
        ("firstSignal", "2026-11-30T10:00:00", "firstSignal: must be an RFC 3339 time with its zone"),
        ("firstSignal", "2200-01-01T00:00:00Z", "firstSignal: later than lastSignal"),
        ("accounts", "x", "accounts: must be a list"),
        ("accounts", [1], "accounts: must be strings"),
        ("targets", ["x" * 513], "targets: must be strings of at most 512"),
        ("iocs", [11], "iocs: must be numbers"),
        ("relatedChecks", ["a,b"], "relatedChecks: not the id"),
        ("steps", [{}], "steps[0].rule: must be a string"),
        ("steps", ["x"], "steps[0]: not an object"),
        ("mergedInto", "x", "mergedInto: not the name"),
        ("reason", 1, "reason: must be a string"),
    ],
)
def test_what_is_not_one_is_refused_by_field(field: str, value: Any, said: str) -> None:
    with pytest.raises(IncidentFormatError) as caught:
        read_incident({**incident_content(record()), field: value}, "incidents[3]")
    assert f"incidents[3].{said}" in str(caught.value)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(IncidentFormatError, match="incident: not an object"):
        read_incident([])


def test_a_merged_one_names_the_other() -> None:
    merged = record(state=IncidentState.MERGED, merged_into="incident-aaaaaaaaaa")
    assert incident_content(merged)["mergedInto"] == "incident-aaaaaaaaaa"
    assert read_incident(incident_content(merged)) == merged
