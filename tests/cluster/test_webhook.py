"""The webhook behind a real API server, over TLS."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of its own: a webhook for all would disturb the other tests."""
    with ControlPlane() as found:
        for crd in sorted((Path(__file__).parents[2] / "manifests/crds").glob("*.yaml")):
            found.kubectl("apply", "-f", str(crd))
        yield found


@pytest.fixture(scope="module")
def webhook(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWebhook]:
    found = LocalWebhook(cluster, tmp_path_factory.mktemp("webhook"))
    try:
        found.start()
        found.register()
        cluster.kubectl("create", "namespace", "shop")
        yield found
    finally:
        found.close()


def pod(name: str, container: dict[str, Any] | None = None, **spec: Any) -> str:
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "image": "hooli.com/shop/web:1.4", **(container or {})}], **spec},
    }
    return json.dumps(body)


def apply(cluster: ControlPlane, text: str, *arguments: str) -> tuple[bool, str]:
    result = cluster.kubectl("apply", "-f", "-", *arguments, input=text, check=False)
    return result.returncode == 0, result.stdout + result.stderr


PRIVILEGED: dict[str, Any] = {"securityContext": {"privileged": True}}


@pytest.fixture(autouse=True)
def registered(cluster: ControlPlane, webhook: LocalWebhook, eventually: Callable[..., None]) -> None:
    """The API server takes a moment to call a new webhook."""
    eventually(
        lambda: not apply(cluster, pod("probe", PRIVILEGED), "--dry-run=server")[0],
        "the API server to call the webhook",
    )


def test_a_privileged_pod_is_denied_with_field_value_and_fix(cluster: ControlPlane) -> None:
    accepted, said = apply(cluster, pod("bad", PRIVILEGED))
    assert not accepted
    assert 'admission webhook "deny.iocaudit.io" denied the request' in said
    assert 'Pod shop/bad: container "app" runs privileged (spec.containers["app"].securityContext.privileged)' in said
    assert "Fix: Remove" in said


def test_etc_of_the_host_is_denied_wherever_it_is_mounted(cluster: ControlPlane) -> None:
    volumes = [{"name": "etc", "hostPath": {"path": "/etc"}}]
    mounts = {"volumeMounts": [{"name": "etc", "mountPath": "/mnt/etc"}]}
    accepted, said = apply(cluster, pod("etc", mounts, volumes=volumes))
    assert not accepted
    assert "sensitive-host-path" in said
    assert "/mnt/etc" in said


def test_one_message_carries_every_denial(cluster: ControlPlane) -> None:
    volumes = [{"name": "sock", "hostPath": {"path": "/var/run/docker.sock"}}]
    _, said = apply(cluster, pod("many", PRIVILEGED, volumes=volumes))
    for check in ("privileged-container", "runtime-socket-mount", "sensitive-host-path"):
        assert check in said


def test_a_cluster_admin_binding_is_denied(cluster: ControlPlane) -> None:
    result = cluster.kubectl(
        "create", "clusterrolebinding", "ops", "--clusterrole=cluster-admin", "--user=alice", check=False
    )
    assert result.returncode != 0
    assert "gives User alice every right through ClusterRole cluster-admin" in result.stderr


def test_a_good_pod_is_admitted_and_a_doubtful_one_warned(cluster: ControlPlane) -> None:
    accepted, said = apply(cluster, pod("fine", hostPID=True))
    assert accepted
    assert "Warning: host-pid" in said


def test_an_ephemeral_container_is_judged(cluster: ControlPlane) -> None:
    assert apply(cluster, pod("debugged"))[0]
    body = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox", **PRIVILEGED}]}}
    result = cluster.kubectl(
        "patch",
        "pod",
        "debugged",
        "-n",
        "shop",
        "--subresource=ephemeralcontainers",
        "-p",
        json.dumps(body),
        check=False,
    )
    assert result.returncode != 0
    assert 'ephemeral container "debug" runs privileged' in result.stderr


def test_an_update_is_denied_only_for_what_it_introduces(cluster: ControlPlane, webhook: LocalWebhook) -> None:
    def deployment(replicas: int, host_pid: bool, privileged: bool) -> str:
        container: dict[str, Any] = {"name": "app", "image": "hooli.com/shop/web:1.4"}
        if privileged:
            container |= PRIVILEGED
        template: dict[str, Any] = {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [container]}}
        if host_pid:
            template["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": "/etc"}}]
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "old", "namespace": "shop"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "old"}}, "template": template},
        }
        return json.dumps(body)

    webhook.unregister()
    for _ in range(100):
        if apply(cluster, deployment(0, False, True))[0]:
            break
    else:
        pytest.fail("the webhook is still called")
    webhook.register()
    for _ in range(100):
        if not apply(cluster, pod("probe", PRIVILEGED), "--dry-run=server")[0]:
            break
    else:
        pytest.fail("the webhook is not called")
    assert apply(cluster, deployment(1, False, True))[0], "what was there before may be scaled"
    accepted, said = apply(cluster, deployment(1, True, True))
    assert not accepted
    assert "sensitive-host-path" in said
    assert "privileged-container:" not in said.partition("denied the request")[2]


def test_a_session_is_seen_and_counted(cluster: ControlPlane, webhook: LocalWebhook) -> None:
    assert apply(cluster, pod("target"))[0]
    cluster.kubectl("exec", "-n", "shop", "target", "--", "true", check=False)
    assert 'kind="PodExecOptions",operation="CONNECT"' in webhook.metrics()


def test_it_goes_on_answering_while_the_api_server_was_away(cluster: ControlPlane, webhook: LocalWebhook) -> None:
    cluster.stop_apiserver()
    cluster.start_apiserver()
    accepted, said = apply(cluster, pod("after", PRIVILEGED))
    assert not accepted
    assert "privileged-container" in said
