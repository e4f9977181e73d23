"""The bar of a long scan: on a terminal only, after a while, file names as they are."""

import io
import sys

import pytest

from iocaudit.cli import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_counts_the_steps_of_each_stage_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_SILENT_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress.scan_progress() as told:
        assert told is not None
        told.stage("reading", 3)
        told.step("a[bold]\x1b]0;x.yaml")
        told.step("b.yaml")
        told.stage("auditing", 7)
        told.step("c.yaml")
    said = terminal.getvalue()
    assert "reading a[bold]\\u001b]0;x.yaml" in said
    assert "2/3" in said
    assert "1/7" in said
    assert "auditing c.yaml" in said
    assert said.rstrip().endswith("\x1b[2K")  # the line is cleared at the end


def test_short_work_and_pipes_see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.scan_progress() as told:
        assert told is not None
        told.stage("reading", 1)
        told.step("a.yaml")
    assert terminal.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.scan_progress() as told:
        assert told is None
