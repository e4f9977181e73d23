"""Numbers as gateways write them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.knowledge.rate_limit.values import nginx_rate, number, per_second, positive, seconds, shown

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(ANYTHING)
def test_no_value_raises_and_what_is_read_is_a_number(value: Any) -> None:
    for read in (number, seconds, nginx_rate):
        found = read(value)
        assert found is None or (isinstance(found, float | int) and not math.isnan(found))
    assert positive(value) is ((number(value) or 0) > 0)
    assert len(shown(value)) <= 64
    assert not isinstance(value, bool) or number(value) is None


@given(st.integers(0, 10**9))
def test_digits_and_integers_read_alike(value: int) -> None:
    assert number(str(value)) == number(value) == float(value)
    assert nginx_rate(f"{value}r/s") == value
    assert nginx_rate(f"{value}r/m") == pytest.approx(value / 60)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_durations_add_up(hours: int, minutes: int, rest: int) -> None:
    assert seconds(f"{hours}h{minutes}m{rest}s") == pytest.approx(hours * 3600 + minutes * 60 + rest)


@pytest.mark.parametrize("text", ["", " ", "five", "-1", "1e3", "٣", "0x10", "10", "10r/h", "10 r/s", "r/s", "10R/s"])
def test_what_nginx_would_not_read_is_no_rate(text: str) -> None:
    assert nginx_rate(text) is None


@pytest.mark.parametrize(
    ("value", "read"),
    [("500ms", 0.5), ("1.5h", 5400.0), ("10", 10.0), (10, 10.0), ("1d", None), ("s", None), ("", None)],
)
def test_durations(value: Any, read: float | None) -> None:
    assert seconds(value) == read


def test_numbers_are_shown_short() -> None:
    assert (shown(None), shown(True), shown(0), shown([])) == ("unset", "True", "0", "no number")
    assert len(shown("x" * 100)) == 60
    assert per_second(2.5) == "2.5 requests a second"
    assert per_second(4294967295 / 3600) == "1193046 requests a second", "no exponent"
