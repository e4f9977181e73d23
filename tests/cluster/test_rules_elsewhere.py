"""Rules in Rego that an OPA elsewhere evaluates, set up as docs/remote-opa says: the operator loads it, and the webhook
asks. What becomes of both while it is away, slow, empty, not ours, or lets one of them in no more."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from iocaudit.engine.languages.rego.preparer import Preparer
from iocaudit.engine.languages.rego.setup import DEFAULT_OWNER, remote
from iocaudit.engine.languages.sources import Engine
from tests.cluster.installing import configurations, install
from tests.cluster.processes import Eventually, apply, kept_running, states
from tests.cluster.ruled import REGISTRY, V0, Setting, bad, policy, rego
from tests.support.engines import engine_program, stock_opa_program
from tests.support.rego import rego_rule
from tests.support.remote_opa import EXAMPLE, RemoteServer

PROGRAM = "from iocaudit.cli.main import main; main()"
GOOD = ("probe", "hooli.com/x:1")
FROM_HOOLI = "does not come from hooli.com"


class Elsewhere(Setting):
    """The same with one OPA that both ask."""

    opa: RemoteServer
    program: Path
    operator_pids: list[int]

    def token(self, who: str) -> Path:
        return self.folder / who / "token"

    def recovers(self) -> bool:
        return self.tried(bad(*GOOD)) == "" and self.denied(bad(), FROM_HOOLI)

    def says(self, text: str) -> bool:
        """Whether the status of the policy says why its rules cannot be evaluated."""
        status, reason, message = self.status("registries").get("RulesReady", ("", "", ""))
        return (status, reason) == ("False", "EngineNotReady") and text in message

    def fails(self, text: str) -> bool:
        """Whether the webhook judges by onFault, and never says that there is nothing wrong."""
        said = self.tried(bad())
        assert said, "it was admitted without a word"
        return text in self.tried(bad(*GOOD))

    def await_loaded(self, seconds: int = 90) -> None:
        self.eventually(self.recovers, "the webhook to judge by its rules again", seconds=seconds)
        self.eventually(lambda: self.rules_ready("registries", "Loaded"), "the status to say so", seconds=seconds)


def run_secrets(cluster: ControlPlane, folder: Path) -> None:
    """Run the script of the example as it stands."""
    kubectl = folder / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.symlink_to(cluster.binaries.kubectl)
    environment = {
        "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "KUBECONFIG": str(cluster.kubeconfig),
        "OPA_NAMES": "DNS:iocaudit-opa.iocaudit.svc,IP:127.0.0.1",
    }
    subprocess.run([EXAMPLE / "secrets.sh"], env=environment, check=True, capture_output=True, timeout=120)


def mount(cluster: ControlPlane, name: str, folder: Path) -> None:
    """Write a Secret as the kubelet does: a file a key."""
    folder.mkdir(exist_ok=True)
    found = json.loads(cluster.kubectl("get", "secret", "-n", "iocaudit", name, "-o", "json").stdout)
    for key, value in found["data"].items():
        (folder / key).write_bytes(base64.b64decode(value))


def flags_of(manifests: list[dict[str, Any]], deployment: str, url: str, folder: Path) -> list[str]:
    """What the example tells a program about OPA, with the places of this test."""
    (found,) = [one for one in manifests if (one["kind"], one["metadata"]["name"]) == ("Deployment", deployment)]
    args: list[str] = found["spec"]["template"]["spec"]["containers"][0]["args"]
    ours = [one for one in args if one.startswith(("--rego", "--opa"))]
    assert len(ours) == 4, args
    local = {"--opa-url=https://iocaudit-opa.iocaudit.svc:8181": f"--opa-url={url}"}
    return [local.get(one, one.replace("=/opa/", f"={folder}/")) for one in ours]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, eventually: Eventually) -> Iterator[Elsewhere]:
    opa = engine_program(Engine.OPA)
    folder = tmp_path_factory.mktemp("elsewhere")
    with ControlPlane() as cluster:
        install(cluster, "warn")
        cluster.kubectl("create", "namespace", "shop")
        run_secrets(cluster, folder)
        manifests = list(yaml.safe_load_all(cluster.kubectl("kustomize", str(EXAMPLE)).stdout))
        ours = [one for one in manifests if "opa" in one["metadata"]["name"]]
        apply(cluster, *ours)
        found = Elsewhere(cluster, folder, eventually)
        found.program, found.opa = opa, RemoteServer(folder / "server", free_port())
        mount(cluster, "iocaudit-opa-tls", folder / "server")
        mount(cluster, "iocaudit-opa-clients", folder / "server")
        mount(cluster, "iocaudit-opa-loads", folder / "loads")
        mount(cluster, "iocaudit-opa-asks", folder / "asks")
        shutil.copy(folder / "loads" / "ca.crt", folder / "server" / "ca.crt")
        (authz,) = [one for one in ours if one["kind"] == "ConfigMap"]
        (folder / "server" / "authz.rego").write_text(authz["data"]["authz.rego"])
        found.opa.start(opa)
        operator = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-operator")
        webhook = cluster.serviceaccount_kubeconfig("iocaudit", "iocaudit-admission")
        certificates, url, receiver = folder / "certificates", f"https://127.0.0.1:{free_port()}", free_port()
        apply(cluster, policy("registries", rego("registry", REGISTRY), rego("old-registry", V0)), bad("legacy"))
        try:
            with (
                kept_running(
                    PROGRAM,
                    folder / "operator.log",
                    *("operator", "--kubeconfig", operator, "--namespace=iocaudit", "--webhook-url", url),
                    *("--certificate-folder", certificates, "--health-host=127.0.0.1", "--health-port=0"),
                    *("--metrics-host=127.0.0.1", "--metrics-port", found.operator_metrics),
                    *("--attempts-host=127.0.0.1", "--attempts-port", receiver),
                    *flags_of(manifests, "iocaudit-operator", found.opa.url, folder / "loads"),
                ) as pids,
                kept_running(
                    PROGRAM,
                    folder / "webhook.log",
                    *("webhook", "--kubeconfig", webhook, "--namespace=iocaudit", "--host=127.0.0.1"),
                    *("--port", url.rpartition(":")[2], "--certificates", certificates, "--health-port=0"),
                    *("--metrics-port", found.webhook_metrics, "--drain-seconds=0"),
                    *("--attempts-url", f"https://127.0.0.1:{receiver}"),
                    *flags_of(manifests, "iocaudit-admission", found.opa.url, folder / "asks"),
                ),
            ):
                found.operator_pids = pids
                eventually(lambda: len(configurations(cluster)) == 1, "the webhook configuration", seconds=120)
                eventually(lambda: found.denied(bad(), FROM_HOOLI), "a denial by the rule", seconds=90)
                yield found
        finally:
            found.opa.kill()


def test_the_example_is_what_an_api_server_takes(setting: Elsewhere) -> None:
    found = json.loads(
        setting.cluster.kubectl("get", "deployments,networkpolicies,services", "-n", "iocaudit", "-o", "json").stdout
    )
    names = {(one["kind"], one["metadata"]["name"]) for one in found["items"]}
    wanted = {("Deployment", "iocaudit-opa"), ("Service", "iocaudit-opa"), ("NetworkPolicy", "iocaudit-to-opa")}
    assert wanted <= names


def test_both_syntaxes_deny_and_the_operator_finds(setting: Elsewhere) -> None:
    said = setting.tried(bad())
    assert "image evil.example/x:1 does not come from hooli.com" in said
    assert "rego-registry" in said
    assert "rego-old-registry" in said
    assert setting.tried(bad(*GOOD)) == ""
    for check in ("rego-registry", "rego-old-registry"):
        setting.eventually(
            lambda check=check: states(setting.cluster, "shop", check).get("Pod/legacy") == "Open",
            f"the finding of {check}",
            seconds=180,
        )
    assert setting.status("registries")["RulesReady"] == ("True", "Loaded", "2 rules are evaluated")
    assert "deny contains msg if" in setting.status("registries")["Converted"][2]
    assert setting.opa_of(setting.operator_pids[-1]) == 0, "no OPA is started beside the one elsewhere"


def test_a_module_that_reaches_out_is_refused(setting: Elsewhere) -> None:
    module = 'package x\n\ndeny contains "x" if http.send({"method": "get", "url": "http://127.0.0.1"}).status_code\n'
    said = setting.tried(policy("test-reaching", rego("reaching", module)))
    assert "http.send" in said
    assert "spec.rules[0].rego.module" in said


def test_one_that_ends_and_comes_back_empty_counts_once_it_is_loaded_again(setting: Elsewhere) -> None:
    setting.opa.kill()
    assert setting.fails("cannot be reached")
    setting.eventually(lambda: setting.says("cannot be reached"), "the status to say that it is away", seconds=180)
    assert setting.opa.url in setting.status("registries")["RulesReady"][2]
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "meanwhile", "namespace": "shop"}}
    apply(setting.cluster, other)
    loader = setting.operator_pids[-1]
    os.kill(loader, signal.SIGSTOP)  # nobody loads it
    try:
        setting.opa.start(setting.program)
        setting.eventually(lambda: setting.fails("does not have"), "the webhook to say what it lacks", seconds=180)
    finally:
        os.kill(loader, signal.SIGCONT)
    until = time.monotonic() + 120
    while not setting.recovers():
        assert setting.tried(bad()), "an OPA without its rules never says that there is nothing wrong"
        assert time.monotonic() < until
        time.sleep(0.3)
    setting.await_loaded()


def test_one_that_is_slow_fails_in_time_and_is_told(setting: Elsewhere) -> None:
    setting.opa.send(signal.SIGSTOP)
    try:
        assert setting.fails("did not answer")
        setting.eventually(lambda: setting.says("did not answer within"), "the status to say so", seconds=90)
    finally:
        setting.opa.send(signal.SIGCONT)
    setting.await_loaded()


def test_another_owner_does_not_disturb_and_one_of_the_same_name_is_noticed(setting: Elsewhere) -> None:
    server = setting.folder / "server"
    preparer = Preparer(setting.program)
    loader = remote(setting.opa.url, preparer, token_file=setting.token("loads"), ca_file=server / "ca.crt", loads=True)
    try:
        for number in range(6):  # as the operator of a cluster that was given the same name
            loader.load([rego_rule(f'package a\n\ndeny contains "{number}"\n')])
            assert setting.tried(bad()), "what another has loaded is never taken for ours"
    finally:
        loader.close()
    setting.await_loaded()
    assert DEFAULT_OWNER == "iocaudit", "which the file of clients names"


def test_a_wrong_token_is_told_and_a_right_one_is_taken_without_a_restart(setting: Elsewhere) -> None:
    for who in ("asks", "loads"):
        token = setting.token(who)
        right = token.read_text()
        token.write_text("not-a-token-of-anyone")
        try:
            if who == "asks":
                setting.eventually(lambda: setting.fails("refuses our token"), "the webhook to say so", seconds=180)
            else:
                setting.eventually(lambda: setting.says("refuses our token"), "the status to say so", seconds=180)
                assert setting.tried(bad(*GOOD)) == "", "what was loaded is there all the same"
        finally:
            token.write_text(right)
        setting.await_loaded()


def test_one_by_which_rules_could_reach_out_gets_none(setting: Elsewhere, tmp_path: Path) -> None:
    stock = stock_opa_program(tmp_path)
    setting.opa.kill()
    setting.opa.start(stock)
    try:
        setting.eventually(lambda: setting.says("has http.send"), "the status to say why it is refused", seconds=180)
        assert setting.fails("does not have")
    finally:
        setting.opa.kill()
        setting.opa.start(setting.program)
    setting.await_loaded()
