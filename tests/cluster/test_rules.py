"""Rules in Rego and CEL on a real API server: the webhook denies by them, the operator finds by them, and what becomes
of both while what evaluates them is away."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.engine.languages.sources import Engine
from tests.cluster.installing import configurations, install
from tests.cluster.processes import (
    START_WITH_WEBHOOK,
    WEBHOOK,
    Eventually,
    apply,
    items,
    program,
    states,
)
from tests.cluster.ruled import REGISTRY, V0, Setting, bad, config_map, policy, rego
from tests.support.engines import engine_program
from tests.support.running import run

SLOW = """package slow

deny contains "never" if {
    some a in numbers.range(1, 100000)
    some b in numbers.range(1, 100000)
    a * b == -1
}
"""
HUGE = """package huge

deny contains msg if {
    all := [x | some a in numbers.range(1, 200000); some b in numbers.range(1, 200000); x := sprintf("%d-%d", [a, b])]
    msg := sprintf("%d", [count(all)])
}
"""


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, eventually: Eventually) -> Iterator[Setting]:
    for engine in Engine:
        engine_program(engine)
    folder = tmp_path_factory.mktemp("rules")
    with ControlPlane() as cluster:
        install(cluster, "warn")
        cluster.kubectl("create", "namespace", "shop")
        found = Setting(cluster, folder, eventually)
        operator = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator")
        webhook = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-admission")
        certificates, url, receiver = folder / "certificates", f"https://127.0.0.1:{free_port()}", free_port()
        apply(cluster, policy("registries", rego("registry", REGISTRY)), bad("legacy"))
        with (
            program(
                START_WITH_WEBHOOK,
                folder / "operator.log",
                operator,
                url,
                certificates,
                found.operator_metrics,
                receiver,
            ) as first,
            program(
                WEBHOOK, folder / "webhook.log", webhook, url, certificates, found.webhook_metrics, receiver
            ) as second,
        ):
            found.operator_pid, found.webhook_pid = first.pid, second.pid
            eventually(lambda: len(configurations(cluster)) == 1, "the webhook configuration", seconds=90)
            eventually(lambda: found.denied(bad(), "does not come from hooli.com"), "a denial by the rule", seconds=180)
            yield found


@pytest.fixture(autouse=True)
def clean(setting: Setting) -> Iterator[None]:
    yield
    cluster = setting.cluster
    cluster.kubectl("delete", "configmaps", "-n", "iocaudit", "-l", "iocaudit.io/rego=true")
    others = [one["metadata"]["name"] for one in items(cluster, "auditpolicies")]
    others = [name for name in others if name not in ("registries", "preset-warn", "iocaudit-default")]
    if others:
        cluster.kubectl("delete", "auditpolicies", *[name for name in others if name.startswith("test-")])


def test_the_webhook_denies_by_a_rule_and_the_operator_finds_by_it(setting: Setting) -> None:
    said = setting.tried(bad())
    assert "rego-registry" in said
    assert "image evil.example/x:1 does not come from hooli.com" in said
    assert setting.tried(bad("good", "hooli.com/x:1")) == ""
    setting.eventually(
        lambda: states(setting.cluster, "shop", "rego-registry").get("Pod/legacy") == "Open", "the finding", seconds=180
    )
    assert setting.status("registries")["RulesReady"] == ("True", "Loaded", "1 rule is evaluated")
    assert setting.status("registries")["Accepted"][0] == "True"


def test_a_rule_of_a_configmap_is_in_force_by_its_preset_and_named_by_a_policy(setting: Setting) -> None:
    cluster = setting.cluster
    apply(cluster, config_map("ours", from_map=V0))
    setting.eventually(lambda: "rego-from-map" in setting.tried(bad()), "the webhook to take the rule")
    setting.eventually(
        lambda: states(cluster, "shop", "rego-from-map").get("Pod/legacy") == "Open", "the finding", seconds=180
    )
    named = {"checks": [{"ids": ["rego-from-map"], "mode": "deny"}]}
    apply(cluster, {**policy("test-named"), "spec": named})
    setting.eventually(lambda: "denied" in setting.tried(bad()) and "from-map" in setting.tried(bad()), "the denial")
    other = config_map("others", from_other=V0)
    other["metadata"]["labels"] = {}
    apply(cluster, other)
    apply(cluster, config_map("ours", from_map="package x\n\ndeny contains"))
    setting.eventually(
        lambda: any(one["reason"] == "RuleRefused" for one in items(cluster, "events", "-niocaudit")), "the Event"
    )
    (event,) = [one for one in items(cluster, "events", "-niocaudit") if one["reason"] == "RuleRefused"]
    assert "from-map.rego" in event["message"]
    assert "its last good version stays in force" in event["message"]
    assert "rego-from-map" in setting.tried(bad())
    assert "rego-from-other" not in setting.tried(bad()), "without the label it is never read"
    cluster.kubectl("delete", "configmap", "-n", "iocaudit", "ours", "others")
    setting.eventually(lambda: "rego-from-map" not in setting.tried(bad()), "the rule to go")


def test_what_policy_try_says_of_a_rule_in_a_configmap_the_webhook_does(setting: Setting, tmp_path: Path) -> None:
    cluster = setting.cluster
    named = {**policy("test-named"), "spec": {"checks": [{"ids": ["rego-tried"], "mode": "deny"}]}}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(named))
    arguments = ("policy", "try", str(file), "--cluster", "-o", "json", "--kubeconfig", str(cluster.kubeconfig))
    code, out, error = run(*arguments)
    assert "rego-tried" not in out, error
    apply(cluster, config_map("tried", tried=V0.replace("hooli.com/", "only.example/")), bad("other", "hooli.com/x:1"))
    code, out, error = run(*arguments)
    assert code == 1, error
    denied = json.loads(out)["denied"]
    foretold = {one["subject"]["name"] for one in denied if "rego-tried" in {why["check"] for why in one["reasons"]}}
    assert foretold == {"legacy", "other"}
    apply(cluster, named)
    for name in foretold:
        stored = bad(f"{name}-again", "hooli.com/x:1" if name == "other" else "evil.example/x:1")
        setting.eventually(lambda made=stored: setting.denied(made, "rego-tried"), f"the denial of {name}")
    assert setting.tried(bad("fine", "only.example/x:1")).count("rego-tried") == 0
    cluster.kubectl("delete", "pod", "-n", "shop", "other")


def test_a_policy_that_names_a_rule_that_is_not_there_says_so_until_it_is(setting: Setting) -> None:
    cluster = setting.cluster
    named = {**policy("test-named"), "spec": {"checks": [{"ids": ["rego-later"], "mode": "deny"}]}}
    assert "names rego-later, which is not a rule of any AuditPolicy or ConfigMap" in setting.tried(named)
    apply(cluster, named)
    setting.eventually(
        lambda: setting.status("test-named").get("Warning", ("", "", ""))[1] == "UnknownRule", "the condition"
    )
    apply(cluster, config_map("later", later=V0))
    setting.eventually(lambda: setting.denied(bad(), "rego-later"), "the denial")
    setting.eventually(lambda: "Warning" not in setting.status("test-named"), "the condition to go")


def test_who_takes_a_denied_rule_out_of_a_configmap_is_told_and_recorded(setting: Setting) -> None:
    cluster = setting.cluster
    apply(cluster, config_map("guarded", guarded=V0))
    apply(cluster, {**policy("test-named"), "spec": {"checks": [{"ids": ["rego-guarded"], "mode": "deny"}]}})
    setting.eventually(lambda: setting.denied(bad(), "rego-guarded"), "the denial")
    lost = "takes away rego-guarded, which is denied: nothing is judged by it any more"
    more = config_map("guarded", guarded=V0 + '\ndeny["always"] {\n  input.request.object.spec.hostPID\n}\n', new=V0)
    harmless = cluster.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(more)).stderr
    assert "denied" not in harmless
    weaker = config_map("guarded", guarded=V0.replace("not startswith", "startswith"))
    said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(weaker)).stderr
    assert "ConfigMap guarded changes what rego-guarded says, which is denied: it may deny less" in " ".join(
        said.split()
    )
    broken = config_map("guarded", guarded="package x\n\ndeny contains msg if {\n")
    said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(broken)).stderr
    assert "data['guarded.rego']: line " in " ".join(said.split())
    bare = config_map("bare", guarded=V0)
    bare["metadata"]["labels"] = {}
    said = cluster.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(bare)).stderr
    assert 'give it the label iocaudit.io/rego: "true"' in " ".join(said.split())
    said = cluster.kubectl("label", "configmap", "-n", "iocaudit", "guarded", "iocaudit.io/rego-").stderr
    assert f"ConfigMap guarded is not read any more, which {lost}" in " ".join(said.split())

    def messages() -> str:
        found = items(cluster, "iocfindings", "-niocaudit")
        return " ".join(str(one["finding"]["message"]) for one in found if "-changed-" in one["metadata"]["name"])

    setting.eventually(lambda: lost in messages(), "the change to be recorded", seconds=180)
    setting.eventually(
        lambda: states(cluster, None, "policy-weakens-guard").get("AuditPolicy/test-named") == "Open",
        "the finding on the policy that denies by what is not there",
        seconds=180,
    )
    cluster.kubectl("label", "configmap", "-n", "iocaudit", "guarded", "iocaudit.io/rego=true")
    setting.eventually(lambda: setting.denied(bad(), "rego-guarded"), "the denial again")
    said = cluster.kubectl("delete", "configmap", "-n", "iocaudit", "guarded").stderr
    assert f"ConfigMap guarded is removed, which {lost}" in " ".join(said.split())


def test_a_waiver_covers_what_a_rule_finds(setting: Setting) -> None:
    waiver = {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "IocWaiver",
        "metadata": {"name": "legacy-image"},
        "spec": {
            "checks": ["rego-registry"],
            "namespaces": ["shop"],
            "names": ["waived"],
            "owner": "team-shop",
            "reason": "until it is mirrored",
            "allowNew": True,
            "expires": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7 * 86400)),
        },
    }
    apply(setting.cluster, waiver)
    setting.eventually(lambda: "denied" not in setting.tried(bad("waived")), "the waiver")
    assert "rego-registry" in setting.tried(bad())


def test_a_rule_in_cel_denies_and_is_found(setting: Setting) -> None:
    validations = [
        {
            "expression": "object.spec.containers.all(c, !c.image.endsWith(':1'))",
            "messageExpression": "'image ' + object.spec.containers[0].image + ' has tag 1'",
        }
    ]
    rule = {"name": "no-tag-one", "cel": {"validations": validations}, "kinds": ["Pod"], "mode": "deny"}
    apply(setting.cluster, policy("test-cel", rule))
    setting.eventually(lambda: setting.denied(bad(), "image evil.example/x:1 has tag 1"), "the denial", seconds=180)
    setting.eventually(
        lambda: states(setting.cluster, "shop", "cel-no-tag-one").get("Pod/legacy") == "Open",
        "the finding",
        seconds=180,
    )


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_while_opa_is_away_rules_fail_in_time_all_else_is_judged_and_it_recovers(
    setting: Setting, what: signal.Signals
) -> None:
    opa = setting.opa_of(setting.webhook_pid)
    assert opa
    os.kill(opa, what)
    begun = time.monotonic()
    said = setting.tried(bad("probe", "hooli.com/x:1"))
    assert time.monotonic() - begun < 20, "the webhook is called with 3 s, and kubectl needs some itself"
    if what is signal.SIGSTOP:
        assert "rego-registry" in said, "a rule that cannot be asked fails, and onFault denies"
        apply(
            setting.cluster,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "meanwhile", "namespace": "shop"}},
        )
    setting.eventually(
        lambda: setting.tried(bad("probe", "hooli.com/x:1")) == "" and setting.denied(bad(), "hooli.com"),
        "the webhook to recover by itself",
        seconds=180,
    )
    assert setting.opa_of(setting.webhook_pid) not in (0, opa)


@pytest.mark.parametrize("module", [SLOW, HUGE], ids=["slow", "huge"])
def test_a_rule_that_takes_too_much_fails_alone_and_the_status_names_it(setting: Setting, module: str) -> None:
    apply(setting.cluster, policy("test-hungry", rego("hungry", module, mode="warn"), onFault="allow"))
    setting.eventually(
        lambda: setting.rules_ready("test-hungry", "RulesFail"), "the status to name the rule", seconds=90
    )
    assert "rego-hungry" in setting.status("test-hungry")["RulesReady"][2]
    setting.cluster.kubectl("delete", "auditpolicy", "test-hungry")
    setting.eventually(
        lambda: setting.tried(bad("probe", "hooli.com/x:1")) == "" and setting.denied(bad(), "hooli.com"),
        "all to be as before",
        seconds=180,
    )


def test_a_broken_rule_is_denied_with_its_place(setting: Setting) -> None:
    said = setting.tried(policy("test-broken", rego("broken", "package x\n\ndeny contains msg if {\n")))
    assert "spec.rules[0].rego.module" in said
    assert "line" in said
