"""Posts to the operator, which survive a restart together with how far the journal was read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.evidence.key import RUNTIME, EvidenceKey, EvidenceTally
from iocaudit.evidence.post import read_post, to_bytes
from iocaudit.evidence.reporter import PostDelayedError
from iocaudit.receivers.journal import Journal, JournalError, JournalFullError
from iocaudit.receivers.outbox import SOURCE, Outbox


def key(name: str = "web") -> EvidenceKey:
    return EvidenceKey("exec-in-pod", "apps", "Deployment", "shop", name, "mallory", RUNTIME)


def tally(count: int = 1) -> EvidenceTally:
    return EvidenceTally(count, 1000.0, 1001.0, Severity.MEDIUM, (IoC.USER_ACTIVITY,), "m", "")


def opened(folder: Path) -> tuple[Journal, Outbox]:
    journal = Journal(folder, most_bytes=1 << 20)
    return journal, Outbox(journal, "host")


def test_a_post_is_the_same_until_it_is_stored_also_after_a_restart(tmp_path: Path) -> None:
    journal, outbox = opened(tmp_path)
    outbox.count(key(), tally(2))
    assert outbox.is_empty
    assert outbox.make_post(7)
    outbox.count(key(), tally(5))
    assert not outbox.make_post(8), "one is under way"
    first = outbox.next_post()
    assert (first.number, first.source, first.attempts[key()].count) == (1, SOURCE, 2)
    assert outbox.waiting == 7
    journal.close()
    journal, again = opened(tmp_path)
    assert to_bytes(again.next_post()) == to_bytes(first)
    assert (again.counted, again.replica, again.waiting) == (7, outbox.replica, 2)
    assert again.stored(1) == 2
    assert again.stored(1) == 0
    journal.close()
    journal, last = opened(tmp_path)
    assert (last.posting, last.waiting) == (False, 0)
    assert last.next_post().number == 2
    journal.close()


def test_what_was_counted_is_kept_with_what_is_remembered(tmp_path: Path) -> None:
    journal, outbox = opened(tmp_path)
    outbox.count(key(), tally(3))
    outbox.keep(9, b"memory")
    journal.close()
    journal, again = opened(tmp_path)
    assert (again.counted, again.remembered, again.memory, again.waiting) == (9, 9, b"memory", 3)
    again.count(key(), tally())
    again.make_post(10)
    assert again.next_post().attempts[key()].count == 4
    journal.close()
    journal, last = opened(tmp_path)
    assert (last.counted, last.waiting) == (10, 4), "what is in the post is not pending beside it"
    journal.close()


def test_a_post_without_anything_says_that_it_is_there_and_has_a_number_of_its_own(tmp_path: Path) -> None:
    journal, outbox = opened(tmp_path)
    assert outbox.is_new
    assert read_post(to_bytes(outbox.next_post())).attempts == {}
    journal.close()
    journal, again = opened(tmp_path)
    assert again.next_post().number == 1
    again.stored(1)
    assert again.next_post().number == 2
    journal.close()


def test_what_has_no_room_is_counted_as_other(tmp_path: Path) -> None:
    overflows: list[None] = []
    journal = Journal(tmp_path, most_bytes=1 << 20)
    outbox = Outbox(journal, "host", most=2, overflowed=lambda: overflows.append(None))
    for name in "abcd":
        outbox.count(key(name), tally())
    outbox.make_post(1)
    attempts = outbox.next_post().attempts
    assert sorted((one.name, found.count) for one, found in attempts.items()) == [("a", 1), ("b", 1), ("other", 2)]
    assert len(overflows) == 2
    journal.close()


def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, outbox = opened(tmp_path)
    outbox.count(key(), tally())

    def full(*_: object, **__: object) -> None:
        raise JournalFullError("full")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "note", full)
        with pytest.raises(JournalFullError):
            outbox.make_post(1)
        with pytest.raises(JournalFullError):
            outbox.keep(1, b"")
        with pytest.raises(PostDelayedError, match="full"):
            outbox.next_post()
    assert (outbox.counted, outbox.waiting) == (0, 1)
    assert outbox.make_post(1)
    assert outbox.next_post().number == 1
    journal.close()


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path)
    journal.note({"post": b"{"})
    with pytest.raises(JournalError, match="move it away to begin anew"):
        Outbox(journal, "host")
    journal.close()


@given(st.lists(st.sampled_from(["count", "post", "keep", "stored", "restart", "kill"]), max_size=30))
def test_whatever_happens_in_whatever_order_each_sighting_reaches_the_operator_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """What is not in a post and was not kept is counted again by the reader, as here."""
    folder = tmp_path_factory.mktemp("outbox")
    journal, outbox = opened(folder)
    read, taken = 0, 0
    for step in steps:
        if step == "count":
            read += 1
            outbox.count(key(), tally())
        elif step == "post":
            outbox.make_post(read)
        elif step == "keep":
            outbox.keep(read, b"")
        elif step == "stored" and outbox.posting:
            taken += outbox.stored(outbox.next_post().number)
        elif step in ("restart", "kill"):
            journal.close()
            journal, outbox = opened(folder)
            for _ in range(read - outbox.counted):
                outbox.count(key(), tally())
    for _ in range(2):
        outbox.make_post(read)
        if outbox.posting:
            taken += outbox.stored(outbox.next_post().number)
    assert taken == read
    journal.close()
