"""The audit policy that we ship, in a real API server: it takes it, and records what our own matching of it says."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.detections.audit_policy import recorded, shipped_policy

Json = dict[str, Any]
POLICY = shipped_policy()
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
        },
    },
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane(audit_policy=POLICY) as found:
        yield found


def events(cluster: ControlPlane) -> list[Json]:
    """The whole lines of the log."""
    lines = cluster.audit_log.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def of(cluster: ControlPlane, verb: str, resource: str, user: str = "") -> list[Json]:
    return [
        one
        for one in events(cluster)
        if one["verb"] == verb
        and one.get("objectRef", {}).get("resource") == resource
        and one["user"]["username"].startswith(user)
    ]


def test_a_deployment_is_recorded_with_its_request_and_its_pods_without(
    cluster: ControlPlane, eventually: Callable[..., None]
) -> None:
    cluster.kubectl("apply", "-f-", input=json.dumps(DEPLOYMENT))
    eventually(lambda: len(of(cluster, "create", "pods")) >= 3, "three pods in the log")
    (made,) = of(cluster, "create", "deployments")
    assert made["level"] == "Request"
    assert made["requestObject"]["spec"]["replicas"] == 3
    assert {one["level"] for one in of(cluster, "create", "pods", "system:serviceaccount:kube-system:")} == {"Metadata"}


def test_a_secret_is_recorded_without_its_content(cluster: ControlPlane) -> None:
    cluster.kubectl("create", "secret", "generic", "key", "--from-literal=password=correct-horse")
    cluster.kubectl("get", "secrets", "-A")
    assert of(cluster, "create", "secrets")
    assert of(cluster, "list", "secrets")
    assert "correct-horse" not in cluster.audit_log.read_text(encoding="utf-8")


def test_what_the_control_plane_does_by_itself_is_not_recorded(cluster: ControlPlane) -> None:
    cluster.kubectl("get", "--raw", "/healthz")
    found = events(cluster)
    assert not [one for one in found if one["requestURI"].startswith(("/healthz", "/livez", "/readyz"))]
    assert not [one for one in found if one.get("objectRef", {}).get("resource") in ("leases", "events")]
    assert not [one for one in found if one["stage"] == "RequestReceived"]


def test_each_event_has_the_level_that_our_own_matching_says(cluster: ControlPlane) -> None:
    found = events(cluster)
    assert len(found) > 20
    for one in found:
        kept = recorded(POLICY, one)
        assert kept is not None, one
        assert kept["level"] == one["level"], one
