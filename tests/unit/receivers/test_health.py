"""Detector health as a whole, with a file behind it: what is told reaches the post, and restarts are seen."""

from pathlib import Path

import pytest

from iocaudit.receivers.health import DetectorHealth
from iocaudit.receivers.journal import Journal
from iocaudit.receivers.outbox import Outbox
from iocaudit.receivers.senders import Senders
from iocaudit.signals.signal import SignalSource
from tests.support.health import BEGIN
from tests.support.signal_posts import sender

SENDERS = Senders([sender("api", "*"), sender("falco", source=SignalSource.FALCO)])


class Process:
    """One life of receivers on a folder."""

    def __init__(self, folder: Path, now: float) -> None:
        self.now = now
        self.journal = Journal(folder, most_bytes=1 << 20)
        self.outbox = Outbox(self.journal, "host")
        self.health = DetectorHealth(self.journal, self.outbox, lambda: SENDERS, clock=lambda: self.now)

    def told(self) -> list[str]:
        """The ids that a look counts, as they are posted."""
        self.health.look(self.now)
        self.outbox.make_post(0)
        if not self.outbox.posting:
            return []
        post = self.outbox.next_post()
        self.outbox.stored(post.number)
        return sorted(key.check for key in post.attempts)


def test_the_first_start_has_no_gap_and_the_next_names_it(tmp_path: Path) -> None:
    first = Process(tmp_path, BEGIN)
    assert first.told() == ["detector-no-source"]
    first.now += 20
    assert first.told() == []
    first.journal.close()
    second = Process(tmp_path, BEGIN + 50)
    assert second.told() == ["detector-gap"]
    assert second.told() == []
    second.health.sign_off()
    second.journal.close()
    third = Process(tmp_path, BEGIN + 51)
    assert third.told() == []
    third.journal.close()


def test_what_lasted_before_a_restart_is_over_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Process(tmp_path, BEGIN)
    first.told()
    first.journal.close()
    whole = Senders([*SENDERS, sender("alerts", source=SignalSource.ALERTMANAGER)])
    monkeypatch.setattr(f"{__name__}.SENDERS", whole)
    second = Process(tmp_path, BEGIN + 1)
    second.health.look(BEGIN + 1)
    second.outbox.make_post(0)
    [(key, tally)] = second.outbox.next_post().attempts.items()
    assert (key.check, key.kind) == ("detector-no-source", "Receivers")
    assert tally.message.startswith("over (it lasted from 2026-11-30T10:00:00Z): ")
    second.journal.close()


def test_a_damaged_fact_costs_what_it_held_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Process(tmp_path, BEGIN)
    first.journal.note({"troubles": b"{", "alive": b"yesterday"})
    first.journal.close()
    second = Process(tmp_path, BEGIN + 50)
    assert second.told() == ["detector-no-source"]
    assert "not known any more" in caplog.text
    second.journal.close()
