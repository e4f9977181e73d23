"""Standard output and error as they may be: closed, full, gone, or in an encoding that lacks characters."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys

NOT_WRITTEN = frozenset(
    {errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT, errno.ECONNRESET, errno.EROFS}
)
"""What the system answers where output cannot be written."""
_LACKING = "iocaudit.lacking"
_PLAIN = {"\u2026": "...", "\u2013": "-", "\u2014": "-", "\u2018": "'", "\u2019": "'", "\u2022": "*", "\u2192": "->"}
"""Characters of ours that need not be seen as escapes."""


def prepare_streams() -> None:
    """Make both streams take any text: what an encoding lacks is replaced, and a closed stream refuses properly."""
    codecs.register_error(_LACKING, _replaced)
    if sys.stdout is None:
        sys.stdout = _refusing(1)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the program runs
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_LACKING)


def _refusing(descriptor: int) -> io.TextIOWrapper:
    """A stream for a descriptor that was closed: writing fails, and no file that is opened later takes its number."""
    taken = os.open(os.devnull, os.O_RDONLY)
    if taken != descriptor:
        os.dup2(taken, descriptor)
        os.close(taken)
    return open(descriptor, "w", closefd=False)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """For characters that an encoding lacks: a plain spelling, or the escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    spelled = "".join(_PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in lacking)
    return spelled, error.end


def give_up_output(error: OSError) -> int:
    """Say that output could not be written, and leave nothing that a later flush would fail with; the exit code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"iocaudit: cannot write the output: {error.strerror or error}\n")
        sys.stderr.flush()
    return 2
