"""Run helm and kustomize: for a while, for so many bytes, and nothing of them outlives the call."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence

from iocaudit.sources.documents import ReadFailure
from iocaudit.sources.files import MOST_BYTES

SECONDS = 60.0
"""How long one chart or kustomization may take."""
_MOST_SAID = 500


def output_of(commands: Sequence[Sequence[str]], said: Sequence[Sequence[str]] | None = None) -> bytes | ReadFailure:
    """The standard output of the first command whose program is on PATH, or why there is none.

    ``said`` are the commands as they are to be told to people.
    """
    number = next((number for number, command in enumerate(commands) if shutil.which(command[0])), None)
    if number is None:
        programs = " or ".join(command[0] for command in commands)
        return ReadFailure(None, f"cannot be rendered: {programs} is not on PATH")
    command, told = commands[number], (said or commands)[number]
    return _run(command, f"`{' '.join(told)}`", SECONDS)


def _run(command: Sequence[str], said: str, seconds: float) -> bytes | ReadFailure:
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            return ReadFailure(None, f"cannot be rendered: {said} cannot be run: {error.strerror}")
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        assert process.stdout is not None
        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            data = process.stdout.read(MOST_BYTES + 1)
            if len(data) <= MOST_BYTES:
                process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
            process.stdout.close()
        if late.is_set():
            return ReadFailure(None, f"cannot be rendered: {said} was stopped after {seconds:g} s")
        if len(data) > MOST_BYTES:
            return ReadFailure(None, f"cannot be rendered: {said} printed more than {MOST_BYTES // (1024 * 1024)} MiB")
        if process.returncode:
            errors.seek(0)
            reason = " ".join(errors.read(4 * _MOST_SAID).decode("utf-8", "replace").split())[:_MOST_SAID]
            return ReadFailure(None, f"cannot be rendered: {said} ended with {process.returncode}: {reason}")
        return data


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program, if it is still there, and whatever it has started in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
