"""Bounds on time that hold on a busy machine.

A process may stand still for seconds at any moment, and the collector of a suite of ten thousand tests runs when it
likes. So a test says how slow something may be, and is repeated when it was slower (tests/conftest.py): only what is
slow each time fails.
"""

import functools
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

P = ParamSpec("P")
ATTEMPTS = 4


class TooSlowError(AssertionError):
    """What was measured took longer than it may."""


def repeated(test: Callable[P, None]) -> Callable[P, None]:
    """The test, tried again where what it measures by `within` or `cpu_within` was too slow, ATTEMPTS times in all."""

    @functools.wraps(test)
    def attempts(*arguments: P.args, **named: P.kwargs) -> None:
        for _ in range(ATTEMPTS - 1):
            try:
                return test(*arguments, **named)
            except TooSlowError:
                continue
        return test(*arguments, **named)

    return attempts


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done below takes at most this many seconds. Raises TooSlowError."""
    with _measured(seconds, time.monotonic):
        yield


@contextmanager
def cpu_within(seconds: float) -> Iterator[None]:
    """What is done below takes this thread at most this many seconds of CPU, garbage aside. Raises TooSlowError."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with _measured(seconds, time.thread_time):
            yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _measured(seconds: float, clock: Callable[[], float]) -> Iterator[None]:
    begun = clock()
    yield
    if (took := clock() - begun) > seconds:
        raise TooSlowError(f"took {took:.2f} s, and may take {seconds} s")
