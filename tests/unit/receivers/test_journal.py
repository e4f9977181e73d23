"""The write-ahead file: bounded, in one commit or not at all, and found again as it was."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.receivers.journal import FILE, Journal, JournalError, JournalFullError, NewBatch

MOST = 1 << 20


def batch(body: bytes = b"body", *identities: bytes, received: float = 1000.0) -> NewBatch:
    return NewBatch("audit", "api", received, body, identities or (body,))


def test_what_is_stored_is_found_in_its_order_also_by_another_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=MOST)
    assert journal.append([batch(b"one"), batch(b"two")]) == [1, 1]
    assert journal.append([batch(b"three")]) == [1]
    journal.close()
    again = Journal(tmp_path, most_bytes=MOST)
    found = again.after(0)
    assert [one.body for one in found] == [b"one", b"two", b"three"]
    assert [one.id for one in found] == [1, 2, 3]
    assert again.waiting_bytes == 11
    assert [one.body for one in again.after(2)] == [b"three"]
    again.drop(3)
    assert (again.after(0), again.waiting_bytes) == ([], 0)
    again.close()
    last = Journal(tmp_path, most_bytes=MOST)
    assert last.last == 3, "numbers are never given twice"
    last.append([batch(b"four")])
    assert last.after(3)[0].id == 4
    last.close()


def test_what_was_stored_before_is_named_and_a_batch_of_nothing_else_takes_no_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=MOST)
    assert journal.append([batch(b"b1", b"x", b"y", b"x")]) == [2]
    assert journal.append([batch(b"b2", b"y", b"z"), batch(b"b3", b"z")]) == [1, 0]
    assert [(one.body, one.left_out) for one in journal.after(0)] == [(b"b1", frozenset({2})), (b"b2", frozenset({0}))]
    journal.close()


@given(st.lists(st.lists(st.binary(min_size=1, max_size=2), max_size=5), max_size=8))
def test_each_identity_counts_once(tmp_path_factory: pytest.TempPathFactory, bodies: list[list[bytes]]) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal"), most_bytes=MOST)
    news = [journal.append([NewBatch("audit", "api", 1.0, b"body", one)])[0] for one in bodies]
    kept = [
        identity
        for one, stored in zip(
            [one for one, new in zip(bodies, news, strict=True) if new], journal.after(0), strict=True
        )
        for index, identity in enumerate(one)
        if index not in stored.left_out
    ]
    assert sorted(kept) == sorted({identity for one in bodies for identity in one})
    journal.close()


def test_beyond_its_bound_nothing_is_stored(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=10)
    journal.append([batch(b"12345")])
    with pytest.raises(JournalFullError, match="10 may"):
        journal.append([batch(b"a"), batch(b"123456")])
    assert [one.body for one in journal.after(0)] == [b"12345"]
    assert journal.append([batch(b"a")]) == [1], "its identity was not noted"
    journal.drop(1)
    assert journal.has_room
    journal.close()


def test_a_full_disk_is_said_and_costs_nothing_that_was_stored(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=MOST)
    journal.append([batch(b"before")])
    journal._connection.execute("PRAGMA max_page_count=20")
    with pytest.raises(JournalFullError, match="full"):
        journal.append([batch(b"x" * 500_000)])
    assert [one.body for one in journal.after(0)] == [b"before"]
    journal._connection.execute("PRAGMA max_page_count=100000")
    assert journal.append([batch(b"after")]) == [1]
    journal.close()


def test_identities_are_forgotten_by_age_and_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=MOST, most_identities=3)
    journal.append([batch(b"old", b"1", received=0.0), batch(b"new", b"2", b"3", b"4", b"5", received=90_000.0)])
    assert journal.forget_identities(90_000.0) == 2
    assert journal.append([batch(b"again", b"1")]) == [1]
    journal.close()


def test_facts_are_put_and_removed_together(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=MOST)
    journal.note({"a": b"1", "b": b"2"})
    journal.note({"a": None, "b": b"3"})
    facts = journal.facts()
    assert ("a" in facts, facts["b"]) == (False, b"3")
    journal.close()


def test_what_cannot_be_a_journal_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(JournalError, match="give a folder that this process may write to"):
        Journal(tmp_path / "file", most_bytes=MOST)
    (tmp_path / FILE).write_bytes(b"not a database, but of some length" * 100)
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(tmp_path, most_bytes=MOST)


def test_one_process_has_it_and_another_version_is_not_touched(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=MOST)
    other = subprocess.run(
        [sys.executable, "-c", _OPEN, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "run one receiver in it" in other.stdout
    journal.close()
    raw = sqlite3.connect(tmp_path / FILE)
    raw.execute("UPDATE fact SET value = x'39' WHERE name = 'version'")
    raw.commit()
    raw.close()
    with pytest.raises(JournalError, match="another version"):
        Journal(tmp_path, most_bytes=MOST)


_OPEN = """
import sys
from pathlib import Path
from iocaudit.receivers.journal import Journal, JournalError
try:
    Journal(Path(sys.argv[1]), most_bytes=100)
except JournalError as error:
    print(error)
"""
_APPEND = """
import sys
from pathlib import Path
from iocaudit.receivers.journal import Journal, NewBatch
journal = Journal(Path(sys.argv[1]), most_bytes=1 << 30)
number = journal.last
while True:
    number += 1
    body = str(number).encode() * 1000
    journal.append([NewBatch("audit", "api", 1.0, body, [number.to_bytes(16, "big")])])
    print(number, flush=True)
"""


def test_whatever_was_said_to_be_stored_is_there_after_a_kill_at_any_moment(tmp_path: Path) -> None:
    for turn in range(5):
        with subprocess.Popen([sys.executable, "-c", _APPEND, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            acknowledged = int(process.stdout.readline())
            time.sleep(0.03 * turn)
            os.kill(process.pid, 9)
            said = [int(one) for one in process.stdout.read().split() if one.isdigit()]
        last = max([acknowledged, *said[:-1]])
        journal = Journal(tmp_path, most_bytes=1 << 30)
        found = [one.id for one in journal.after(0, 1 << 30)]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= last
        journal.close()
