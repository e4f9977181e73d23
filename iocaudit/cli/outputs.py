"""Where the report goes: one format to standard output, further ones to files, in one run."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TextIO

import click
from click.shell_completion import CompletionItem

from iocaudit.core.errors import IocauditError
from iocaudit.sinks.escape import visible

FORMATS = ("table", "json", "sarif", "junit", "github")


class OutputError(IocauditError):
    """A report cannot be written; names the file and the reason."""


class Output(NamedTuple):
    """One report that was asked for. ``file`` is None for standard output."""

    format: str
    file: str | None


class OutputType(click.ParamType[Output]):
    """``FORMAT`` or ``FORMAT=FILE``."""

    name = "output"

    def __init__(self, formats: Sequence[str] = FORMATS) -> None:
        self._formats = formats

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Output:
        if isinstance(value, Output):
            return value
        word, equals, file = str(value).partition("=")
        if word.lower() not in self._formats:
            self.fail(f"{word!r} is not one of {', '.join(self._formats)}", param, ctx)
        if equals and not file:
            self.fail(f"{value!r} has no file name: write {word}=FILE", param, ctx)
        return Output(word.lower(), file if file and file != "-" else None)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002  click's signature
        return [CompletionItem(word) for word in self._formats if word.startswith(incomplete.lower())]


def outputs_of(given: Iterable[Output], file: str | None) -> tuple[Output, ...]:
    """What to write, standard output first. ``file`` takes the place of standard output.

    Raises click.UsageError where two outputs want one place, or a file's folder is not there.
    """
    file = None if file == "-" else file
    outputs = list(given) or [Output("table", None)]
    here = [one for one in outputs if one.file is None]
    if len(here) > 1:
        raise click.UsageError(f"only one format goes to standard output: write -o {here[1].format}=FILE for the other")
    if file is not None:
        if not here:
            raise click.UsageError("--output-file goes with a format without a file name")
        outputs = [one._replace(file=one.file or file) for one in outputs]
    outputs.sort(key=lambda one: one.file or "")
    files = [one.file for one in outputs if one.file is not None]
    for index, name in enumerate(files):
        if os.path.realpath(name) in {os.path.realpath(other) for other in files[:index]}:
            raise click.UsageError(f"{name}: two formats cannot go to one file")
        folder = os.path.dirname(name) or "."
        if not os.path.isdir(folder):
            raise click.UsageError(f"{name}: there is no folder {folder}")
    return tuple(outputs)


def write_outputs(outputs: Iterable[Output], text_of: Callable[[Output], str], stream: TextIO) -> list[str]:
    """Write each output, to its file or to ``stream``; returns the files.

    Raises OutputError for a file, OSError for the stream.
    """
    written = []
    for output in outputs:
        text = text_of(output)
        if output.file is not None:
            _to_file(output.file, text.encode("utf-8", "backslashreplace"))
            written.append(output.file)
        elif output.format == "table":
            stream.write(text)
            stream.flush()
        else:
            stream.flush()
            stream.buffer.write(text.encode("utf-8", "backslashreplace"))
            stream.buffer.flush()
    return written


def say(text: str) -> None:
    """One line for a person on standard error."""
    sys.stderr.write(visible(text) + "\n")


def _to_file(path: str, data: bytes) -> None:
    from iocaudit.cli.writing import write_file  # late: most reports go to standard output

    try:
        if _is_device(path):
            with open(path, "wb") as stream:
                stream.write(data)
            return
        refused = write_file(path, data)
    except OSError as error:
        raise OutputError(f"cannot write the report to {path}: {error.strerror}") from error
    if refused:
        raise OutputError(f"the report is not written to {path}: it {refused}")


def _is_device(path: str) -> bool:
    """Whether a path leads to a pipe or a device, as ``/dev/stdout`` and ``>(…)`` do: nothing to replace there."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
