"""Every language has a program that evaluates it, and nothing of it is imported before there is a rule."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from iocaudit.engine.languages import programs
from iocaudit.engine.languages.embedded import EMBEDDED
from iocaudit.engine.languages.evaluator import EngineMissingError
from iocaudit.engine.languages.rule import Language
from iocaudit.engine.languages.sources import Engine
from tests.support.auditing import container, pod
from tests.support.engines import engine_program
from tests.support.rules import cel_entry, policy_with, rego_entry
from tests.support.running import run

_HEAVY = ("opa_client", "requests", "aiohttp", "asyncio", "iocaudit.engine.languages.rego.evaluator")


def test_every_language_has_one() -> None:
    assert set(EMBEDDED) == set(Language)


def test_a_scan_without_rules_imports_none_of_it() -> None:
    code = (
        "import sys; from iocaudit.cli.main import main\n"
        "sys.argv = ['iocaudit', 'scan', '-']\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        f"print([name for name in {_HEAVY!r} if name in sys.modules])"
    )
    pod = b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: b}]}\n"
    done = subprocess.run([sys.executable, "-c", code], input=pod, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().splitlines()[-1] == "[]"


V1 = """package kubernetes.admission

deny contains msg if {
  input.request.kind.kind == "Pod"
  some container in input.request.object.spec.containers
  not startswith(container.image, "hooli.com/")
  msg := sprintf("image %q comes from an untrusted registry", [container.image])
}
"""
V0 = """package kubernetes.admission

deny[msg] {
  input.request.kind.kind == "Pod"
  image := input.request.object.spec.containers[_].image
  not startswith(image, "hooli.com/")
  msg := sprintf("image %q comes from an untrusted registry", [image])
}
"""
VIOLATION = """package k8srequiredregistry

violation[{"msg": msg}] {
  container := input.review.object.spec.containers[_]
  not startswith(container.image, input.parameters.registry)
  msg := sprintf("image %v", [container.image])
}
"""
CEL = {
    "variables": [
        {"name": "bad", "expression": "object.spec.containers.filter(c, !c.image.startsWith(params.registry))"}
    ],
    "validations": [
        {
            "expression": "variables.bad.size() == 0",
            "messageExpression": "'image ' + variables.bad[0].image + ' is not below ' + params.registry",
        }
    ],
}


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    for engine in Engine:
        engine_program(engine)


def _objects(folder: Path) -> str:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod(container(image="evil.io/web:1"))["spec"]}
    meta = {"name": "web", "namespace": "shop"}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    path = folder / "objects.yaml"
    bad, good = pod(container(image="evil.io/web:1")), pod(metadata={"name": "good"})
    path.write_text(yaml.safe_dump_all([bad, good, deployment]))
    return str(path)


def _found(*arguments: str) -> list[tuple[str, str, str]]:
    code, said, errors = run("scan", "-o", "json", "--no-config", *arguments)
    assert code == 1, said + errors
    report: dict[str, Any] = json.loads(said)
    assert not report["faults"], report["faults"]
    hits = [one for one in report["findings"] if one["check"].startswith(("rego-", "cel-"))]
    return sorted((one["check"], one["subject"]["kind"], one["subject"]["name"]) for one in hits)


@pytest.mark.parametrize("module", [V1, V0], ids=["v1", "v0"])
def test_the_images_of_pods_and_templates_are_judged_by_a_folder_of_rego(tmp_path: Path, module: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "registry.rego").write_text(module)
    assert _found(_objects(tmp_path), "--rego", str(tmp_path / "rules")) == [
        ("rego-registry", "Deployment", "web"),
        ("rego-registry", "Pod", "web"),
    ]


def test_a_policy_in_both_languages_judges_alike(tmp_path: Path) -> None:
    given: dict[str, Any] = {"parameters": {"registry": "hooli.com/"}}
    policy = policy_with([cel_entry(cel=CEL, **given), rego_entry(rego={"module": VIOLATION}, **given)])
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(policy))
    assert _found(_objects(tmp_path), "--policy", str(file)) == [
        (check, kind, "web") for check in ("cel-no-latest", "rego-registry") for kind in ("Deployment", "Pod")
    ]
    code, said, errors = run("policy", "try", str(file), _objects(tmp_path), "-o", "json")
    assert code == 1, errors
    denied = json.loads(said)["denied"]
    assert [sorted(reason["check"] for reason in one["reasons"]) for one in denied] == [
        ["cel-no-latest", "rego-registry"]
    ] * 2


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (rego_entry(rego={"module": "package x\n\ndeny contains m if nothing"}), "line 3"),
        (cel_entry(cel={"validations": [{"expression": "object.spec.("}]}), "1:"),
        (cel_entry(cel={"validations": [{"expression": "1 + 1"}]}), "bool"),
    ],
    ids=["rego", "cel syntax", "cel type"],
)
def test_a_rule_that_does_not_compile_is_told_with_its_place(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(policy_with([entry])))
    code, out, errors = run("scan", _objects(tmp_path), "--policy", str(file))
    assert (code, out) == (2, "")
    assert "spec.rules[0]." in errors
    assert said in errors


@pytest.mark.parametrize("language", Language)
def test_without_the_program_there_is_no_evaluator(
    language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "cache_folder", lambda: tmp_path)
    with pytest.raises(EngineMissingError, match="iocaudit engines install"):
        EMBEDDED[language]()
