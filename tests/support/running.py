"""Run the command line in this process."""

import gc
import io
import sys
from contextlib import redirect_stderr
from unittest import mock

from iocaudit.cli.main import main


def run(*arguments: str, stdin: str | bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")
    errors = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["iocaudit", *arguments]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8")),
        mock.patch.object(sys, "stdout", out),
        redirect_stderr(errors),
    ):
        code = _code()
        out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return code, out.buffer.getvalue().decode(), errors.getvalue()


def _code() -> int:
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        gc.enable()
    raise AssertionError("main ends with an exit code")
