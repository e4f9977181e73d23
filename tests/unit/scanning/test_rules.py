"""Rules in languages of their own on the command line: each command judges by them as by any other check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from iocaudit.core.severity import IoC
from iocaudit.engine.languages import embedded, local
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure, Violation
from iocaudit.engine.languages.evaluator import EngineMissingError, Evaluator
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rule import Language, RegoSource, Rule
from tests.support.auditing import container, pod
from tests.support.evaluator import FakeEvaluator
from tests.support.rules import cel_entry, policy_with, rego, rego_entry
from tests.support.running import run

ROOT = Path(__file__).parents[3]
INSTALL = "run `iocaudit engines install`"
BAD = pod(container(image="evil.io/web:1"))
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {}, "template": {"metadata": {}, "spec": BAD["spec"]}},
}


def _registry(rule: AskedRule, question: Question) -> RuleAnswer:
    """Every image has to be below the registry of its parameters, ``hooli.com/`` where there are none."""
    judged = question.request["object"]
    if judged["metadata"].get("labels", {}).get("fails"):
        return RuleFailure("3:5: it divides by zero")
    wanted = rule.parameters.get("registry", "hooli.com/")
    return tuple(
        Violation(f"image {one['image']} is not below {wanted}", f"spec.containers[{at}].image", one["image"])
        for at, one in enumerate(judged["spec"]["containers"])
        if not one["image"].startswith(wanted)
    )


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> dict[Language, FakeEvaluator]:
    broken = {"rego-broken": "2:1: unexpected token"}
    made: dict[Language, FakeEvaluator] = {language: FakeEvaluator(_registry, broken) for language in Language}
    makers = {language: lambda language=language: made[language] for language in Language}
    monkeypatch.setattr(local, "EMBEDDED", makers)
    monkeypatch.setattr(embedded, "read_folder", _folder)
    return made


def _folder(folder: Path) -> list[Rule]:
    return [
        rego(path.stem, where=str(path), title=f"images of {path.stem}", source=RegoSource(path.read_text()))
        for path in sorted(folder.glob("*.rego"))
    ]


def _written(folder: Path, name: str, *documents: dict[str, Any]) -> str:
    path = folder / name
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def _scanned(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, said, errors = run("scan", "-o", "json", "--no-config", *arguments)
    assert said, errors
    return code, json.loads(said)


def _hits(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (one["check"], one["subject"]["kind"], one["path"])
        for one in report["findings"]
        if one["check"].startswith(("rego-", "cel-"))
    ]


@pytest.fixture
def objects(tmp_path: Path) -> str:
    return _written(tmp_path, "objects.yaml", BAD, DEPLOYMENT)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "rego").mkdir()
    (tmp_path / "rego" / "registry.rego").write_text("package registry\ndeny contains m if true\n")
    return str(tmp_path / "rego")


def test_a_folder_of_rules_judges_files(objects: str, folder: str) -> None:
    code, report = _scanned(objects, "--rego", folder)
    assert code == 1
    assert _hits(report) == [
        ("rego-registry", "Pod", 'spec.containers["app"].image'),
        ("rego-registry", "Deployment", 'spec.template.spec.containers["app"].image'),
    ]
    (one,) = [found for found in report["findings"] if (found["check"], found["subject"]["kind"]) == _KEY]
    assert one["iocs"] == []
    assert one["line"] is not None
    assert one["url"].endswith("languages.md")
    schema = json.loads((ROOT / "iocaudit/sinks/report.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(report)


_KEY = ("rego-registry", "Pod")


def test_the_rules_of_a_policy_judge_files_where_it_applies(objects: str, tmp_path: Path) -> None:
    policy = policy_with([cel_entry("registry", parameters={"registry": "acme.io/"})], match={"namespaces": ["shop"]})
    report = _scanned(objects, "--policy", _written(tmp_path, "p.yaml", policy))[1]
    assert [check for check, _, _ in _hits(report)] == ["cel-registry", "cel-registry"]
    assert "acme.io/" in next(one["message"] for one in report["findings"] if one["check"] == "cel-registry")
    policy["spec"]["match"]["namespaces"] = ["other"]
    assert not _hits(_scanned(objects, "--policy", _written(tmp_path, "p.yaml", policy))[1])


def test_a_policy_sets_what_a_rule_of_a_folder_does(objects: str, folder: str, tmp_path: Path) -> None:
    policy = policy_with([], checks=[{"ids": ["rego-registry"], "severity": "low", "parameters": {"registry": "x/"}}])
    del policy["spec"]["rules"]
    file = _written(tmp_path, "p.yaml", policy)
    found = [one for one in _scanned(objects, "--rego", folder, "--policy", file)[1]["findings"] if one["iocs"] == []]
    assert {(one["severity"], one["check"]) for one in found} == {("low", "rego-registry")}
    code, _, errors = run("scan", objects, "--policy", file)
    assert code == 2
    assert "no rule 'rego-registry': it is known where" in errors
    assert "--rego" in errors


def test_rules_are_selected_like_checks(objects: str, folder: str) -> None:
    assert {one["check"] for one in _scanned(objects, "--rego", folder, "--check", "rego-registry")[1]["findings"]} == {
        "rego-registry"
    }
    assert not _hits(_scanned(objects, "--rego", folder, "--skip", "rego-registry")[1])
    code, _, errors = run("scan", objects, "--rego", folder, "--check", "rego-registri")
    assert code == 2
    assert "rego-registry" in errors


@pytest.mark.parametrize(("output", "line"), [("table", "by indicator"), ("github", "By indicator of compromise")])
def test_rules_of_no_indicator_are_listed_under_none(
    objects: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, line: str
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    told = run("scan", objects, "--rego", folder, "--check", "rego-registry", "-o", output)[1]
    told += summary.read_text() if output == "github" else ""
    assert "rego-registry" in told
    assert line not in told


def test_a_failure_is_a_fault_of_that_object_in_every_format(tmp_path: Path, folder: str) -> None:
    failing = pod(metadata={"labels": {"fails": "yes"}})
    file = _written(tmp_path, "o.yaml", failing)
    code, report = _scanned(file, "--rego", folder, "--check", "rego-registry")
    assert code == 3
    assert [(one["check"], one["reason"]) for one in report["faults"]] == [("rego-registry", "3:5: it divides by zero")]
    for form in ("table", "sarif", "junit", "github"):
        code, said, _ = run("scan", file, "--rego", folder, "--check", "rego-registry", "-o", form)
        assert code == 3
        assert "it divides by zero" in said, form


def test_sarif_has_the_rules_too(objects: str, folder: str) -> None:
    _, said, _ = run("scan", objects, "--rego", folder, "-o", "sarif")
    driver = json.loads(said)["runs"][0]["tool"]["driver"]
    (rule,) = [one for one in driver["rules"] if one["id"] == "rego-registry"]
    assert rule["shortDescription"]["text"] == "images of registry"
    assert rule["properties"]["tags"] == ["security", "kubernetes"]


def test_baselines_and_waivers_hold_for_rules(objects: str, folder: str, tmp_path: Path) -> None:
    known = str(tmp_path / "baseline.json")
    only = ("--rego", folder, "--check", "rego-registry")
    run("scan", objects, *only, "--write-baseline", known)
    assert _scanned(objects, *only, "--baseline", known)[0] == 0
    waiver = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocWaiver",
        "metadata": {"name": "w"},
        "spec": {
            "checks": ["rego-registry"],
            "namespaces": ["shop"],
            "owner": "team",
            "reason": "until v2",
            "expires": "2999-01-01T00:00:00Z",
        },
    }
    code, report = _scanned(objects, *only, "--policy", _written(tmp_path, "w.yaml", waiver))
    assert code == 0
    assert len(report["waived"]) == 2


def test_what_is_wrong_with_a_rule_is_told_by_file_and_line(objects: str, tmp_path: Path) -> None:
    file = _written(tmp_path, "p.yaml", policy_with([rego_entry("broken")]))
    code, said, errors = run("scan", objects, "--policy", file)
    assert (code, said) == (2, "")
    assert f"{file}:" in errors
    assert "spec.rules[0].rego.module: 2:1: unexpected token" in errors


def test_a_missing_program_is_told_with_the_command(
    objects: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Evaluator:
        raise EngineMissingError(f"Rego cannot be evaluated: {INSTALL}")

    monkeypatch.setattr(local, "EMBEDDED", {Language.REGO: missing})
    file = _written(tmp_path, "p.yaml", policy_with([rego_entry()]))
    code, said, errors = run("scan", objects, "--policy", file)
    assert (code, said) == (2, "")
    assert INSTALL in errors
    assert run("scan", objects)[0] == 0, "without rules nothing is missing"


def test_standard_input_is_read_once(objects: str, tmp_path: Path) -> None:
    text = Path(_written(tmp_path, "p.yaml", policy_with([rego_entry()]))).read_text()
    code, said, errors = run("scan", objects, "--policy", "-", "-o", "json", stdin=text)
    assert code == 1, errors
    assert len(_hits(json.loads(said))) == 2


def test_every_file_alone_and_many_files_judge_alike(tmp_path: Path, folder: str) -> None:
    for number in range(5):
        _written(tmp_path, f"o{number}.yaml", BAD)
    (tmp_path / "rego").rename(tmp_path.parent / f"{tmp_path.name}-rego")
    rules = str(tmp_path.parent / f"{tmp_path.name}-rego")
    for more in ((), ("--each-file-alone",), ("--jobs", "3")):
        assert len(_hits(_scanned(str(tmp_path), "--rego", rules, *more)[1])) == 5


def test_more_processes_are_not_taken_and_that_is_said_once(objects: str, folder: str, tmp_path: Path) -> None:
    noted = json.loads(run("scan", objects, "--rego", folder, "--jobs", "4", "-ojson")[1])["notes"]
    assert [note for note in noted if "--jobs" in note] == [
        "--jobs does not hold: with rules in Rego or CEL one process audits, beside what evaluates them"
    ]
    for more in (("--rego", folder), ("--rego", folder, "--jobs", "1"), ("--jobs", "4")):
        assert not [one for one in json.loads(run("scan", objects, *more, "-ojson")[1])["notes"] if "--jobs" in one]


def test_an_id_that_is_not_known_is_told_with_rules_that_are_near(objects: str, folder: str, tmp_path: Path) -> None:
    code, _, error = run("scan", objects, "--rego", folder, "--check", "rego-registri")
    assert (code, "there is no rule 'rego-registri' (did you mean rego-registry?)" in error) == (2, True), error
    code, _, error = run("scan", objects, "--check", "rego-registri")
    assert (code, "there is no rule 'rego-registri': it is known where the policy" in error) == (2, True), error
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {name: a}\n"
        "spec: {checks: [{ids: [rego-registri], mode: deny}]}\n"
    )
    code, _, error = run("policy", "try", str(policy), objects, "--rego", folder)
    assert (code, "spec.checks[0].ids[0]: there is no rule 'rego-registri' (did you mean rego-registry?)" in error) == (
        2,
        True,
    ), error


def test_explain_and_checks_show_rules(folder: str, tmp_path: Path) -> None:
    code, said, _ = run("explain", "rego-registry", "--rego", folder)
    assert code == 0
    assert "images of registry" in said
    assert "package registry" in said
    file = _written(tmp_path, "p.yaml", policy_with([cel_entry("x", description="why not", fix="do so", iocs=[3])]))
    code, said, _ = run("explain", "cel-x", "--policy", file)
    assert code == 0
    assert "why not" in said
    assert IoC.CLUSTER_ADMIN.title[:20] in said
    assert "where a policy names it" in said
    _, said, _ = run("checks", "--rego", folder, "--policy", file, "-o", "json")
    listed = json.loads(said)
    assert {"rego-registry", "cel-x"} <= {one["id"] for one in listed}
    schema = json.loads((ROOT / "iocaudit/sinks/catalogue/catalogue.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(listed)
    assert "rego-registry" in run("checks", "--rego", folder, "--group", "rego")[1]


def test_policy_explain_says_which_entry_decides(folder: str, tmp_path: Path) -> None:
    file = _written(tmp_path, "p.yaml", policy_with([cel_entry("x")]))
    code, said, _ = run("policy", "explain", "-n", "shop", "--policy", file, "--check", "cel-x", "-o", "json")
    assert code == 0
    assert json.loads(said)["checks"][0]["decidedBy"]["rule"] == "spec.rules[0]", said
    assert run("policy", "explain", "-n", "shop", "--rego", folder, "--check", "rego-registry")[0] == 0


def test_policies_are_tested_with_their_rules(tmp_path: Path) -> None:
    _written(tmp_path, "p.yaml", policy_with([rego_entry()]))
    suite = {
        "apiVersion": "cli.iocaudit.io/v1alpha1",
        "kind": "PolicyTest",
        "metadata": {"name": "registries"},
        "policies": ["p.yaml"],
        "tests": [
            {"name": "bad", "object": BAD, "expect": {"verdict": "deny", "denied": ["rego-registry"]}},
            {"name": "template", "object": DEPLOYMENT, "expect": {"verdict": "deny"}},
            {
                "name": "good",
                "object": pod(),
                "expect": {"verdict": "allow", "denied": {"exclude": ["rego-registry"]}},
            },
        ],
    }
    code, said, errors = run("policy", "test", _written(tmp_path, "a.policytest.yaml", suite), "-v")
    assert code == 0, said + errors


def test_a_policy_is_tried_with_its_rules(objects: str, tmp_path: Path) -> None:
    file = _written(tmp_path, "p.yaml", policy_with([rego_entry()]))
    code, said, errors = run("policy", "try", file, objects)
    assert code == 1, errors
    assert "rego-registry" in said
    code, said, errors = run("policy", "impact", "--policy", file, objects, "-o", "json")
    assert code == 1, errors
    assert {reason["check"] for one in json.loads(said)["objects"]["denied"] for reason in one["reasons"]} == {
        "rego-registry"
    }


def test_in_files_a_rule_may_be_for_any_kind(tmp_path: Path) -> None:
    template = {"spec": {"containers": [container(image="evil.io/a")], "hostPID": True}}
    widget: dict[str, Any] = {
        "apiVersion": "acme.io/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"template": template},
    }
    widget["spec"]["containers"] = [container(image="evil.io/b")]
    listed = {"apiVersion": "v1", "kind": "List", "items": [widget]}
    policy = _written(tmp_path, "p.yaml", policy_with([rego_entry(kinds=["Widget.acme.io"])]))
    for documents in ([widget], [listed]):
        report = _scanned(_written(tmp_path, "o.yaml", *documents), "--policy", policy)[1]
        assert _hits(report) == [("rego-registry", "Widget", 'spec.containers["app"].image')]
        assert "host-pid" in {one["check"] for one in report["findings"]}, "its pods are still judged by their shape"
    other = {**widget, "apiVersion": "other.io/v1"}
    assert not _hits(_scanned(_written(tmp_path, "o.yaml", other), "--policy", policy)[1])
