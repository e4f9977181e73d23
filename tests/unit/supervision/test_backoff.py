"""Waits that grow, are bounded, and begin anew after success."""

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.supervision.backoff import Backoff


def test_it_doubles_up_to_the_longest_and_begins_anew() -> None:
    backoff = Backoff(0.5, 3.0, uniform=lambda _low, _high: 1.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.5


def test_a_single_wait_can_be_bounded_further() -> None:
    backoff = Backoff(1.0, 60.0, uniform=lambda _low, _high: 1.0)
    assert [backoff.next(5.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.floats(0.01, 10), st.floats(10, 100), st.integers(1, 30))
def test_waits_are_spread_around_their_length(first: float, longest: float, number: int) -> None:
    backoff = Backoff(first, longest)
    waits = [backoff.next() for _ in range(number)]
    assert all(first * 0.69 <= wait <= longest * 1.31 for wait in waits)
