"""Incidents are written whole, once for each change, and removed when they were closed long ago."""

from datetime import UTC, datetime, timedelta

import pytest

from iocaudit.cluster.errors import ClusterError
from iocaudit.evidence.incident_ledger import RETENTION, IncidentLedger
from iocaudit.evidence.metrics import IncidentMetrics
from iocaudit.evidence.post import Post
from iocaudit.records.incident import IncidentRecord, IncidentState, IncidentWeakness
from iocaudit.records.kinds import IOC_INCIDENT
from iocaudit.serving.metrics import new_registry
from tests.support.api import FakeApi, unavailable
from tests.support.incidents import BEGIN, record

USED = IncidentWeakness("shop", "f", "privileged-container", "high", "Deployment/web", "Open", True)


class Weaknesses:
    """Knows one."""

    def of(self, _record: IncidentRecord) -> list[IncidentWeakness]:
        return [USED]


class Desk:
    """An operator's part for incidents; ``now`` is its clock."""

    def __init__(self, api: FakeApi) -> None:
        self.now = BEGIN
        self.metrics = IncidentMetrics(new_registry("test"))
        self.ledger = IncidentLedger(api, Weaknesses(), self.metrics, clock=lambda: self.now)
        self.ledger.load()
        self.number = 0

    def post(self, *records: IncidentRecord) -> bool:
        self.number += 1
        return self.ledger.accept(Post("receiver", self.number, {}, source="incidents", incidents=records))

    def written(self, action: str) -> float:
        value: float = self.metrics.written.labels(action)._value.get()
        return value


def test_it_is_stored_before_it_is_acknowledged_and_not_written_twice() -> None:
    api = FakeApi()
    desk = Desk(api)
    assert not desk.post(record())
    desk.ledger.turn()
    assert desk.post(record())
    desk.ledger.turn()
    [body] = api.stored("iocincidents")
    assert body["metadata"]["name"] == record().name
    assert body["incident"]["weaknesses"][0]["finding"] == "f"
    assert api.writes == {("POST", "iocincidents"): 1}
    assert not desk.post(record(signals=9), record("incident-aaaaaaaaaa"))
    desk.ledger.turn()
    assert {one["incident"]["signals"] for one in api.stored("iocincidents")} == {9, 4}
    assert (desk.written("opened"), desk.written("updated")) == (2, 1)


def test_another_leader_writes_nothing_that_stands_already() -> None:
    api = FakeApi()
    first = Desk(api)
    first.post(record())
    first.ledger.turn()
    second = Desk(api)
    second.now += timedelta(hours=1)
    assert not second.post(record())
    second.ledger.turn()
    assert second.post(record())
    assert api.writes == {("POST", "iocincidents"): 1}


def test_one_that_somebody_deleted_or_changed_is_written_anew() -> None:
    api = FakeApi()
    desk = Desk(api)
    desk.post(record())
    desk.ledger.turn()
    api.remove(IOC_INCIDENT, record().name)
    desk.post(record(signals=5))
    desk.ledger.turn()
    [body] = api.stored("iocincidents")
    api.put(IOC_INCIDENT, record().name, incident={"state": "Closed"})
    desk.post(record(signals=6))
    desk.ledger.turn()
    [body] = api.stored("iocincidents")
    assert (body["incident"]["signals"], body["incident"]["state"]) == (6, "Open")


def test_while_the_api_server_is_away_nothing_is_acknowledged() -> None:
    api = FakeApi()
    desk = Desk(api)
    desk.post(record())

    def away(_method: str, _path: str) -> None:
        raise unavailable()

    api.before = away
    with pytest.raises(ClusterError):
        desk.ledger.turn()
    assert not desk.post(record())
    api.before = lambda _method, _path: None
    desk.ledger.turn()
    assert desk.post(record())


def test_without_its_kind_it_waits_and_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    api = FakeApi()
    api.absent.add((IOC_INCIDENT.group, IOC_INCIDENT.plural))
    desk = Desk(api)
    assert not desk.post(record())
    desk.ledger.turn()
    assert "the IocIncident CRD is not installed" in caplog.text
    api.absent.remove((IOC_INCIDENT.group, IOC_INCIDENT.plural))
    desk.ledger.turn()
    assert desk.post(record())


def test_what_was_closed_long_ago_is_removed_and_what_is_open_never() -> None:
    api = FakeApi()
    desk = Desk(api)
    desk.post(record(), record("incident-aaaaaaaaaa", IncidentState.CLOSED))
    desk.ledger.turn()
    desk.now = BEGIN + RETENTION - timedelta(hours=1)
    desk.ledger.tidy()
    assert len(api.stored("iocincidents")) == 2
    desk.now = datetime(2027, 6, 1, tzinfo=UTC)
    desk.ledger.tidy()
    assert [one["incident"]["state"] for one in api.stored("iocincidents")] == ["Open"]
    assert desk.metrics.incidents.labels("Open")._value.get() == 1
