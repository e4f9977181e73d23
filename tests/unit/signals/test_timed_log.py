"""Logs of any sort as one stream in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from iocaudit.signals.log_files import LogError, LogLine
from iocaudit.signals.timed_log import TimedLog


class Moment(NamedTuple):
    """A line that is a number of seconds, or has no time."""

    text: str
    when: datetime | None


class Moments(TimedLog[Moment]):
    """Reads such lines."""

    def of_line(self, file: str, line: LogLine) -> Iterator[Moment]:
        text = line.data.decode().strip()
        yield Moment(text, datetime.fromtimestamp(int(text), UTC) if text.isdigit() else None)

    def alike(self, path: str) -> Moments:
        return Moments((path,))


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, title: str, steps: int) -> None:
        self.stages.append(f"{title} {steps}")

    def step(self, name: str) -> None:
        raise AssertionError("so small a log has no steps")


def write(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("".join(f"{one}\n" for one in lines))
    return str(folder / name)


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    log = Moments([write(tmp_path, "a", "1", "5", "x", "9"), write(tmp_path, "b", "3", "4", "20")])
    assert [one.text for one in log] == ["1", "3", "4", "5", "x", "9", "20"]
    assert log.tally.events == 7
    assert (log.tally.first, log.tally.last) == (datetime.fromtimestamp(1, UTC), datetime.fromtimestamp(20, UTC))


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a", "1")
    assert len(list(Moments([path, path]))) == 1


def test_progress_is_told_what_is_read(tmp_path: Path) -> None:
    told = Told()
    list(Moments([write(tmp_path, "a", "1")], told))
    assert told.stages == ["MiB of log 1"]


def test_what_cannot_be_read_is_said_before_anything_is(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be read"):
        Moments([str(tmp_path / "absent")])
