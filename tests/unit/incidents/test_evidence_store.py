"""Records stand once, in the order in which they came; what an incident has taken up stays as it is."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from iocaudit.incidents.book import StrandSpan
from iocaudit.incidents.evidence_chain import canonical, file_of, heads, verified
from iocaudit.incidents.evidence_store import (
    KEPT,
    LOOSE,
    MOST_OF_STRAND,
    EvidenceStore,
    EvidenceStoreError,
)
from iocaudit.incidents.strand import StrandKey
from tests.support.incidents import BEGIN

KEY, OTHER = StrandKey("a", "x", "shop", "Pod/p"), StrandKey("b", "x", "shop", "Pod/q")
NAME = "incident-0123456789"


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def span(key: StrandKey, first: int, last: int) -> StrandSpan:
    return StrandSpan(key, at(first), at(last))


def add(store: EvidenceStore, minute: int, key: StrandKey = KEY, identity: str = "") -> None:
    store.add(key, at(minute), identity or f"{minute}", {"at": minute, "rule": key.voice})
    store.flush()


def test_an_incident_takes_up_the_records_of_its_strands_and_goes_on_behind_them(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    for minute in (0, 5, 300):
        add(store, minute)
    add(store, 2, OTHER)
    first = store.take_up(NAME, [span(KEY, 0, 5)])
    assert (first.records, store.take_up(NAME, [span(KEY, 0, 5)])) == (2, first)
    add(store, 3)
    second = store.take_up(NAME, [span(KEY, 0, 5), span(OTHER, 2, 2)])
    records = store.records(NAME)
    assert records == [canonical({"at": n, "rule": r}) for n, r in ((0, "a"), (5, "a"), (2, "b"), (3, "a"))]
    known = dict(heads(NAME, records))
    assert (known[2], known[4]) == (first.head, second.head)
    store.close()


def test_the_same_signal_again_is_the_same_record_and_two_rules_keep_one_each(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    add(store, 0, identity="s")
    add(store, 0, identity="s")
    add(store, 0, OTHER, identity="s")
    assert store.take_up(NAME, [span(KEY, 0, 0), span(OTHER, 0, 0)]).records == 2
    store.close()


def test_another_process_reads_what_one_writes_and_a_restart_goes_on(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    add(store, 0)
    store.take_up(NAME, [span(KEY, 0, 0)])
    store.describe(NAME, {"severity": "high"})
    reader = EvidenceStore(tmp_path, is_read_only=True)
    assert reader.incidents() == [NAME]
    exported = file_of(NAME, reader.description(NAME), reader.records(NAME))
    reader.close()
    store.close()
    again = EvidenceStore(tmp_path)
    add(again, 1)
    head = again.take_up(NAME, [span(KEY, 0, 1)])
    found = verified(file_of(NAME, again.description(NAME), again.records(NAME)), verified(exported).head, 1)
    assert (found.head, found.incident, head.records) == (head.head, {"severity": "high"}, 2)
    again.close()


def test_of_one_strand_a_bounded_number_is_kept(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    for number in range(MOST_OF_STRAND + 10):
        store.add(KEY, at(0), f"{number}", {"at": number})
    assert not store.has_room(KEY)
    assert store.has_room(OTHER)
    store.flush()
    assert store.take_up(NAME, [span(KEY, 0, 0)]).records == MOST_OF_STRAND
    store.close()


def test_what_is_old_goes_and_what_an_incident_has_stays_for_its_time(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    add(store, 0)
    add(store, 0, OTHER)
    store.take_up(NAME, [span(KEY, 0, 0)])
    store.tidy(BEGIN + LOOSE + timedelta(minutes=1))
    assert len(store.records(NAME)) == 1
    assert store.take_up("incident-bbbbbbbbbb", [span(OTHER, 0, 0)]).records == 0
    store.tidy(BEGIN + KEPT + timedelta(minutes=1))
    assert (store.incidents(), store.records(NAME)) == ([], [])
    store.close()


def test_where_there_is_too_much_the_oldest_that_no_incident_has_goes(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path, most_bytes=200)
    for minute in range(40):
        add(store, minute)
    store.take_up(NAME, [span(KEY, 0, 3)])
    store.tidy(at(50))
    assert len(store.records(NAME)) == 4
    assert store.take_up("incident-bbbbbbbbbb", [span(KEY, 4, 10)]).records == 0
    assert store.take_up("incident-cccccccccc", [span(KEY, 30, 39)]).records == 10
    store.close()


def test_a_file_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    with pytest.raises(EvidenceStoreError, match="cannot be opened"):
        EvidenceStore(tmp_path, is_read_only=True)
    (tmp_path / "evidence.db").write_bytes(b"x" * 4096)
    with pytest.raises(EvidenceStoreError, match="cannot be opened"):
        EvidenceStore(tmp_path)


def test_a_store_that_was_closed_fails_in_words_and_keeps_what_waits(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    store.close()
    store.add(KEY, at(0), "1", {})
    with pytest.raises(EvidenceStoreError, match="cannot be stored"):
        store.flush()
    with pytest.raises(EvidenceStoreError, match="cannot be stored"):
        store.take_up(NAME, [])
    for ask in (store.records, store.description):
        with pytest.raises(EvidenceStoreError, match="cannot be read"):
            ask(NAME)
