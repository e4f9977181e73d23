"""``iocaudit policy test``: what it prints, where, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.policy_tests import Json, document, pod, write
from tests.support.running import run

ROOT = Path(__file__).parents[3]
PASSES: Json = {"name": "good", "object": pod(), "expect": "allow"}
FAILS: Json = {"name": "bad", "object": pod(), "expect": {"denied": ["host-pid"]}}


def test_the_documented_example_passes_and_touches_every_rule() -> None:
    code, said, errors = run("policy", "test", str(ROOT / "docs" / "policy-tests"))
    assert (code, errors) == (0, "")
    assert said.endswith("0 failed; 3 of 3 rules of the policies covered\n")
    assert "not covered" not in said


def test_the_page_shows_the_example_as_it_is() -> None:
    docs = ROOT / "docs"
    assert (docs / "policy-tests" / "shop.policytest.yaml").read_text() in (docs / "policy-tests.md").read_text()


def test_one_that_fails_says_what_was_expected_and_what_came(tmp_path: Path) -> None:
    file = write(tmp_path, document(PASSES, FAILS))
    code, said, errors = run("policy", "test", file)
    assert (code, errors) == (1, "")
    assert said.splitlines()[:6] == [
        f"{file}: 2 tests, 1 failed",
        f"  FAILED  bad ({file}:{_line(file, 'bad')})",
        "    CREATE Pod shop/web by somebody",
        "    denied: expected with host-pid",
        "            got      none",
        "            - host-pid: it has no hit (mode deny by policy shop, spec.checks[1])",
    ]
    assert said.splitlines()[-1] == "2 tests: 1 passed, 1 failed; 1 of 2 rules of the policies covered"
    assert "not covered: shop, spec.checks[1] (host-pid, privileged-container)" in said
    assert "ok  good" in run("policy", "test", file, "-v")[1]


def _line(file: str, name: str) -> int:
    lines = Path(file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line == f"- name: {name}")


def test_a_file_that_cannot_be_used_does_not_hide_the_others(tmp_path: Path) -> None:
    good, bad = write(tmp_path, document(FAILS)), write(tmp_path, document({"name": "x"}), name="b.policytest.yaml")
    code, said, _ = run("policy", "test", good, bad)
    assert code == 2
    assert "FAILED  bad" in said
    assert f"unusable: {bad}:" in said
    code, _, errors = run("policy", "test", str(tmp_path / "no"))
    assert code == 2
    assert "no such file or folder" in errors


def test_json_and_junit_say_the_same(tmp_path: Path) -> None:
    file = write(tmp_path, document(PASSES, FAILS))
    target = tmp_path / "out.xml"
    code, said, _ = run("policy", "test", file, "-o", "json", "-o", f"junit={target}")
    found = json.loads(said)
    assert code == 1
    assert found["summary"] == {"tests": 2, "passed": 1, "failed": 1, "unusable": 0, "leftOut": 0}
    assert [one["passed"] for one in found["tests"]] == [True, False]
    assert found["tests"][1]["mismatches"][0]["part"] == "denied"
    suite = ElementTree.fromstring(target.read_text())[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    cases = suite.findall("testcase")
    assert [case.find("failure") is not None for case in cases] == [False, True]
    assert all(case.get("file") == file and case.get("line") for case in cases)


def test_junit_tells_files_that_cannot_be_used_as_errors(tmp_path: Path) -> None:
    code, said, _ = run("policy", "test", write(tmp_path, document({"name": "x"})), "-o", "junit")
    suite = ElementTree.fromstring(said)[0]
    assert code == 2
    assert suite.get("errors") == str(len(suite.findall("testcase/error"))) != "0"


def test_run_chooses_tests_and_has_to_find_one(tmp_path: Path) -> None:
    file = write(tmp_path, document(PASSES, FAILS))
    code, said, _ = run("policy", "test", file, "--run", "good$")
    assert code == 0
    assert said.splitlines()[-1] == "1 test: 1 passed, 0 failed; 1 test left out by --run"
    assert "not covered" not in said, "what was left out may have covered it"
    code, _, errors = run("policy", "test", file, "--run", "no such test")
    assert (code, "is found in none of 2 tests" in errors) == (2, True)
    code, _, errors = run("policy", "test", file, "--run", "(")
    assert (code, "is not a regular expression" in errors) == (2, True)


@pytest.mark.parametrize(("arguments", "said"), [((), "Missing argument"), (("-o", "sarif", "x"), "is not one of")])
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    code, _, errors = run("policy", "test", *arguments)
    assert code == 2
    assert said in errors


def test_names_are_data_in_every_output(tmp_path: Path) -> None:
    odd = {**FAILS, "name": "\x1b[31m]]>&<\u202e"}
    file = write(tmp_path, document(odd))
    for form in ("table", "json", "junit"):
        code, said, _ = run("policy", "test", file, "-o", form)
        assert code == 1
        assert "\x1b" not in said
        assert "\u202e" not in said
    ElementTree.fromstring(said)


def test_a_file_of_tests_is_not_scanned_for_what_its_objects_hold(tmp_path: Path) -> None:
    bad = {**FAILS, "object": pod(hostPID=True, containers=[{"name": "a", "image": "x", "securityContext": {}}])}
    write(tmp_path, document(bad))
    write(tmp_path, pod(), name="pod.yaml")
    _, said, _ = run("scan", str(tmp_path), "-o", "json")
    assert {one["file"] for one in json.loads(said)["findings"]} <= {str(tmp_path / "pod.yaml")}


def test_standard_input(tmp_path: Path) -> None:
    text = Path(write(tmp_path, document(PASSES))).read_text()
    code, said, _ = run("policy", "test", "-", stdin=text)
    assert code == 0
    assert said.startswith("<stdin>: 1 test\n")
