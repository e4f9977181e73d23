"""Presets in a cluster: what each stops, what it costs where the webhook is away, and what a policy's status says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.ports import free_port
from tests.cluster.installing import configurations, install_crds
from tests.cluster.processes import (
    START_WITH_WEBHOOK,
    WEBHOOK,
    Eventually,
    Json,
    apply,
    items,
    pod,
    program,
)
from tests.policies import preset_policy

AWAY = 'failed calling webhook "deny.iocaudit.io"'
DENIED = 'admission webhook "deny.iocaudit.io" denied the request'
BINDING: Json = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "ops"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
}
ROLE: Json = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "approver"},
    "rules": [
        {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve", "sign"]},
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests/approval"],
            "verbs": ["update"],
        },
    ],
}
NAMESPACES = ("shop", "bar")
DEFAULT = "iocaudit-default"


def privileged(namespace: str) -> Json:
    body = pod(namespace, "bad")
    body["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    return body


class Guarded:
    """A control plane with the operator and, while ``answering``, the webhook."""

    def __init__(self, cluster: ControlPlane, folder: Path, eventually: Eventually) -> None:
        self.cluster, self.eventually, self._folder = cluster, eventually, folder
        self._arguments: tuple[object, ...] = (
            cluster.kubeconfig,
            f"https://127.0.0.1:{free_port()}",
            folder / "certificates",
            0,
            free_port(),
        )

    @contextlib.contextmanager
    def operating(self) -> Iterator[None]:
        with program(START_WITH_WEBHOOK, self._folder / "operator.log", *self._arguments):
            yield

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        with program(WEBHOOK, self._folder / "webhook.log", *self._arguments):
            yield

    def tried(self, body: Json) -> str:
        """What is said to making an object, in a dry run."""
        answer = self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(body), check=False)
        return answer.stderr if answer.returncode != 0 else f"made {answer.stderr}"

    def use(self, *policies: Json) -> None:
        """Have these policies and no others in force, in the webhook and in what is registered."""
        wanted = {policy["metadata"]["name"] for policy in policies}
        for there in items(self.cluster, "auditpolicies"):
            if there["metadata"]["name"] not in wanted:
                self.cluster.kubectl("delete", "auditpolicy", there["metadata"]["name"])
        apply(self.cluster, *policies)

    def webhooks(self) -> dict[str, Json]:
        found = configurations(self.cluster)
        return {webhook["name"].partition(".")[0]: webhook for one in found for webhook in one["webhooks"]}

    def policy(self, name: str) -> Json:
        found: Json = json.loads(self.cluster.kubectl("get", "auditpolicy", name, "-o", "json").stdout)
        return found

    def condition(self, name: str, kind: str) -> str:
        conditions = self.policy(name).get("status", {}).get("conditions", [])
        return next((f"{one['status']} {one['message']}" for one in conditions if one["type"] == kind), "")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, eventually: Eventually) -> Iterator[Guarded]:
    with ControlPlane() as cluster:
        install_crds(cluster, None)
        for name in ("iocaudit", *NAMESPACES):
            cluster.kubectl("create", "namespace", name)
        for name in NAMESPACES:
            eventually(
                lambda name=name: cluster.kubectl("get", "sa", "default", f"-n{name}", check=False).returncode == 0,
                "its account",
            )
        found = Guarded(cluster, tmp_path_factory.mktemp("guarded"), eventually)
        with found.operating():
            yield found


def in_shop(preset: str) -> Json:
    policy = preset_policy(preset, "shop")
    policy["spec"] |= {"priority": 10, "match": {"namespaces": ["shop"]}}
    return policy


def test_warn_stops_nothing_with_the_webhook_or_without_it(guarded: Guarded) -> None:
    guarded.use(preset_policy("warn"))
    with guarded.answering():
        guarded.eventually(lambda: "observe" in guarded.webhooks(), "the webhook configuration", seconds=60)
        guarded.eventually(lambda: "privileged" in guarded.tried(privileged("shop")), "the webhook to be called")
        assert "deny" not in guarded.webhooks()
        for body in (privileged("shop"), privileged("bar"), BINDING, ROLE):
            assert guarded.tried(body).startswith("made Warning: "), body
    for body in (privileged("shop"), privileged("bar"), BINDING, ROLE):
        assert guarded.tried(body) == "made ", body


def test_guard_for_one_namespace_stops_that_one_alone(guarded: Guarded) -> None:
    guarded.use(preset_policy("warn"), in_shop("guard"))
    with guarded.answering():
        guarded.eventually(lambda: DENIED in guarded.tried(privileged("shop")), "guard to be in force", seconds=60)
        (selected,) = guarded.webhooks()["deny"]["namespaceSelector"]["matchExpressions"]
        assert (selected["operator"], selected["values"]) == ("In", ["shop"])
        assert {rule["scope"] for rule in guarded.webhooks()["deny"]["rules"]} == {"Namespaced"}
        for body in (privileged("bar"), BINDING, ROLE):
            assert guarded.tried(body).startswith("made Warning: "), body
    assert AWAY in guarded.tried(privileged("shop"))
    assert AWAY in guarded.tried(pod("shop", "good")), "what cannot be judged is refused where something is denied"
    for body in (privileged("bar"), BINDING, ROLE):
        assert guarded.tried(body) == "made ", body


@pytest.mark.parametrize(("preset", "denied"), [("observe", 0), ("guard", 2), ("lockdown", 3)])
def test_what_each_preset_denies_everywhere(guarded: Guarded, preset: str, denied: int) -> None:
    bodies = (privileged("bar"), BINDING, ROLE)
    guarded.use(preset_policy(preset))

    def outcome() -> list[str]:
        return ["denied" if DENIED in said else said for said in map(guarded.tried, bodies)]

    with guarded.answering():
        rest = "made " if preset == "observe" else None
        guarded.eventually(lambda: outcome().count("denied") == denied, f"{preset} to be in force", seconds=60)
        if rest is not None:
            guarded.eventually(lambda: outcome() == [rest] * 3, "no warning either", seconds=30)


def test_the_status_says_where_it_holds_what_escapes_and_what_it_costs(guarded: Guarded) -> None:
    named: Json = {
        **preset_policy("warn", "legacy"),
        "spec": {"checks": [{"ids": ["privileged-container"], "mode": "warn"}]},
    }
    named["spec"]["match"] = {"namespaces": ["shop", "shpo"]}
    with guarded.answering():
        guarded.use(preset_policy("guard"), named)

        def said() -> bool:
            return (
                guarded.condition("legacy", "Matches").startswith("True matches 1 of ")
                and "there is no namespace shpo" in guarded.condition("legacy", "Matches")
                and "1 check escapes it: privileged-container (legacy)"
                in guarded.condition("iocaudit-default", "Preset")
                and "in every namespace but kube-system" in guarded.condition("iocaudit-default", "FailsClosed")
            )

        guarded.eventually(said, "the statuses", seconds=60)
        there = len(items(guarded.cluster, "namespaces"))
        assert guarded.policy(DEFAULT)["status"]["namespaces"] == there
        assert guarded.policy("legacy")["status"]["namespaces"] == 1
        guarded.cluster.kubectl("create", "namespace", "shpo")
        guarded.eventually(lambda: guarded.policy("legacy")["status"]["namespaces"] == 2, "the namespace to count")
        guarded.use(preset_policy("guard"), in_shop("guard"), named)


UNKNOWN: tuple[tuple[dict[str, Any], str], ...] = (
    ({"match": {"namespace": ["shop"]}}, "spec.match.namespace: there is no such field (did you mean namespaces?)"),
    ({"checks": [{"ids": ["privilegd-container"]}]}, "there is no check 'privilegd-container' (did you mean priv"),
    ({"checks": [{"groups": ["pod"]}]}, "'pod' is not one of "),
)


def test_every_unknown_word_is_refused_at_once_and_found_where_the_webhook_was_away(guarded: Guarded) -> None:
    body = preset_policy("warn", "odd")
    body["spec"] |= {
        "match": {"namespace": ["shop"]},
        "checks": [{"ids": ["privilegd-container"]}, {"groups": ["pod"], "mode": "warn"}],
    }
    with guarded.answering():
        guarded.eventually(lambda: "denied the request" in guarded.tried(body), "the webhook to be called", seconds=60)
        said = guarded.tried(body)
        for _, words in UNKNOWN:
            assert words in said
        lenient = guarded.cluster.kubectl(
            "create", "--dry-run=server", "--validate=false", "-f", "-", input=json.dumps(body), check=False
        )
        assert "there is no such field (did you mean namespaces?)" in lenient.stderr
    apply(guarded.cluster, body)
    guarded.eventually(
        lambda: all(words in guarded.condition("odd", "Accepted") for _, words in UNKNOWN), "the status", seconds=30
    )
    assert guarded.condition("odd", "Accepted").startswith("False ")
    guarded.cluster.kubectl("delete", "auditpolicy", "odd")
