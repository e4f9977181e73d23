"""Changes that wait are bounded, whatever their size."""

from __future__ import annotations

from typing import Any

from iocaudit.controller.pending import MOST_BYTES, PendingChanges
from iocaudit.controller.sweep import ObjectChange
from iocaudit.core.kinds import CONFIG_MAP
from iocaudit.core.partial import PartialObject


def change(number: int, length: int = 10) -> ObjectChange:
    raw: dict[str, Any] = {"metadata": {"uid": f"u-{number}"}, "data": {"a": "<" * length}}
    return ObjectChange(CONFIG_MAP, False, PartialObject(raw, "spec") if number % 2 else raw)


def test_the_last_change_of_each_object_is_held() -> None:
    pending = PendingChanges()
    assert all(pending.put(change(number % 3, length)) for length, number in enumerate(range(9)))
    assert [len(one.raw["data"]["a"]) for one in pending.take()] == [6, 7, 8]
    assert not len(pending)


def test_there_is_no_room_beyond_the_bounds() -> None:
    pending = PendingChanges(most=2)
    assert [pending.put(change(number)) for number in (1, 2, 3, 1)] == [True, True, False, True]
    large = PendingChanges()
    held = sum(large.put(change(number, 1_000_000)) for number in range(100))
    assert held == MOST_BYTES // 1_000_050
    assert not large.put(change(0, 2_000_000))  # a newer version of one that was held, for which there is no room
    assert len(large) == held - 1
    large.take()
    assert large.put(change(1, 2 * MOST_BYTES))  # one always is
