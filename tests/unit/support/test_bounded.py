"""What is slow each time fails, what was slow once does not, and nothing else is tried again."""

import time

import pytest

from tests.support.bounded import ATTEMPTS, TooSlowError, cpu_within, repeated, within


def test_what_was_slow_once_is_tried_again() -> None:
    took = [0.05, 0.0]

    def slow_once() -> None:
        with within(0.04):
            time.sleep(took.pop(0))

    repeated(slow_once)()
    assert took == []


def test_what_is_slow_each_time_fails() -> None:
    tries = []

    def slow() -> None:
        tries.append(1)
        with cpu_within(0.0):
            sum(range(1000))

    with pytest.raises(TooSlowError, match=r"may take 0\.0 s"):
        repeated(slow)()
    assert len(tries) == ATTEMPTS


def test_another_failure_is_none_that_is_tried_again() -> None:
    tries = []

    def wrong() -> None:
        tries.append(1)
        with within(10):
            raise AssertionError("wrong")

    with pytest.raises(AssertionError, match="wrong"):
        repeated(wrong)()
    assert len(tries) == 1
