"""Incidents are posted whole, the last of each alone, and again until they are stored."""

from iocaudit.evidence.post import MOST_INCIDENTS, read_post, to_bytes
from iocaudit.receivers.incident_outbox import SOURCE, IncidentOutbox
from tests.support.incidents import record


def test_a_post_is_the_same_until_it_is_stored() -> None:
    outbox = IncidentOutbox("host")
    assert (outbox.is_new, outbox.is_empty) == (True, True)
    outbox.tell([record()])
    first = outbox.next_post()
    outbox.tell([record(signals=5), record("incident-aaaaaaaaaa")])
    outbox.tell([record(signals=6)])
    assert outbox.next_post() is first
    assert (outbox.posting, outbox.waiting, first.source) == (True, 2, SOURCE)
    assert read_post(to_bytes(first)) == first
    assert outbox.stored(7) == 0
    assert outbox.stored(first.number) == 1
    second = outbox.next_post()
    assert second.number == 2
    assert {one.name: one.signals for one in second.incidents} == {record().name: 6, "incident-aaaaaaaaaa": 4}


def test_more_than_a_post_holds_come_in_the_next_and_only_that_is_the_last() -> None:
    outbox = IncidentOutbox("host")
    outbox.tell(record(f"incident-{number:010x}") for number in range(MOST_INCIDENTS + 1))
    first = outbox.next_post(last=True)
    assert (len(first.incidents), first.last) == (MOST_INCIDENTS, False)
    outbox.stored(1)
    assert outbox.next_post(last=True).last
    assert not outbox.is_new


def test_each_process_has_a_name_of_its_own() -> None:
    assert IncidentOutbox("host").replica != IncidentOutbox("host").replica
    assert IncidentOutbox("host").heartbeat is None
