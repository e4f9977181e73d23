"""A program of ours that runs for this process alone, and ends with it.

It has no environment but GOMEMLIMIT, a standard input that ends where this process does, whatever ends that, and says
by one line of JSON on its standard output that it is ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from typing import IO, Any, Final

from iocaudit.core.shape import Json
from iocaudit.engine.languages.ending import ProcessEnd, ending_of
from iocaudit.engine.languages.evaluator import EngineError

_LONGEST_LINE: Final = 4096
_MOST_COMPLAINTS: Final = 4096
_SHOWN: Final = 80
_ENDS_WITHIN: Final = 5.0
"""Seconds in which a process that has closed its standard output ends."""


class Child:
    """A process that was started and is ready. ``greeting`` is the line it said so by.

    Where nobody refers to it any more, it is ended.
    """

    def __init__(self, name: str, command: Sequence[str], *, memory: int, within: float, first_line: str = "") -> None:
        """Start ``command`` and wait until it is ready, at most ``within`` seconds.

        ``name`` is for messages, ``memory`` bytes for GOMEMLIMIT, above which it ends itself (go/child/memory.go).
        ``first_line`` is written to its standard input. Raises EngineError with what it said.
        """
        self.name, self._memory = name, memory
        self.begun = time.monotonic()
        # Not a pipe: nobody reads it before the process has ended.
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  open for as long as it writes
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env={"GOMEMLIMIT": str(memory)},
                cwd="/",
            )
        except OSError as error:
            self._complaints.close()
            raise EngineError(f"{name} did not start: {error}") from error
        self._finalizer = weakref.finalize(self, _end, self.process, self._complaints)
        try:
            self.greeting = self._greeted(first_line, within)
        except BaseException:
            self.end()
            raise

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    @property
    def ending(self) -> ProcessEnd:
        """How it ended; only of one that has, and was not closed."""
        return ending_of(self.process.poll(), self._complained(), self._memory)

    def kill(self) -> None:
        """End the process. It holds nothing that would be lost, so it is not asked first."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End the process and close what leads to it."""
        self._finalizer()

    def let_go(self) -> None:
        """Close what leads to it, without ending it: it is the child of the process that forked this one."""
        self._finalizer.detach()
        _close(self.process, self._complaints)
        # Not ours to wait for.
        self.process.returncode = 0

    def refused(self, why: str) -> EngineError:
        """What to raise where it is not as it has to be at its start."""
        return EngineError(f"{self.name} did not start: {why}")

    def _greeted(self, first_line: str, within: float) -> Json:
        """The first line of its standard output, as JSON."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        end = time.monotonic() + within
        try:
            if first_line:
                self.process.stdin.write(f"{first_line}\n".encode())
                self.process.stdin.flush()
        except OSError as error:
            raise self.refused(self._last_words(_ENDS_WITHIN) or "it does not take its input") from error
        line = _first_line(self.process.stdout, end)
        if line is None:
            raise self.refused(f"it was not ready within {round(within, 1):g} s")
        try:
            greeting: Any = json.loads(line)
        except ValueError:
            greeting = None
        if not isinstance(greeting, dict):
            said = f"it said something else than that it is ready: {line[:_SHOWN]!r}"
            # Without a line it has closed its standard output, as a process does by ending.
            raise self.refused(said if line else self._last_words(_ENDS_WITHIN) or said)
        return greeting

    def _last_words(self, within: float) -> str:
        """Why it ended; empty where it still runs after ``within`` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within)
        return "" if self.running else self.ending.reason

    def _complained(self) -> str:
        try:
            return os.pread(self._complaints.fileno(), _MOST_COMPLAINTS, 0).decode("utf-8", "replace")
        except ValueError:  # closed
            return ""


def _first_line(pipe: IO[bytes], end: float) -> bytes | None:
    """The first line of what a process prints, or what there is of it where it ends; None where it takes too long."""
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while b"\n" not in text and len(text) <= _LONGEST_LINE:
            if not selector.select(max(0.0, end - time.monotonic())):
                return None
            if not (more := os.read(pipe.fileno(), _LONGEST_LINE)):
                break
            text += more
    return text.partition(b"\n")[0]


def _close(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
    for file in (process.stdin, process.stdout, complaints):
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def _end(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    _close(process, complaints)
    process.wait()
