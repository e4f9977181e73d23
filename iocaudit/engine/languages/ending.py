"""Why a program of ours ended, or could not be started: in words for people, and as one of few causes for metrics."""

from __future__ import annotations

import re
import signal
from enum import StrEnum
from typing import NamedTuple

_OUT_OF_MEMORY = re.compile(r"out of memory|cannot allocate memory")


class EndCause(StrEnum):
    """Few, since each is a time series."""

    MEMORY = "memory"
    """It needed more memory than it may have."""
    SIGNAL = "signal"
    """It was ended from outside, as by the kernel."""
    EXIT = "exit"
    """It ended itself."""
    UNHEALTHY = "unhealthy"
    """It ran and did not answer, so it was ended."""
    START = "start"
    """It could not be started."""
    LOAD = "load"
    """It did not take the rules, so it was ended."""


class ProcessEnd(NamedTuple):
    """How one ended. ``reason`` begins with "it"."""

    cause: EndCause
    reason: str


def ending_of(code: int | None, complaints: str, memory: int) -> ProcessEnd:
    """What an exit code (below 0: a signal) and the standard error of a process say.

    ``memory``: the bytes that it might use.
    """
    if _OUT_OF_MEMORY.search(complaints):
        return ProcessEnd(EndCause.MEMORY, f"it needed more memory than it may have (GOMEMLIMIT {memory >> 20} MiB)")
    if code is not None and code < 0:
        return ProcessEnd(EndCause.SIGNAL, f"it was killed by {_signal_name(-code)}")
    first = complaints.strip().partition("\n")[0]
    return ProcessEnd(EndCause.EXIT, f"it ended with exit code {code}{f': {first}' if first else ''}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
