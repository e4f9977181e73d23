"""A policy under rollout on a real control plane: counted, promoted, taken back, and nothing to revert for GitOps."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from iocaudit.engine.rollout import order_of
from tests.cluster.installing import install
from tests.cluster.test_attempts import Installed, pod
from tests.support.policies import preset_policy

Json = dict[str, Any]
Eventually = Callable[..., None]
NAME = "lockdown-apps"
NAMESPACES = sorted(("shop", "pay", "lab"), key=lambda name: order_of(NAME, name))
"""In the order in which the policy is rolled out."""
FLUX = "system:serviceaccount:flux-system:kustomize-controller"


def policy(**rollout: Any) -> Json:
    return {
        "apiVersion": "iocaudit.io/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "priority": 10,
            "preset": "lockdown",
            "checks": [{"ids": ["escalation-verb"], "mode": "deny"}],
            "match": {"namespaces": NAMESPACES},
            "rollout": {"after": "6s", "protect": ["flux-system"]} | rollout,
        },
    }


def escalation(namespace: str, name: str = "role") -> Json:
    """A role that gives itself any right: denied by the policy, and nothing that preset guard denies."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]}],
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, eventually: Eventually) -> Iterator[Installed]:
    with ControlPlane() as cluster:
        install(cluster)
        cluster.kubectl("apply", "-f", "-", input=json.dumps(preset_policy("warn")))
        for name in (*NAMESPACES, "flux-system"):
            cluster.kubectl("create", "namespace", name)
        found = Installed(cluster, tmp_path_factory.mktemp("rollouts"))
        try:
            found.start_operator()
            found.webhook.start()
            yield found
        finally:
            found.close()


def apply_as_gitops(installed: Installed, body: Json) -> None:
    installed.cluster.kubectl("apply", "--server-side", "--field-manager=gitops", "-f", "-", input=json.dumps(body))


def rollout(installed: Installed) -> Json:
    found = json.loads(installed.cluster.kubectl("get", "auditpolicy", NAME, "-o", "json").stdout)
    status: Json = found.get("status", {}).get("rollout", {})
    return status


def fails_closed_in(installed: Installed) -> list[str]:
    text = installed.cluster.kubectl("get", "validatingwebhookconfiguration", "iocaudit", "-o", "json", check=False)
    webhooks = json.loads(text.stdout)["webhooks"] if text.returncode == 0 else []
    deny = [one for one in webhooks if one["failurePolicy"] == "Fail"]
    return sorted(deny[0]["namespaceSelector"]["matchExpressions"][0]["values"]) if deny else []


def test_a_policy_is_rolled_out_by_stages(installed: Installed, eventually: Eventually) -> None:
    first, *rest = NAMESPACES
    held = rest[-1]
    eventually(
        lambda: (
            "escalation-verb"
            in installed.cluster.kubectl(
                "apply", "-f", "-", "--dry-run=server", input=json.dumps(escalation(first)), check=False
            ).stderr
        ),
        "the API server to call the webhook",
        seconds=60,
    )
    apply_as_gitops(installed, policy(first="30%"))
    eventually(lambda: rollout(installed).get("stage") == "Counting", "the rollout to begin")
    assert fails_closed_in(installed) == []
    # Admitted, warned about, and counted: this namespace is held for as long as it goes on.
    number, begun = 0, time.monotonic()

    def goes_on(until: Callable[[], bool]) -> bool:
        nonlocal number
        number += 1
        assert installed.apply(escalation(held, f"role-{number}"))
        return until()

    eventually(
        lambda: goes_on(lambda: rollout(installed).get("stage") == "First"),
        "the first share to be promoted",
        seconds=60,
    )
    assert time.monotonic() - begun > 6
    found = rollout(installed)
    assert order_of(NAME, first) < found["cut"]
    (hold,) = found["holds"]
    assert hold["namespace"] == held
    assert hold["who"][0]["check"] == "escalation-verb"
    assert hold["who"][0]["target"].startswith("Role/role-")
    eventually(lambda: goes_on(lambda: not installed.apply(escalation(first))), "the first namespace to deny")
    eventually(lambda: goes_on(lambda: first in fails_closed_in(installed)), "the webhook to fail closed there")
    eventually(lambda: goes_on(lambda: rollout(installed).get("stage") == "Promoted"), "all to be promoted", seconds=60)
    eventually(lambda: goes_on(lambda: not installed.apply(escalation(rest[0]))), "the second namespace to deny")
    assert held not in fails_closed_in(installed)
    assert installed.apply(escalation(held, "still"))
    assert installed.cluster.kubectl("get", "auditpolicy", NAME).stdout.split().count("Promoted") == 1
    # Mended, it is promoted by itself.
    eventually(lambda: fails_closed_in(installed) == sorted(NAMESPACES), "the last to be promoted", seconds=60)
    eventually(lambda: not installed.apply(escalation(held, "late")), "the last namespace to deny")
    events = installed.cluster.kubectl("get", "events", "-n", "default", "-o", "json").stdout
    reasons = [one["reason"] for one in json.loads(events)["items"] if one["involvedObject"].get("name") == NAME]
    assert reasons.count("RolloutPromoted") == 2


def test_gitops_has_nothing_to_revert(installed: Installed) -> None:
    body = policy(first="30%")
    before = json.loads(installed.cluster.kubectl("get", "auditpolicy", NAME, "-o", "json").stdout)
    apply_as_gitops(installed, body)
    shown = installed.cluster.kubectl("get", "auditpolicy", NAME, "-o", "json", "--show-managed-fields")
    after = json.loads(shown.stdout)
    assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1
    assert after["status"]["rollout"]["stage"] == "Promoted"
    shown = installed.cluster.kubectl(
        "diff", "--server-side", "--field-manager=gitops", "-f", "-", input=json.dumps(body), check=False
    )
    assert (shown.returncode, shown.stdout) == (0, "")
    owners = {one["manager"]: one for one in after["metadata"]["managedFields"] if "f:spec" in one["fieldsV1"]}
    assert set(owners) == {"gitops"}


def test_a_restart_of_the_operator_changes_nothing(installed: Installed, eventually: Eventually) -> None:
    before = rollout(installed)
    installed.operators[-1].terminate()
    installed.operators[-1].wait(30)
    installed.start_operator()
    assert not installed.apply(escalation(NAMESPACES[0], "again"))
    time.sleep(6)
    after = rollout(installed)
    assert {key: after.get(key) for key in ("stage", "since", "cut", "holds")} == {
        key: before.get(key) for key in ("stage", "since", "cut", "holds")
    }


def test_a_namespace_is_taken_back_for_a_protected_controller_alone(
    installed: Installed, eventually: Eventually
) -> None:
    first, second, _ = NAMESPACES
    installed.cluster.kubectl(
        "create",
        "clusterrolebinding",
        "flux",
        "--clusterrole=cluster-admin",
        "--serviceaccount=flux-system:kustomize-controller",
    )
    groups = ("--as-group=system:serviceaccounts", "--as-group=system:serviceaccounts:flux-system")
    # The namespace's editor, with an account of a name alike, changes nothing.
    for number in range(5):
        assert not installed.apply(escalation(first, f"mine-{number}"))
    time.sleep(5)
    assert rollout(installed).get("holds") == []
    assert not installed.apply(escalation(first), f"--as={FLUX}", *groups)
    eventually(lambda: [one["namespace"] for one in rollout(installed)["holds"]] == [first], "the step back")
    eventually(lambda: installed.apply(escalation(first), f"--as={FLUX}", *groups), "what was denied to pass")
    # What preset guard denies is denied still, and no other namespace is concerned.
    assert not installed.apply(pod("miner", first), f"--as={FLUX}", *groups)
    assert not installed.apply(escalation(second), f"--as={FLUX}", *groups)
    time.sleep(3)
    assert [one["namespace"] for one in rollout(installed)["holds"] if one.get("steppedBack")] in ([first], [])
    events = json.loads(installed.cluster.kubectl("get", "events", "-n", "default", "-o", "json").stdout)["items"]
    reasons = [one["reason"] for one in events if one["involvedObject"].get("name") == NAME]
    assert reasons.count("RolloutSteppedBack") == 1
    assert "RolloutLockedOut" in reasons


def test_another_spec_is_another_rollout(installed: Installed, eventually: Eventually) -> None:
    apply_as_gitops(installed, policy(after="1h"))
    eventually(lambda: rollout(installed).get("stage") == "Counting", "the rollout to begin anew")
    eventually(lambda: installed.apply(escalation(NAMESPACES[1], "anew")), "nothing to be denied")
    eventually(lambda: fails_closed_in(installed) == [], "nothing to fail closed")
    body = policy()
    del body["spec"]["rollout"]
    apply_as_gitops(installed, body)
    eventually(lambda: not installed.apply(escalation(NAMESPACES[1], "whole")), "the whole policy to be in force")
    eventually(lambda: rollout(installed) == {}, "what is left of the rollout to go")
