"""What CI servers make of the outputs: names of their own, what fails, what comes first, where links lead."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.links import DOCUMENTATION, check_url
from iocaudit.core.report import Report
from iocaudit.core.severity import Severity
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.scanning.scan import ScanOptions, scan_files
from iocaudit.sinks import github, json_report, junit, sarif
from iocaudit.sinks.summary import ReadingSummary
from tests.support.running import run

ROOT = Path(__file__).parents[3]
APP = ROOT / "tests" / "unit" / "cli" / "app"
CATALOGUE = builtin_catalogue()
FOUND = scan_files([str(APP)], CATALOGUE, ScanOptions()).report.found
NONE = ReadingSummary()


def cases(text: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(text).iter("testcase"))


@given(st.lists(st.integers(0, len(FOUND) - 1), max_size=30), st.sampled_from([None, *Severity]))
def test_junit_names_are_unique_and_what_fails_fails_the_run(chosen: list[int], fail_on: Severity | None) -> None:
    """Also where one hit comes twice, as from two files."""
    report = Report([FOUND[number] for number in chosen], audited=1)
    text = junit.render(report, NONE, fail_on)
    names = Counter((case.get("classname"), case.get("name")) for case in cases(text))
    assert not [name for name, times in names.items() if times > 1]
    failing = [one for one in report.found if fail_on is not None and one.severity >= fail_on]
    assert len(list(ElementTree.fromstring(text).iter("failure"))) == len(failing)
    assert ElementTree.fromstring(text).get("failures") == str(len(failing))
    assert ElementTree.fromstring(text).get("tests") == str(max(len(chosen), 1))


def test_junit_tells_two_containers_apart() -> None:
    said = run("scan", str(APP / "web.yaml"), "-o", "junit", "--check", "cpu-unlimited", "--fail-on", "critical")[1]
    names = [case.get("name") for case in cases(said)]
    place = 'Deployment shop/web [spec.template.spec.containers["{}"].resources.limits.cpu]'
    assert names == [place.format(name) for name in ("metrics", "web")]
    assert "<failure" not in said
    assert said.count("medium: Deployment shop/web") == 2


@given(st.permutations(FOUND))
def test_github_shows_the_worst_first_and_ends_with_the_summary(found: list[object]) -> None:
    report = Report(list(found), audited=8)  # type: ignore[arg-type]
    *commands, last = github.render(report, NONE).splitlines()
    order = {"error": 0, "warning": 1, "notice": 2}
    ranks = [order[re.split("[: ]", line[2:])[0]] for line in commands]
    assert ranks == sorted(ranks)
    assert re.fullmatch(r"iocaudit: \d+ findings .*; 8 objects audited", last)


def test_github_says_something_of_a_clean_run() -> None:
    clean = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n"
    said = run("scan", "-", "-o", "github", "--check", "host-pid,host-ipc", stdin=clean)[1]
    assert said == "iocaudit: no findings; 1 object audited\n"


def test_the_page_of_a_step_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert run("scan", str(APP), "-o", "github")[0] == 1
    text = page.read_text()
    assert text.startswith("before\n## iocaudit\n")
    rows = [line for line in text.splitlines() if line.startswith(("| critical", "| high", "| medium", "| low"))]
    assert rows[0].startswith("| critical | [cluster\\-admin\\-binding](https://")
    assert "By indicator of compromise: " in text
    assert run("scan", str(APP), "-o", "table")[0] == 1
    assert page.read_text() == text, "another format writes none"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    code, _, errors = run("scan", str(APP), "-o", "github")
    assert (code, errors.count("\n"), "cannot write the step's summary" in errors) == (2, 1, True)


def test_sarif_has_the_rules_that_are_used_each_with_its_page() -> None:
    (run_,) = sarif.as_sarif(Report(FOUND), NONE, CATALOGUE)["runs"]
    rules = run_["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({found.check for found in FOUND})
    assert all(rule["helpUri"] == check_url(rule["id"]) for rule in rules)
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run_["results"])


def test_json_has_controls_and_the_page_with_each_hit() -> None:
    controls = {check.id: dict(check.controls) for check in CATALOGUE}
    for hit in json_report.as_json(Report(FOUND), NONE, CATALOGUE)["findings"]:
        assert hit["controls"] == controls[hit["check"]]
        assert hit["url"] == check_url(hit["check"])


def test_links_lead_to_the_documentation_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Documentation"] == DOCUMENTATION
    for check in CATALOGUE:
        page = check_url(check.id).removeprefix(DOCUMENTATION)
        assert (ROOT / "docs" / page.lstrip("/")).is_file()
    assert run("explain", "host-pid")[1].endswith(f"\n{check_url('host-pid')}\n")
