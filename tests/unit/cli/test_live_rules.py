"""The rules in ConfigMaps of a cluster, on the command line: found, refused or said to be left out; by a real OPA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from iocaudit.cli.live_rules import own_namespace
from iocaudit.cluster.client import Client
from iocaudit.cluster.errors import ForbiddenError
from iocaudit.core.kinds import CLUSTER_ROLE_BINDING, CONFIG_MAP, NAMESPACE, POD
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.own_names import OPERATOR
from iocaudit.engine.languages.sources import Engine
from tests.support.api import FakeApi
from tests.support.engines import engine_program
from tests.support.rego import REGISTRY_V0
from tests.support.running import run

Json = dict[str, Any]
FORBIDDEN = ForbiddenError("GET /configmaps", 403, "Forbidden", "no")


@pytest.fixture(scope="module", autouse=True)
def program() -> None:
    engine_program(Engine.OPA)


@pytest.fixture
def api() -> FakeApi:
    """A pod that a rule in a ConfigMap finds, and no policy."""
    found = FakeApi("shop", "iocaudit")
    found.put(POD, "web", "shop", spec={"containers": [{"name": "app", "image": "evil.example/x:1"}]})
    put_rules(found, "ours", {"registry.rego": REGISTRY_V0})
    return found


def put_rules(api: FakeApi, name: str, data: Json, namespace: str = "iocaudit", label: str = "true") -> None:
    api.put(CONFIG_MAP, name, namespace, metadata={"labels": {"iocaudit.io/rego": label}}, data=data)


def forbid(api: FakeApi, plural: str) -> None:
    def before(_method: str, path: str) -> None:
        if path.endswith(f"/{plural}"):
            raise FORBIDDEN

    api.before = before


def on(api: FakeApi, *arguments: str) -> tuple[int, str, str]:
    with mock.patch.object(Client, "connect", return_value=api):
        return run(*arguments)


def said(api: FakeApi, code: int, *arguments: str) -> Json:
    got, out, error = on(api, *arguments, "-ojson")
    assert got == code, out + error
    found: Json = json.loads(out)
    return found


def tried(tmp_path: Path, spec: str) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(
        f"apiVersion: iocaudit.io/v1alpha1\nkind: AuditPolicy\nmetadata: {{name: tried}}\nspec: {{checks: [{spec}]}}\n"
    )
    return str(path)


def checks_of(report: Json) -> set[str]:
    return {one["check"] for one in report["findings"]}


def test_a_scan_finds_by_them_and_check_and_skip_know_them(api: FakeApi) -> None:
    report = said(api, 1, "scan", "--cluster")
    assert "rego-registry" in checks_of(report)
    assert "rules in Rego come from ConfigMaps of namespace iocaudit: ours" in report["notes"]
    assert checks_of(said(api, 1, "scan", "--cluster", "--check", "rego-registry")) == {"rego-registry"}
    assert "rego-registry" not in checks_of(said(api, 0, "scan", "--cluster", "--skip", "rego-registry"))
    assert "rego-registry" not in checks_of(said(api, 0, "scan", "--cluster", "--check", "privileged-container"))
    code, _, error = on(api, "scan", "--cluster", "--check", "rego-regstry")
    assert code == 2
    assert "did you mean rego-registry" in error


def test_those_of_a_policy_of_the_cluster_are_chosen_alike(api: FakeApi) -> None:
    api.clear(CONFIG_MAP)
    rule = {"name": "registry", "kinds": ["Pod"], "rego": {"module": REGISTRY_V0}}
    api.put(AUDIT_POLICY, "own", spec={"rules": [rule]})
    assert checks_of(said(api, 1, "scan", "--cluster", "--check", "rego-registry")) == {"rego-registry"}
    assert "rego-registry" not in checks_of(said(api, 0, "scan", "--cluster", "--check", "privileged-container"))
    broken = {**rule, "rego": {"module": "package x\n\ndeny contains msg if {"}}
    api.put(AUDIT_POLICY, "own", spec={"rules": [broken]})
    notes = said(api, 0, "scan", "--cluster")["notes"]
    assert [note for note in notes if note.startswith("AuditPolicy own: spec.rules[0].rego.module: line 3")]


def test_one_that_is_broken_is_told_with_its_place(api: FakeApi) -> None:
    put_rules(api, "ours", {"registry.rego": REGISTRY_V0, "broken.rego": "package x\n\ndeny contains msg if {\n"})
    (note,) = [note for note in said(api, 1, "scan", "--cluster")["notes"] if "broken" in note]
    assert note.startswith("ConfigMap ours: data['broken.rego']: line ")
    assert note.endswith("it is not in force (a running operator keeps its last good state)")


@pytest.mark.parametrize(("namespace", "label"), [("shop", "true"), ("iocaudit", "false")])
def test_no_other_configmap_is_read(api: FakeApi, namespace: str, label: str) -> None:
    api.clear(CONFIG_MAP)
    put_rules(api, "others", {"registry.rego": REGISTRY_V0}, namespace, label)
    report = said(api, 0, "scan", "--cluster")
    assert "rego-registry" not in checks_of(report)
    assert not [note for note in report["notes"] if "Rego" in note]


def test_where_they_may_not_be_read_that_is_said_and_no_rule_is_passed_silently(api: FakeApi, tmp_path: Path) -> None:
    forbid(api, "namespaces/iocaudit/configmaps")
    report = said(api, 0, "scan", "--cluster", "--check", "privileged-container")
    reason = f"cannot read the ConfigMaps with rules in namespace iocaudit, their rules are left out: {FORBIDDEN}"
    assert [one["reason"] for one in report["skipped"]] == [reason]
    policy = tried(tmp_path, "{ids: [privileged-container], mode: deny}")
    assert reason in said(api, 3, "policy", "try", policy, "--cluster")["notRead"]
    assert said(api, 3, "policy", "explain", "--cluster", "-n", "shop")["notRead"] == [reason]
    assert f"caution: {reason}" in on(api, "policy", "explain", "--cluster", "-n", "shop")[2]
    code, _, error = on(api, "policy", "impact", "--policy", policy, "--cluster")
    assert (code, reason in error) == (3, True)


def test_without_the_program_the_run_ends_with_the_command_that_installs_it(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOCAUDIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in (("scan", "--cluster"), ("policy", "explain", "--cluster", "-n", "shop")):
        code, _, error = on(api, *command)
        assert code == 2
        assert "iocaudit engines install" in error


def test_a_policy_that_names_one_is_tried_explained_and_weighed(api: FakeApi, tmp_path: Path) -> None:
    policy = tried(tmp_path, "{ids: [rego-registry], mode: deny}")
    (denied,) = said(api, 1, "policy", "try", policy, "--cluster")["denied"]
    assert (denied["subject"]["name"], denied["reasons"][0]["check"]) == ("web", "rego-registry")
    assert "evil.example/x:1" in denied["reasons"][0]["message"]
    (denied,) = said(api, 1, "policy", "impact", "--policy", policy, "--cluster")["objects"]["denied"]
    assert denied["subject"]["name"] == "web"
    api.put(AUDIT_POLICY, "named", spec={"checks": [{"ids": ["rego-registry"], "mode": "deny"}]})
    explained = said(api, 0, "policy", "explain", "--cluster", "-n", "shop", "--check", "rego-registry")
    assert [(one["check"], one["mode"]) for one in explained["checks"]] == [("rego-registry", "deny")]
    assert explained["cautions"] == []


def test_a_rule_that_is_not_there_is_a_caution_with_what_is_near(api: FakeApi) -> None:
    api.put(AUDIT_POLICY, "named", spec={"checks": [{"ids": ["rego-registri"], "mode": "deny"}]})
    (caution,) = said(api, 0, "policy", "explain", "--cluster", "-n", "shop")["cautions"]
    assert caution == (
        "AuditPolicy named: checks[0].ids names rego-registri, which is not a rule of any AuditPolicy or ConfigMap "
        "(did you mean rego-registry?): it decides nothing until there is one"
    )
    assert f"caution: {caution}" in on(api, "policy", "explain", "--cluster", "-n", "shop")[1]
    put_rules(api, "more", {"registri.rego": REGISTRY_V0})
    assert said(api, 0, "policy", "explain", "--cluster", "-n", "shop")["cautions"] == []


def test_a_waiver_is_written_for_what_one_finds(api: FakeApi) -> None:
    code, out, error = on(
        api,
        *("waive", "--cluster", "--check", "rego-registry", "--owner", "team", "--reason", "until it moves"),
        *("--days", "7", "--yes"),
    )
    assert code == 0, error
    assert "rego-registry" in out
    assert api.stored(IOC_WAIVER.plural) == []


def test_they_are_read_where_the_operator_runs(api: FakeApi) -> None:
    assert own_namespace(api) == "iocaudit"
    account = {"kind": "ServiceAccount", "name": OPERATOR, "namespace": "security"}
    api.put(CLUSTER_ROLE_BINDING, OPERATOR, subjects=[{"kind": "User", "name": "ada"}, account])
    assert own_namespace(api) == "security"
    api.put(NAMESPACE, "security")
    put_rules(api, "elsewhere", {"moved.rego": REGISTRY_V0}, "security")
    found = checks_of(said(api, 1, "scan", "--cluster"))
    assert ("rego-moved" in found, "rego-registry" in found) == (True, False)


def test_a_policy_that_denies_by_one_that_is_not_there_is_found_while_that_is_so(api: FakeApi, tmp_path: Path) -> None:
    api.put(AUDIT_POLICY, "named", spec={"checks": [{"ids": ["rego-later"], "mode": "deny"}]})
    weakens = ("scan", "--cluster", "--check", "policy-weakens-guard")
    (found,) = said(api, 1, *weakens)["findings"]
    assert found["subject"]["name"] == "named"
    assert found["message"].endswith(
        "denies by rego-later, which is not a rule of any AuditPolicy or ConfigMap: nothing is denied (spec.checks[0])"
    )
    forbid(api, "namespaces/iocaudit/configmaps")
    assert said(api, 0, *weakens)["findings"] == [], "it may be in one of those that were not read"
    api.before = lambda _method, _path: None
    put_rules(api, "more", {"later.rego": REGISTRY_V0})
    assert said(api, 0, *weakens)["findings"] == []
    alone = tmp_path / "policy.yaml"
    alone.write_text(json.dumps(api.stored("auditpolicies")[0]))
    code, out, error = run("scan", str(alone), "--check", "policy-weakens-guard")
    assert code == 0, out + error
