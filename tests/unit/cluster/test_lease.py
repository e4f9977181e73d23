"""The Lease: one holder at a time, by each one's own clock, and no write without it."""

from __future__ import annotations

import threading

import pytest

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import UnreachableError
from iocaudit.cluster.lease import Lease, LeaseLostError
from tests.support.api import FakeApi


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lease(api: Api, identity: str, clock: Clock) -> Lease:
    return Lease(api, "iocaudit", "iocaudit-operator", identity, duration=15.0, clock=clock)


def test_only_the_holder_may_write_and_only_while_it_lasts() -> None:
    api, clock = FakeApi("iocaudit"), Clock()
    one, two = lease(api, "one", clock), lease(api, "two", clock)
    for each in (one, two):
        with pytest.raises(LeaseLostError, match="not held"):
            each.ensure()
    assert one.try_once()
    assert not two.try_once()
    one.ensure()
    clock.now += 14.9
    one.ensure()
    clock.now += 0.2
    # As after a pause of the whole process: it has not noticed yet, and another may lead by now.
    with pytest.raises(LeaseLostError):
        one.ensure()
    assert two.try_once()
    two.ensure()
    assert not one.try_once()


def test_two_that_take_over_at_once_are_told_apart_by_the_version() -> None:
    api, clock = FakeApi("iocaudit"), Clock()
    gone, one, two = (lease(api, name, clock) for name in ("gone", "one", "two"))
    assert gone.try_once()
    assert not one.try_once()
    assert not two.try_once()
    clock.now += 16
    real = api.request
    raced: list[int] = []

    def request(method: str, path: str, **options: object) -> dict[str, object]:
        if method == "PUT" and not raced:
            raced.append(1)
            assert two.try_once()
        return real(method, path, **options)  # type: ignore[arg-type]

    api.request = request  # type: ignore[method-assign]
    assert not one.try_once()
    two.ensure()
    with pytest.raises(LeaseLostError):
        one.ensure()


def test_handed_back_it_may_be_taken_at_once() -> None:
    api, clock = FakeApi("iocaudit"), Clock()
    one, two = lease(api, "one", clock), lease(api, "two", clock)
    stop = threading.Event()
    stop.set()
    assert one.try_once()
    one.hold(stop)
    with pytest.raises(LeaseLostError):
        one.ensure()
    assert two.try_once()


def test_a_holder_that_cannot_renew_gives_up_before_others_take_over() -> None:
    api, clock = FakeApi("iocaudit"), Clock()
    one = Lease(api, "iocaudit", "iocaudit-operator", "one", duration=0.7, clock=clock)
    assert one.try_once()

    def away(_method: str, _path: str) -> None:
        clock.now += 0.1
        raise UnreachableError("away")

    api.before = away
    with pytest.raises(LeaseLostError, match="could not be renewed in time"):
        one.hold(threading.Event())
    assert clock.now - 100.0 < 0.7
