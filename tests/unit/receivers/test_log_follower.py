"""The audit log file is followed across rotation and restarts: each event once, whatever happens to the file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.receivers import log_follower as module
from iocaudit.receivers.journal import Journal, JournalFullError
from iocaudit.receivers.log_follower import LogFollower
from iocaudit.receivers.senders import LOG_SENDER
from iocaudit.supervision.part import Life
from tests.support.audit_events import event, line


class Log:
    """A log as the API server writes it, with what follows it; ``stored`` are the ids of the events in the journal."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "audit.log"
        self.folder = folder
        self.journal = Journal(folder / "data", most_bytes=1 << 26)
        self.unread = 0
        self.lost: list[str] = []
        self.follower = self._follower()
        self._number = self._rotations = 0

    def _follower(self) -> LogFollower:
        return LogFollower(self.path, self.journal, unreadable=self._count, lost=self.lost.append)

    def _count(self) -> None:
        self.unread += 1

    def write(self, count: int = 1) -> None:
        with self.path.open("ab") as file:
            for _ in range(count):
                self._number += 1
                file.write(line(event(self._number)))

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def rotate(self) -> None:
        if self.path.exists():
            self._rotations += 1
            self.path.rename(self.folder / f"audit-2026-11-30T10-00-{self._rotations:06}.log")

    def restart(self) -> None:
        self.follower.close()
        self.journal.close()
        self.journal = Journal(self.folder / "data", most_bytes=1 << 26)
        self.follower = self._follower()

    def read(self) -> None:
        try:
            while self.follower.step():
                pass
        except FileNotFoundError:
            return

    @property
    def stored(self) -> list[str]:
        return [
            one["auditID"]
            for batch in self.journal.after(0, 1 << 30)
            for index, one in enumerate(orjson.loads(batch.body)["items"])
            if index not in batch.left_out
        ]

    @property
    def written(self) -> list[str]:
        return [f"id-{number}" for number in range(1, self._number + 1)]

    def close(self) -> None:
        self.follower.close()
        self.journal.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    found = Log(tmp_path)
    yield found
    found.close()


def test_what_is_written_is_stored_and_not_again(log: Log) -> None:
    log.read()
    log.write(3)
    log.read()
    log.read()
    log.write(2)
    log.read()
    assert log.stored == log.written
    assert {batch.sender for batch in log.journal.after(0)} == {LOG_SENDER.name}


def test_a_line_that_is_being_written_is_waited_for(log: Log) -> None:
    whole = line(event(1))
    log.append(whole[:50])
    log.read()
    assert log.stored == []
    log.append(whole[50:])
    log.read()
    assert log.stored == ["id-1"]


@given(steps=st.lists(st.sampled_from(["write", "rotate", "restart", "read"]), max_size=25))
def test_each_event_counts_once_whatever_happens_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    log = Log(tmp_path_factory.mktemp("log"))
    log.write()
    log.read()  # files that were rotated before the first look are not looked for
    for step in steps:
        {"write": log.write, "rotate": log.rotate, "restart": log.restart, "read": log.read}[step]()
    log.write()
    log.read()
    assert log.stored == log.written
    log.close()


def test_several_rotations_while_it_was_away_are_all_read(log: Log) -> None:
    log.write(2)
    log.read()
    for _ in range(3):
        log.write(2)
        log.rotate()
    log.write(2)
    log.restart()
    log.read()
    assert log.stored == log.written


def test_a_file_that_was_copied_and_cut_off_is_read_from_its_beginning(log: Log) -> None:
    log.write(3)
    log.read()
    log.path.write_bytes(b"")
    log.write(1)
    log.read()
    assert log.stored == log.written
    log.path.write_bytes(b"")
    log.write(20)
    log.read()
    assert log.stored == log.written


def test_lines_that_are_not_events_are_counted_and_cost_no_other(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.write()
    log.append(b"not json\n\n[1]\n" + b'{"half": \n')
    log.write()
    log.read()
    assert log.stored == ["id-1", "id-2"]
    assert log.unread == 3
    assert "a line is not an event" in caplog.text


def test_a_line_that_is_too_long_is_passed_over(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_READ", 2_000)
    monkeypatch.setattr(module, "LONGEST_LINE", 5_000)
    log.write()
    log.append(b'{"a": "' + b"x" * 20_000 + b'"}\n')
    log.write(3)
    log.read()
    assert log.stored == log.written
    assert log.unread >= 1


def test_where_nothing_can_be_stored_nothing_is_read(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(2)

    def full(*_: object) -> None:
        raise JournalFullError("full")

    with monkeypatch.context() as patched:
        patched.setattr(log.journal, "append", full)
        with pytest.raises(JournalFullError):
            log.follower.step()
    log.read()
    assert log.stored == log.written


def test_a_file_that_is_gone_is_said_and_the_next_is_read(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.write(2)
    log.read()
    log.path.unlink()
    log.restart()
    log.write(1)
    log.read()
    assert log.stored == log.written
    assert "what it held since is lost" in caplog.text
    assert len(log.lost) == 1


def test_the_thread_waits_for_the_file_and_ends_when_it_is_told_to(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NAP", 0.01)
    life = Life(lambda: 0.0, 60.0)
    told = threading.Event()
    follower = LogFollower(log.path, log.journal, told.set)
    thread = threading.Thread(target=follower.run, args=(life,))
    thread.start()
    try:
        log.write(2)
        assert told.wait(60)
    finally:
        life.end()
        thread.join()
    assert log.stored == log.written
