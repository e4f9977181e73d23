"""Numbers as gateways write them: integers, strings of digits, ``10r/s``, Go durations."""

import math
import re

from iocaudit.knowledge.clipping import clip

_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?")
_RATE = re.compile(r"([0-9]{1,18})r/([sm])")
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h))+")
_PIECE = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
UNITS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_592_000,
    "year": 31_536_000,
}
"""Seconds in each unit of time that a rate is counted by."""


def number(value: object) -> float | None:
    """A finite number, or a string of decimal digits as annotations have them; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return float(value) if abs(value) < 10**300 else math.inf
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value.strip())
    return None


def positive(value: object) -> bool:
    """Whether it is a number above zero."""
    found = number(value)
    return found is not None and found > 0


def seconds(value: object) -> float | None:
    """A Go duration (``1m30s``) or a bare number of seconds; None for anything else."""
    if isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        pieces = _PIECE.findall(value)
        try:
            return sum(float(size) * _SECONDS[unit] for size, unit in pieces)
        except ValueError:
            return None
    return number(value)


def nginx_rate(value: object) -> float | None:
    """Requests a second of ``10r/s`` or ``600r/m``; None for anything else."""
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    return int(match[1]) / (1 if match[2] == "s" else 60)


def shown(value: object) -> str:
    """A value as a message shows it."""
    if value is None:
        return "unset"
    if isinstance(value, str):
        return clip(value, 60)
    if isinstance(value, int | float):
        return format(value, "g") if not isinstance(value, bool) and abs(value) < 1e300 else str(value)[:60]
    return "no number"


def per_second(rate: float) -> str:
    """``3 requests a second``, short."""
    return f"{rate:.0f} requests a second" if 1000 <= rate < 1e15 else f"{rate:g} requests a second"
