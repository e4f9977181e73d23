"""What is told of an incident: whom and what it concerns, and its steps by time."""

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.incidents.correlation import Incident, incidents_of
from iocaudit.incidents.strand import StrandKey, StrandLog, strand_of
from iocaudit.incidents.telling import record_of
from iocaudit.records.incident import (
    MOST_STEPS,
    IncidentRecord,
    IncidentState,
    incident_body,
    incident_content,
    read_incident,
)
from iocaudit.signals.sighting import Sighting
from tests.support.crd_schemas import content_schema
from tests.support.sightings import BEGIN, sighting


def told(*sightings: Sighting) -> IncidentRecord:
    log = StrandLog()
    for one in sightings:
        log.add(one)
    [incident] = incidents_of(log)
    return record_of(incident, "incident-0123456789", BEGIN)


def test_steps_stand_by_time_with_what_was_said() -> None:
    found = told(
        sighting(20, "b", "x", "q", ioc=IoC.DNS_ANOMALY), sighting(0, "a", "x", "p"), sighting(5, "a", "x", "p")
    )
    assert [(one.rule, one.target, one.sightings) for one in found.steps] == [
        ("a", "shop/Pod/p", 2),
        ("b", "shop/Pod/q", 1),
    ]
    assert (found.state, found.signals, found.step_count) == (IncidentState.OPEN, 3, 2)
    assert found.iocs == (IoC.USER_ACTIVITY, IoC.DNS_ANOMALY)


def test_the_worst_of_many_steps_are_told_and_all_are_counted() -> None:
    many = [sighting(number, f"rule-{number}", "x", f"p{number}") for number in range(MOST_STEPS + 10)]
    worst = sighting(MOST_STEPS + 20, "worst", "x", "p", severity=Severity.CRITICAL)
    found = told(*many, worst)
    assert (len(found.steps), found.step_count) == (MOST_STEPS, MOST_STEPS + 11)
    assert found.steps[-1].rule == "worst"
    assert found.steps[0].rule == "rule-0"


@given(
    texts=st.lists(st.text(max_size=400), min_size=4, max_size=4), rules=st.lists(st.text(max_size=300), max_size=40)
)
def test_whatever_was_seen_fits_the_schema(texts: list[str], rules: list[str]) -> None:
    account, pod, message, title = texts
    seen = sighting(0, "proof", severity=Severity.CRITICAL)
    strand = strand_of(seen._replace(message=message * 9, title=title * 9), BEGIN, account, account, f"Pod/{pod}")
    habits = [replace(strand, key=StrandKey(one, "", "", "")) for one in rules]
    incident = Incident("incident-0123456789", Severity.HIGH, (strand,), tuple(habits))
    found = record_of(incident, "incident-0123456789", BEGIN)
    body = incident_body(found, [], BEGIN, None)
    content_schema("iocincidents", "incident").validate(orjson.loads(orjson.dumps(body["incident"])))
    assert read_incident(incident_content(found)) == found


def test_control_characters_in_names_are_spelled_out() -> None:
    found = told(sighting(0, "a", "x\x1b[31m", "p"), sighting(1, "b", "x\x1b[31m", "p", ioc=IoC.DNS_ANOMALY))
    assert incident_content(found)["accounts"] == ["x\\u001b[31m"]
