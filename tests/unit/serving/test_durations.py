"""Go's duration syntax and the deadline of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.serving.durations import deadline_from, parse_go_duration
from iocaudit.serving.errors import DurationError


def go_string(nanoseconds: int) -> str:
    """What Go's Duration.String prints."""
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, size in (("ns", 1), ("\u00b5s", 1_000), ("ms", 1_000_000)):
        if rest < size * 1_000:
            return sign + _decimal(rest, size) + unit
    seconds = _decimal(rest % 60_000_000_000, 1_000_000_000) + "s"
    minutes = rest // 60_000_000_000
    if minutes == 0:
        return sign + seconds
    hours, minutes = divmod(minutes, 60)
    return sign + (f"{hours}h" if hours else "") + f"{minutes}m" + seconds


def _decimal(value: int, size: int) -> str:
    whole, fraction = divmod(value, size)
    digits = f"{fraction:0{len(str(size)) - 1}d}".rstrip("0") if size > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1) | st.integers(-(10**7), 10**7))
def test_what_go_prints_is_read_back_exactly(nanoseconds: int) -> None:
    assert parse_go_duration(go_string(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("3s", 3 * 10**9),
        ("+1m30s", 90 * 10**9),
        ("1.5h", 5400 * 10**9),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("1us", 1000),
        ("1\u03bcs", 1000),
        ("1s1s", 2 * 10**9),
        ("0.3333333333333333333h", 1_199_999_999_999),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_go_examples(text: str, nanoseconds: int) -> None:
    assert parse_go_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    ["", "3", "s", ".s", "-", "+", "-.s", "3 s", "1d", "1e3s", "--1s", "\u0663s", "9223372036854775808ns", "9" * 80],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(DurationError):
        parse_go_duration(text)


@given(st.text(max_size=80))
def test_any_text_is_a_duration_or_our_error(text: str) -> None:
    try:
        nanoseconds = parse_go_duration(text)
    except DurationError:
        return
    assert -(2**63) <= nanoseconds < 2**63


@given(st.binary(max_size=60), st.floats(0.01, 30), st.floats(0, 5))
def test_a_deadline_lies_above_zero_and_not_above_what_the_caller_waits(
    query: bytes, default: float, margin: float
) -> None:
    assert 0 < deadline_from(b"timeout=" + query, default, margin) <= max(default, 30.0)


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"", 9.75),
        (b"timeout=3s", 2.75),
        (b"a=b&timeout=2s", 1.75),
        (b"timeout=100ms", 0.05),
        (b"timeout=1h", 29.75),
        (b"timeout=-3s", 9.75),
        (b"timeout=soon", 9.75),
        (b"timeout=", 9.75),
        (b"notimeout=1s", 9.75),
        (b"&".join(b"a=1" for _ in range(200)) + b"&timeout=1s", 9.75),
    ],
)
def test_deadlines(query: bytes, seconds: float) -> None:
    assert deadline_from(query, 10.0) == pytest.approx(seconds)
