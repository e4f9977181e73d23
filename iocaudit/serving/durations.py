"""Durations as Go writes them (``1.5s``, ``2m30s``, ``300ms``) and the deadline of one request.

The syntax is that of Go's ``time.ParseDuration``: a sign, then decimal numbers each with a unit.
"""

import re
from functools import lru_cache
from urllib.parse import parse_qs

from iocaudit.serving.errors import DurationError

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(rf"([0-9]*)(?:\.([0-9]*))?({'|'.join(_UNITS)})")
_LIMIT = 2**63
_MAX_LENGTH = 64


def parse_go_duration(text: str) -> int:
    """The duration in nanoseconds, exact; raises DurationError if the text is not one."""
    if len(text) > _MAX_LENGTH:
        raise DurationError(f"duration of {len(text)} characters: expected at most {_MAX_LENGTH}")
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = position = 0
    while position < len(rest):
        match = _PART.match(rest, position)
        if match is None or not (match[1] or match[2]):
            break
        unit = _UNITS[match[3]]
        total += int(match[1] or 0) * unit
        if match[2]:
            total += int(match[2]) * unit // 10 ** len(match[2])
        position = match.end()
    if not rest or position < len(rest):
        raise DurationError(f"{text!r} is not a duration such as 3s, 1m30s or 300ms")
    if total >= _LIMIT and not (negative and total == _LIMIT):
        raise DurationError(f"{text!r} does not fit in 64 bits of nanoseconds")
    return -total if negative else total


@lru_cache(maxsize=256)  # a caller asks for the same few timeouts again and again
def deadline_from(query_string: bytes, default: float, margin: float = 0.25, *, maximum: float = 30.0) -> float:
    """Seconds that the work on one request may take, below the caller's ``?timeout=``.

    ``margin`` seconds are left for the way back, at most half of the time there is. Without a usable
    ``timeout`` the caller is taken to wait ``default`` seconds. Always above zero.
    """
    total = default
    if b"timeout=" in query_string:
        try:
            fields = parse_qs(query_string.decode("latin-1"), max_num_fields=100)
            asked = parse_go_duration(fields.get("timeout", [""])[0]) / 1e9
        except ValueError:  # no duration, or a query of too many fields
            asked = 0.0
        if asked > 0:
            total = min(asked, maximum)
    return max(total - margin, total / 2)
