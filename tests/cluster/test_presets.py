"""Presets and policies in a cluster: what each stops, and for whom; what it costs while the webhook is away."""

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
from tests.support.policies import preset_policy

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
        apply(cluster, *TEAMS)  # before anything is registered that could refuse them while nobody answers
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


# -- policies that select by who asks for what ----------------------------------------------------------------

TEAMS: tuple[Json, ...] = tuple(
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "teams", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "contractors"},
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "staff"},
            {"kind": "ServiceAccount", "name": "default", "namespace": "bar"},
        ],
    }
    for namespace in NAMESPACES
)
EVE, BOB = ("--as=eve", "--as-group=contractors"), ("--as=bob", "--as-group=staff")


def selecting(name: str, *checks: str, priority: int = 0, mode: str = "deny", **match: Any) -> Json:
    found = preset_policy("warn", name)
    found["spec"] = {"priority": priority, "match": match, "checks": [{"ids": list(checks), "mode": mode}]}
    return found


def deployed(namespace: str, **container: Any) -> Json:
    labels = {"app": "web"}
    spec = {"containers": [{"name": "app", "image": "hooli.com/web:1.4", **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def by(guarded: Guarded, body: Json, *who: str, kubeconfig: Path | None = None, verb: str = "create") -> str:
    """What is said to somebody who makes or changes an object, in a dry run."""
    answer = guarded.cluster.kubectl(
        verb, "--dry-run=server", "-f", "-", *who, input=json.dumps(body), check=False, kubeconfig=kubeconfig
    )
    return answer.stderr if answer.returncode != 0 else f"made {answer.stderr}"


def registered(guarded: Guarded, name: str = "deny") -> dict[str, set[str]]:
    """Which resources a webhook is asked about, by operation."""
    found: dict[str, set[str]] = {}
    for rule in guarded.webhooks().get(name, {}).get("rules", ()):
        for operation in rule["operations"]:
            found.setdefault(operation, set()).update(rule["resources"])
    return found


def test_a_policy_binds_those_whom_it_names_and_nobody_else(guarded: Guarded, tmp_path: Path) -> None:
    """Impersonated users and groups, and a ServiceAccount by its token, as the API server tells them to the webhook."""
    account = {"kind": "ServiceAccount", "name": "def*", "namespace": "ba?"}
    bound = selecting("bound", "privileged-container", subjects=[{"kind": "Group", "name": "contract*"}, account])
    bound["spec"]["match"]["excludeSubjects"] = [{"kind": "User", "name": "mallory"}]
    token = guarded.cluster.kubectl("create", "token", "default", "-nbar").stdout.strip()
    config = json.loads(guarded.cluster.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout)
    config["users"] = [{"name": one["name"], "user": {"token": token}} for one in config["users"]]
    robot = tmp_path / "robot"
    robot.write_text(json.dumps(config))
    with guarded.answering():
        guarded.use(preset_policy("warn"), bound)
        guarded.eventually(lambda: DENIED in by(guarded, privileged("shop"), *EVE), "the policy", seconds=60)
        said = by(guarded, privileged("shop"), *EVE)
        assert "(by policy bound, for requests like this one)" in said
        assert DENIED in by(guarded, deployed("shop", securityContext={"privileged": True}), *EVE)
        assert DENIED in by(guarded, privileged("shop"), kubeconfig=robot)
        for who in (BOB, ("--as=mallory", "--as-group=contractors"), ()):
            assert by(guarded, privileged("shop"), *who).startswith("made Warning: [critical]"), who
        # Registration knows no users: while nobody answers, what may be denied to some is refused to all.
        assert {"pods", "deployments"} <= registered(guarded)["CREATE"]
        assert "Everywhere" not in guarded.condition("bound", "FailsClosed")
        # What stands has no requester: the operator goes by the other policies.
        guarded.use(selecting("bound", "privileged-container", mode="off", subjects=bound["spec"]["match"]["subjects"]))
        guarded.eventually(lambda: by(guarded, privileged("shop"), *EVE) == "made ", "off for some", seconds=60)
        assert by(guarded, privileged("shop"), *BOB).startswith("made Warning: [critical]")
        answer = guarded.cluster.kubectl("create", "-f", "-", *EVE, input=json.dumps(privileged("shop")))
        assert "created" in answer.stdout
        try:
            guarded.eventually(
                lambda: open_severities(guarded, "privileged-container") == ["critical"],
                "the finding, whoever made it",
                seconds=30,
            )
        finally:
            guarded.cluster.kubectl("delete", "pod", "bad", "-nshop", "--force", "--grace-period=0")


def open_severities(guarded: Guarded, check: str) -> list[str]:
    """Of the open findings of a check in namespace shop."""
    found = (one["finding"] for one in items(guarded.cluster, "iocfindings", "-nshop"))
    return [one["severity"] for one in found if one["check"] == check and one["state"] == "Open"]


def test_a_policy_for_kinds_and_operations_is_asked_about_those_alone(guarded: Guarded) -> None:
    bad = {"securityContext": {"privileged": True}}
    with guarded.answering():
        guarded.use(preset_policy("warn"), selecting("some", "privileged-container", kinds=["Deployment"]))
        guarded.eventually(lambda: DENIED in by(guarded, deployed("shop", **bad), *BOB), "the policy", seconds=60)
        alone = {"CREATE": {"deployments"}, "UPDATE": {"deployments"}}
        guarded.eventually(lambda: registered(guarded) == alone, "the registration", seconds=60)
        assert by(guarded, privileged("shop"), *BOB).startswith("made Warning: [critical]")
        guarded.eventually(lambda: "and not Pod" in guarded.condition("some", "Warning"), "the caution", seconds=30)

        # A policy for Pods is for whatever holds a template of them: a Deployment brings nothing in by the back door.
        guarded.use(
            preset_policy("warn"), selecting("some", "privileged-container", kinds=["Pod"], operations=["UPDATE"])
        )
        guarded.eventually(lambda: "CREATE" not in registered(guarded), "the registration", seconds=60)
        assert {"pods", "pods/ephemeralcontainers", "deployments", "cronjobs"} <= registered(guarded)["UPDATE"]
        assert "rolebindings" not in registered(guarded)["UPDATE"]
        guarded.eventually(lambda: by(guarded, deployed("shop", **bad), *BOB).startswith("made Warning"), "no denial")
        guarded.cluster.kubectl("create", "-f", "-", *BOB, input=json.dumps(deployed("shop")))
        try:
            changed = by(guarded, deployed("shop", **bad), *BOB, verb="replace")
            assert DENIED in changed
            assert "(by policy some, for requests like this one)" in changed
        finally:
            guarded.cluster.kubectl("delete", "deployment", "web", "-nshop")
        told = by(guarded, selecting("some", "privileged-container", operations=["CREATE"]), verb="replace")
        assert "operations names CREATE and not UPDATE" in told
        # While nobody answers, making a Deployment goes on, and changing one does not.
    assert by(guarded, deployed("shop"), *BOB).startswith("made ")
    guarded.cluster.kubectl("delete", "auditpolicy", "some")


def test_a_session_is_denied_to_some(guarded: Guarded) -> None:
    bound = selecting(
        "sessions",
        "exec-session",
        operations=["CONNECT"],
        kinds=["PodExecOptions"],
        subjects=[{"kind": "Group", "name": "contractors"}],
        namespaces=["shop"],
    )

    def session(who: tuple[str, ...]) -> str:
        return guarded.cluster.kubectl("exec", "web", "-nshop", *who, "--", "sh", check=False).stderr

    try:
        with guarded.answering():
            guarded.use(preset_policy("warn"), bound)
            guarded.cluster.kubectl("create", "-f", "-", input=json.dumps(pod("shop", "web")))
            guarded.eventually(lambda: DENIED in session(EVE), "the policy", seconds=60)
            assert registered(guarded) == {"CONNECT": {"pods/exec"}}
            (selected,) = guarded.webhooks()["deny"]["namespaceSelector"]["matchExpressions"]
            assert (selected["operator"], selected["values"]) == ("In", ["shop"])
            assert "does not have a host assigned" in session(BOB)
    finally:
        guarded.cluster.kubectl("delete", "pod", "web", "-nshop", "--force", "--grace-period=0", "--ignore-not-found")


def test_a_kind_or_an_operation_that_nothing_looks_at_is_refused_at_once(guarded: Guarded) -> None:
    with guarded.answering():
        odd = selecting("odd", "privileged-container", kinds=["Deploymnt"])
        guarded.eventually(lambda: "denied the request" in guarded.tried(odd), "the webhook to be called", seconds=60)
        assert "spec.match.kinds[0]: no check looks at objects of kind 'Deploymnt' (did you mean Deployment?)" in (
            guarded.tried(odd)
        )
        wide = selecting("odd", "cluster-admin-binding", kinds=["ClusterRoleBinding"], namespaces=["shop"])
        assert "ClusterRoleBinding is of cluster scope: set clusterScoped: true as well" in guarded.tried(wide)
