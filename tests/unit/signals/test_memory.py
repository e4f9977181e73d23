"""What detections remember: bounded, by account, and kept through restarts."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.memory import MOST_PAIRS, Memory, MemoryFormatError

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_step_is_recalled_in_the_window() -> None:
    steps = Memory().of("d", HOUR)
    steps.note("alice", "pod", NOW, "Pod shop/web")
    found = steps.recall("alice", "pod", NOW + timedelta(minutes=5))
    assert found is not None
    assert (found.when, found.what) == (NOW, "Pod shop/web")
    assert steps.recall("alice", "pod", NOW + 2 * HOUR) is None
    assert steps.recall("alice", "other", NOW) is None
    assert steps.recall("bob", "pod", NOW) is None
    assert steps.recall("alice", "pod", None) is None


def test_detections_do_not_see_each_others_steps() -> None:
    memory = Memory()
    memory.of("one", HOUR).note("alice", "pod", NOW)
    assert memory.of("two", HOUR).recall("alice", "pod", NOW) is None


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    memory = Memory()
    memory.of("d", HOUR).note("ab", "c", NOW)
    assert memory.of("d", HOUR).recall("a", "bc", NOW) is None
    assert memory.of("da", HOUR).recall("b", "c", NOW) is None


def test_what_comes_before_is_not_recalled() -> None:
    steps = Memory().of("d", HOUR)
    steps.note("alice", "pod", NOW)
    assert steps.recall("alice", "pod", NOW - timedelta(minutes=1)) is None
    assert steps.recall("alice", "pod", NOW - timedelta(seconds=2)) is not None, "logs are a little out of order"


def test_a_crowd_is_of_different_items_within_the_window() -> None:
    steps = Memory().of("d", HOUR)
    assert not any(steps.reaches("alice", "same", NOW, 3) for _ in range(10))
    assert not steps.reaches("alice", "two", NOW, 3)
    assert steps.reaches("alice", "three", NOW, 3)
    assert not steps.reaches("alice", "four", NOW, 3), "counting began again"
    late = Memory().of("d", HOUR)
    assert [late.reaches("alice", str(n), NOW + n * HOUR, 3) for n in range(5)] == [False] * 5


def test_one_account_pushes_out_its_own_steps_alone() -> None:
    memory = Memory()
    steps = memory.of("d", HOUR)
    steps.note("bob", "pod", NOW)
    for number in range(20_000):
        steps.note("mallory", f"pod-{number}", NOW)
    assert steps.recall("bob", "pod", NOW) is not None
    assert len(memory) < 3_000
    assert memory.forgotten == 0


def test_a_hundred_thousand_pairs_take_less_than_50_mb() -> None:
    tracemalloc.start()
    try:
        memory = Memory()
        steps, crowds = memory.of("d", HOUR), memory.of("e", HOUR)
        for number in range(80_000):
            steps.note(f"system:serviceaccount:team-{number}:web", f"shop/pod-{number}", NOW, "x" * 100)
        for number in range(40_000):
            crowds.reaches(f"system:serviceaccount:team-{number}:web", f"shop/pod-{number}", NOW, 20)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(memory) == MOST_PAIRS
    assert memory.forgotten == 20_000
    assert used < 50_000_000, used


def test_it_survives_a_restart() -> None:
    memory = Memory()
    memory.of("d", HOUR).note("alice", "pod", NOW, "Pod shop/wéb")
    memory.of("e", HOUR).reaches("alice", "one", NOW, 2)
    again = Memory.load(memory.dump())
    assert len(again) == len(memory) == 2
    assert again.of("d", HOUR).recall("alice", "pod", NOW) == memory.of("d", HOUR).recall("alice", "pod", NOW)
    assert again.of("e", HOUR).reaches("alice", "two", NOW, 2)
    assert again.dump() != memory.dump()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": 2, "steps": [], "crowds": []}',
        b'{"version": 1, "steps": [["00", "00"]], "crowds": []}',
        b'{"version": 1, "steps": 5, "crowds": []}',
        b'{"version": 1, "steps": [["%s", "7ff0000000000000%s"]], "crowds": []}' % (b"00" * 16, b"00" * 8),
    ],
)
def test_what_is_no_memory_is_refused(data: bytes) -> None:
    with pytest.raises(MemoryFormatError):
        Memory.load(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_our_own_error(data: bytes) -> None:
    with pytest.raises(MemoryFormatError):
        Memory.load(data)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=3), st.integers(0, 7200)), max_size=30))
def test_a_small_memory_never_grows(notes: list[tuple[str, str, int]]) -> None:
    memory = Memory(5)
    for account, item, second in notes:
        memory.of("d", HOUR).note(account, item, NOW + timedelta(seconds=second))
        memory.of("e", HOUR).reaches(account, item, NOW + timedelta(seconds=second), 4)
        assert len(memory) <= 5
    assert Memory.load(memory.dump(), 5).dump() == memory.dump()
