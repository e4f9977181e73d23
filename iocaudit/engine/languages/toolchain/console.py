"""Progress of long work on stderr: one line that is rewritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

PLAIN_INTERVAL = 15.0
"""Seconds between two plain lines about the same piece of work."""


class ConsoleProgress:
    """Prints what is being done and for how long."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._open_line = 0
        self._last_plain = float("-inf")

    def note(self, text: str) -> None:
        """Print one line that stays."""
        self._close_line()
        self._write(f"{text}\n")
        self._last_plain = self._clock()

    def tick(self, text: str, elapsed: float) -> None:
        """Say that ``text`` goes on since ``elapsed`` seconds; call it as often as you like."""
        line = f"{text} … {elapsed:.0f} s"
        if self._terminal:
            self._write("\r" + line.ljust(self._open_line))
            self._open_line = len(line)
        elif self._clock() - self._last_plain >= PLAIN_INTERVAL:
            self.note(line)

    def _close_line(self) -> None:
        if self._open_line:
            self._write("\n")
            self._open_line = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
