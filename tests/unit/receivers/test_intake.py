"""What arrives is acknowledged once it stands in the file, and only then."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from iocaudit.receivers import intake as module
from iocaudit.receivers.body import BodyError
from iocaudit.receivers.intake import Intake, StoredCount
from iocaudit.receivers.journal import Journal, JournalFullError
from iocaudit.signals.signal import SignalSource
from iocaudit.supervision.part import Life
from tests.support.signal_posts import event_list, exec_event, sender

API = sender("api", "*")


def played(folder: Path, scenario: Callable[[Intake, Journal], Awaitable[None]], most_bytes: int = 1 << 20) -> None:
    journal = Journal(folder, most_bytes=most_bytes)
    intake = Intake(journal)
    life = Life(lambda: 0.0, 60.0)
    thread = threading.Thread(target=intake.run, args=(life,))
    thread.start()

    async def whole() -> None:
        await scenario(intake, journal)

    try:
        asyncio.run(whole())
    finally:
        life.end()
        thread.join()
        journal.close()


def test_what_is_told_to_be_stored_is(tmp_path: Path) -> None:
    async def scenario(intake: Intake, journal: Journal) -> None:
        body = event_list(exec_event(1), exec_event(2))
        assert await intake.take(SignalSource.AUDIT, API, body) == StoredCount(2, 2)
        assert journal.after(0)[0].body == body
        assert await intake.take(SignalSource.AUDIT, API, event_list(exec_event(2), exec_event(3))) == StoredCount(2, 1)

    played(tmp_path, scenario)


def test_many_at_once_share_commits_and_one_that_is_unreadable_costs_its_own_request_alone(tmp_path: Path) -> None:
    async def scenario(intake: Intake, journal: Journal) -> None:
        bodies = [event_list(exec_event(number)) if number % 10 else b"{" for number in range(200)]
        found = await asyncio.gather(
            *(intake.take(SignalSource.AUDIT, API, body) for body in bodies), return_exceptions=True
        )
        assert sum(one == StoredCount(1, 1) for one in found) == 180
        assert sum(isinstance(one, BodyError) for one in found) == 20
        assert len(journal.after(0)) == 180

    played(tmp_path, scenario)


def test_where_there_is_no_room_nothing_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(intake: Intake, journal: Journal) -> None:
        with pytest.raises(JournalFullError):
            await intake.take(SignalSource.AUDIT, API, event_list(exec_event(1)))
        assert journal.after(0) == []
        monkeypatch.setattr(module, "MOST_WAITING", 0)
        with pytest.raises(JournalFullError, match="wait to be stored"):
            await intake.take(SignalSource.AUDIT, API, event_list(exec_event(1)))

    played(tmp_path, scenario, most_bytes=10)


def test_what_waits_at_the_end_is_stored_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path, most_bytes=1 << 20)
    told: list[None] = []
    intake = Intake(journal, lambda: told.append(None))
    life = Life(lambda: 0.0, 60.0)
    life.end()

    async def scenario() -> None:
        waiting = asyncio.ensure_future(intake.take(SignalSource.AUDIT, API, event_list(exec_event(1))))
        await asyncio.sleep(0)
        await asyncio.to_thread(intake.run, life)
        assert await waiting == StoredCount(1, 1)

    asyncio.run(scenario())
    assert len(journal.after(0)) == len(told) == 1
    journal.close()


def test_it_is_busy_while_someone_waits(tmp_path: Path) -> None:
    async def scenario(intake: Intake, _journal: Journal) -> None:
        assert not intake.is_busy
        waiting = asyncio.ensure_future(intake.take(SignalSource.AUDIT, API, event_list(exec_event(1))))
        await asyncio.sleep(0)
        busy = intake.is_busy
        await waiting
        assert (busy, intake.is_busy) == (True, False)

    played(tmp_path, scenario)
