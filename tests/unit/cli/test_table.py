"""The table of a small application, as recorded at 80 and 120 columns, and what holds of any.

``IOCAUDIT_UPDATE_GOLDEN=1`` writes the golden files anew; read the difference before committing it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.report import Report
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.causes import with_causes
from iocaudit.scanning.scan import ScanOptions, scan_files
from iocaudit.sinks.look import Look, cells
from iocaudit.sinks.summary import ReadingSummary
from iocaudit.sinks.table import render
from tests.support.running import run

APP = Path(__file__).parent / "app"
GOLDEN = Path(__file__).parent / "golden"
CATALOGUE = builtin_catalogue()
STYLE = re.compile(r"\x1b\[[0-9;]+m")


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(APP.parent)
    monkeypatch.delenv("COLUMNS", raising=False)


def golden(name: str, text: str) -> str:
    file = GOLDEN / name
    if os.environ.get("IOCAUDIT_UPDATE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    return file.read_text()


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("options", [(), ("-v",), ("--color", "always")])
def test_as_recorded(columns: str, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    code, said, errors = run("scan", "app", *options)
    assert (code, errors) == (1, "")
    assert said == golden(f"app-{columns}{''.join(options).replace('--color', '-')}.txt", said)


def test_forty_findings_fit_on_a_screen_or_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("scan", "app")[1].splitlines()
    (hits,) = re.findall(r"\((\d+) hits\)", "\n".join(lines))
    assert int(hits) >= 39
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 80


def test_colour_changes_no_word_and_a_pipe_no_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run("scan", "app")[1]
    assert "\x1b" not in plain
    assert STYLE.sub("", run("scan", "app", "--color", "always")[1]) == plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" in run("scan", "app")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("scan", "app")[1] == plain
    monkeypatch.setenv("COLUMNS", "1000")
    before = [line for line in run("scan", "app")[1].splitlines() if "whole messages" not in line]
    assert before == plain.splitlines(), "where everything fits"


def app() -> Report:
    return with_causes(scan_files([str(APP)], CATALOGUE, ScanOptions()).report, CATALOGUE)


REPORT = app()


def test_the_worst_object_and_the_worst_hit_come_first() -> None:
    text = render(REPORT, ReadingSummary())
    blocks = [block.splitlines()[1:] for block in text.split("\n\n")[:-1]]
    ranks = [[Severity.parse(line.split()[0]) for line in block] for block in blocks]
    assert all(rank == sorted(rank, reverse=True) for rank in ranks)
    assert [rank[0] for rank in ranks] == sorted((rank[0] for rank in ranks), reverse=True)


@given(st.sets(st.integers(0, len(REPORT.found) - 1)), st.sampled_from([None, 60, 80, 120]), st.booleans())
def test_every_hit_that_stands_by_itself_is_told(chosen: set[int], width: int | None, verbose: bool) -> None:
    found = [one for number, one in enumerate(REPORT.found) if number in chosen]
    report = Report(found, audited=9)
    text = render(report, ReadingSummary(), Look(width, verbose=verbose))
    rows = [line for line in text.splitlines() if re.match(r"  (critical|high|medium|low) ", line)]
    told = len(rows) + sum(len(also.split(", ")) for also in re.findall(r"\(also ([^)]*)\)", " ".join(text.split())))
    if width is None or verbose:
        assert told == len(found)
    for one in found:
        assert any(f" {one.check}: " in row for row in rows)
    assert f"{len({one.cause for one in found})} finding" in text or not found
    if width is not None:
        assert all(
            cells(line) <= width or " " not in line.strip() for line in text.splitlines() if line.count(" ") < 20
        )


def test_what_is_implied_is_told_with_its_cause() -> None:
    assert REPORT.implied
    verbose = " ".join(render(REPORT, ReadingSummary(), Look(80, verbose=True)).split())
    for one in REPORT.implied:
        assert f"implies {one.found.check}: " in verbose
    assert f"(+{len(REPORT.implied)} implied)" not in verbose
    short = render(REPORT, ReadingSummary(), Look(80))
    assert sum(map(int, re.findall(r"\(\+(\d+) implied\)", short))) == len(REPORT.implied)


def test_one_finding_in_one_object_and_none() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: []}\n"
    said = run("scan", "-", "--check", "host-pid", stdin=pod)[1]
    assert said.splitlines()[-1] == "1 finding in 1 object: 1 high; 1 object audited"
    assert (
        run("scan", "-", "--skip", "host-pid", "--check", "host-pid", stdin=pod)[1] == "no findings; 1 object audited\n"
    )


def test_a_filter_hides_hits_and_says_so_and_the_threshold_counts_them() -> None:
    everything = run("scan", "app", "--fail-on", "LOW")
    code, said, _ = run("scan", "app", "--severity", "Critical", "--fail-on", "Medium")
    assert (everything[0], code) == (1, 1)
    assert not re.search(r"^  (high|medium|low) ", said, re.MULTILINE)
    assert re.search(r"\d+ below --severity", said)
    assert run("scan", "app", "--severity", "low")[1] == everything[1]
    assert run("scan", "app", "--fail-on", "Never")[0] == 0
    assert run("scan", "app/list.yaml", "--severity", "critical", "--fail-on", "critical")[0] == 0
    assert run("scan", "app/list.yaml", "--severity", "critical")[0] == 1, "a high hit that is not shown"


def test_ids_come_with_commas_in_any_case_and_may_be_repeated() -> None:
    said = run("scan", "app", "--check", "Host-Network, runs-as-root", "--check", "PRIVILEGED-CONTAINER")[1]
    assert set(re.findall(r"\d ([a-z-]+): (?!\d)", said)) == {"host-network", "runs-as-root", "privileged-container"}
    assert "runs-as-root:" not in run("scan", "app", "--skip", "host-network,runs-as-root")[1]


def test_what_is_excluded_is_counted() -> None:
    said = run("scan", "app", "--exclude", "web.yaml", "--exclude", "*s.yaml")[1]
    assert "web.yaml" not in said
    assert "rights.yaml" not in said
    assert "2 left out by --exclude" in said
