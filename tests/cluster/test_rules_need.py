"""Rules that look other objects up, on a real API server: of kinds that nothing else reads, served or not, allowed or
not. Webhook, operator and the command line say the same, and what was missing is taken up without a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.engine.languages.sources import Engine
from tests.cluster.installing import configurations, install
from tests.cluster.processes import START_WITH_WEBHOOK, WEBHOOK, Eventually, apply, metrics_of, program, states
from tests.cluster.ruled import Setting, bad, policy, rego
from tests.support.engines import engine_program

Json = dict[str, Any]
TEAM = """package team

deny contains msg if {
    name := object.get(input.request.object.metadata, ["labels", "team"], "")
    not data.inventory.cluster["platform.example.com/v1"].Team[name]
    msg := sprintf("team %q is not one of the platform's", [name])
}
"""
QUOTA = """package quota

deny contains "its namespace has no ResourceQuota" if {
    not data.inventory.namespace[input.request.namespace].v1.ResourceQuota
}
"""
HOSTS = """package hosts

deny contains {"msg": msg, "path": "spec.rules"} if {
    some rule in input.request.object.spec.rules
    some namespace, versions in data.inventory.namespace
    some name, other in versions["networking.k8s.io/v1"].Ingress
    [namespace, name] != [input.request.namespace, input.request.object.metadata.name]
    some taken in other.spec.rules
    taken.host == rule.host
    msg := sprintf("host %v is taken by Ingress %v/%v", [rule.host, namespace, name])
}
"""
NEEDS_TEAMS = rego("team", TEAM, needs=["Team.platform.example.com"])
CRD: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "teams.platform.example.com"},
    "spec": {
        "group": "platform.example.com",
        "scope": "Cluster",
        "names": {"plural": "teams", "singular": "team", "kind": "Team", "listKind": "TeamList"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
RED: Json = {"apiVersion": "platform.example.com/v1", "kind": "Team", "metadata": {"name": "red"}}
GRANT = "iocaudit manifests --rules-need teams.platform.example.com"


def of_team(name: str, team: str) -> Json:
    found = bad(name, "hooli.com/x:1")
    found["metadata"]["labels"] = {"team": team}
    return found


def ingress(namespace: str, name: str, host: str) -> Json:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rules": [rule]},
    }


def cli(*arguments: str) -> str:
    """What the command line prints; a scan with findings exits with 1."""
    command = [sys.executable, "-m", "iocaudit.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, eventually: Eventually) -> Iterator[Setting]:
    engine_program(Engine.OPA)
    folder = tmp_path_factory.mktemp("needs")
    with ControlPlane() as cluster:
        install(cluster, "warn")
        cluster.kubectl("create", "namespace", "shop")
        found = Setting(cluster, folder, eventually)
        operator = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator")
        webhook = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-admission")
        certificates, url, receiver = folder / "certificates", f"https://127.0.0.1:{free_port()}", free_port()
        apply(cluster, of_team("legacy", "blue"), of_team("known", "red"))
        ports = (found.operator_metrics, found.webhook_metrics)
        with (
            program(START_WITH_WEBHOOK, folder / "operator.log", operator, url, certificates, ports[0], receiver),
            program(WEBHOOK, folder / "webhook.log", webhook, url, certificates, ports[1], receiver),
        ):
            eventually(lambda: len(configurations(cluster)) == 1, "the webhook configuration", seconds=120)
            yield found


def test_a_kind_of_others_is_followed_as_soon_as_it_is_served_and_allowed(setting: Setting, tmp_path: Path) -> None:
    cluster = setting.cluster
    wanted = policy("teams", NEEDS_TEAMS, onIncomplete="deny")
    apply(cluster, wanted)

    def says(*texts: str) -> bool:
        status, reason, message = setting.status("teams").get("RulesReady", ("", "", ""))
        return (status, reason) == ("False", "NeedsMissing") and all(text in message for text in texts)

    setting.eventually(lambda: says("rego-team is skipped", "serves no such kind"), "the status", seconds=90)
    setting.eventually(
        lambda: setting.denied(of_team("new", "red"), "serves no such kind"), "the webhook to say so", seconds=180
    )
    apply(cluster, CRD)
    cluster.kubectl("wait", "--for=condition=Established", "crd/teams.platform.example.com", "--timeout=60s")
    apply(cluster, RED)
    setting.eventually(lambda: says("forbidden", GRANT), "the status to say what grants it", seconds=120)
    setting.eventually(lambda: setting.denied(of_team("new", "red"), GRANT), "the webhook to say it", seconds=120)

    cluster.kubectl("create", "clusterrole", "teams", "--verb=get,list,watch", "--resource=teams.platform.example.com")
    account = "--serviceaccount=iocaudit:iocaudit-operator"
    cluster.kubectl("create", "clusterrolebinding", "teams", "--clusterrole=teams", account)
    setting.eventually(
        lambda: says("the webhook may not list teams.platform.example.com", GRANT), "what is left", seconds=120
    )
    cluster.kubectl("apply", "--server-side", "-f", "-", input=cli("manifests", *GRANT.split()[2:]))
    setting.eventually(lambda: setting.tried(of_team("new", "red")) == "", "the webhook to know the team", seconds=120)
    setting.eventually(lambda: setting.rules_ready("teams", "Loaded"), "the status to be well again", seconds=120)
    said = 'team "blue" is not one of the platform'
    assert setting.denied(of_team("new", "blue"), said)
    setting.eventually(
        lambda: states(cluster, "shop", "rego-team").get("Pod/legacy") == "Open", "the finding", seconds=120
    )
    assert "Pod/known" not in states(cluster, "shop", "rego-team")

    files = tmp_path / "objects.yaml"
    objects = [of_team("legacy", "blue"), of_team("known", "red"), RED]
    files.write_text("---\n".join(json.dumps(one) + "\n" for one in objects))
    (tmp_path / "policy.yaml").write_text(json.dumps(wanted))
    given = ("--policy", str(tmp_path / "policy.yaml"), "-o", "json")
    for where in ((str(files),), ("--cluster", "--kubeconfig", str(cluster.kubeconfig))):
        report = json.loads(cli("scan", *where, *given))
        found = {
            one["subject"]["name"]: one["message"]
            for one in report["findings"]
            if (one["check"], one["subject"].get("namespace")) == ("rego-team", "shop")
        }
        assert found.keys() == {"legacy"}, where
        assert said in found["legacy"]

    assert [name for name in metrics_of(setting.webhook_metrics) if "watch Team.platform.example.com" in name]
    cluster.kubectl("delete", "team", "red")
    setting.eventually(lambda: setting.denied(of_team("new", "red"), 'team "red"'), "the change", seconds=180)
    setting.eventually(
        lambda: states(cluster, "shop", "rego-team").get("Pod/known") == "Open", "the finding", seconds=120
    )
    cluster.kubectl("delete", "auditpolicy", "teams")
    setting.eventually(lambda: setting.tried(of_team("new", "blue")) == "", "the rule to go", seconds=180)
    watch = "watch Team.platform.example.com"
    setting.eventually(
        lambda: not [name for name in metrics_of(setting.webhook_metrics) if watch in name], "its watch to end"
    )


def test_a_kind_that_only_the_operator_reads_is_followed_by_the_webhook_once_it_may(setting: Setting) -> None:
    cluster = setting.cluster
    apply(cluster, policy("quotas", rego("quota", QUOTA, needs=["ResourceQuota"]), onIncomplete="deny"))
    setting.eventually(
        lambda: setting.denied(of_team("new", "red"), "--rules-need resourcequotas"),
        "the webhook to say it",
        seconds=90,
    )
    setting.eventually(
        lambda: "the webhook may not list resourcequotas" in setting.status("quotas")["RulesReady"][2],
        "the status to say it",
        seconds=90,
    )
    cluster.kubectl("apply", "--server-side", "-f", "-", input=cli("manifests", "--rules-need", "resourcequotas"))
    setting.eventually(
        lambda: setting.denied(of_team("new", "red"), "its namespace has no ResourceQuota"), "the rule", seconds=120
    )
    cluster.kubectl("create", "quota", "shop", "-n", "shop", "--hard=pods=50")
    setting.eventually(lambda: setting.tried(of_team("new", "red")) == "", "the quota to be seen", seconds=180)
    cluster.kubectl("delete", "auditpolicy", "quotas")


def test_a_host_is_taken_once(setting: Setting) -> None:
    cluster = setting.cluster
    apply(cluster, policy("hosts", rego("host", HOSTS, kinds=["Ingress"], needs=["Ingress"])))
    apply(cluster, ingress("shop", "first", "shop.hooli.com"))
    text = "host shop.hooli.com is taken by Ingress shop/first"
    setting.eventually(lambda: setting.denied(ingress("default", "second", "shop.hooli.com"), text), "it", seconds=90)
    assert not setting.denied(ingress("default", "second", "other.hooli.com"), "taken")
    assert not setting.denied(ingress("shop", "first", "shop.hooli.com"), "taken"), "it is the same Ingress"
    cluster.kubectl("delete", "auditpolicy", "hosts")


def test_secrets_are_never_looked_up(setting: Setting) -> None:
    said = setting.tried(policy("secrets", rego("secret", TEAM, needs=["Secret"])))
    assert "Secrets are never read" in said
