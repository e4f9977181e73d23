"""The webhook behind a real API server, over TLS."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.local_webhook import LocalWebhook
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.judging import warning_lines
from tests.cluster.installing import install_crds


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of its own: a webhook for all would disturb the other tests."""
    with ControlPlane() as found:
        install_crds(found)
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


def test_one_message_names_every_cause(cluster: ControlPlane) -> None:
    volumes = [
        {"name": "sock", "hostPath": {"path": "/var/run/docker.sock"}},
        {"name": "etc", "hostPath": {"path": "/etc"}},
    ]
    _, said = apply(cluster, pod("many", PRIVILEGED, volumes=volumes))
    for check in ("privileged-container", "runtime-socket-mount", "sensitive-host-path"):
        assert said.count(f"{check}: ") == 1, "the socket's path is told with the socket"


def test_a_cluster_admin_binding_is_denied(cluster: ControlPlane) -> None:
    result = cluster.kubectl(
        "create", "clusterrolebinding", "ops", "--clusterrole=cluster-admin", "--user=alice", check=False
    )
    assert result.returncode != 0
    assert "gives User alice every right through ClusterRole cluster-admin" in result.stderr


def test_a_good_pod_is_admitted_and_a_doubtful_one_warned(cluster: ControlPlane) -> None:
    accepted, said = apply(cluster, pod("fine", hostPID=True))
    assert accepted
    assert "see iocaudit explain host-pid" in said


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


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("PodExecOptions", "/api/v1/namespaces/shop/pods/target/exec?command=true&stdout=true"),
        ("PodAttachOptions", "/api/v1/namespaces/shop/pods/target/attach?stdout=true"),
        ("PodPortForwardOptions", "/api/v1/namespaces/shop/pods/target/portforward?ports=80"),
        ("PodProxyOptions", "/api/v1/namespaces/shop/pods/target/proxy/"),
        ("ServiceProxyOptions", "/api/v1/namespaces/shop/services/target/proxy/"),
        ("NodeProxyOptions", "/api/v1/nodes/target/proxy/"),
    ],
)
def test_every_connection_that_a_check_looks_at_arrives(
    cluster: ControlPlane, webhook: LocalWebhook, kind: str, path: str
) -> None:
    assert apply(cluster, pod("target"))[0]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "target", "namespace": "shop"},
        "spec": {"ports": [{"port": 80}]},
    }
    assert apply(cluster, json.dumps(service))[0]
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "target"}}
    assert apply(cluster, json.dumps(node))[0]
    before = answers(webhook, kind, "CONNECT")
    # What is on the other end does not answer, as there is no kubelet: the webhook is asked before that.
    cluster.kubectl("get", "--raw", path, check=False)
    expected = any(known.name == kind for check in builtin_catalogue() for known in check.looks_at)
    assert answers(webhook, kind, "CONNECT") == before + expected


def answers(webhook: LocalWebhook, kind: str, operation: str) -> int:
    """How many requests of that kind were answered, whatever the answer."""
    found = re.findall(
        rf'^iocaudit_admission_verdicts_total{{kind="{kind}",operation="{operation}",\S* (\S+)$',
        webhook.metrics(),
        re.MULTILINE,
    )
    return sum(int(float(value)) for value in found)


def test_a_name_that_the_api_server_makes_up_is_named_by_its_prefix(cluster: ControlPlane) -> None:
    body = json.loads(pod("x", PRIVILEGED))
    body["metadata"] = {"generateName": "load-", "namespace": "shop"}
    result = cluster.kubectl("create", "-f", "-", input=json.dumps(body), check=False)
    assert result.returncode != 0
    assert "Pod shop/load-" in result.stderr


def test_a_resize_is_judged(cluster: ControlPlane, webhook: LocalWebhook) -> None:
    assert apply(cluster, pod("resized", {"resources": {"requests": {"cpu": "1"}}}))[0]
    before = answers(webhook, "Pod", "UPDATE")
    change = {"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "2"}}}]}}
    cluster.kubectl("patch", "pod", "resized", "-n", "shop", "--subresource=resize", "-p", json.dumps(change))
    assert answers(webhook, "Pod", "UPDATE") > before


def test_what_was_bad_before_can_be_deleted(cluster: ControlPlane, webhook: LocalWebhook) -> None:
    webhook.unregister()
    for _ in range(100):
        if apply(cluster, pod("legacy", PRIVILEGED))[0]:
            break
    else:
        pytest.fail("the webhook is still called")
    webhook.register()
    for _ in range(100):
        if not apply(cluster, pod("probe", PRIVILEGED), "--dry-run=server")[0]:
            break
    else:
        pytest.fail("the webhook is not called")
    assert cluster.kubectl("label", "pod", "legacy", "-n", "shop", "a=b", check=False).returncode == 0
    result = cluster.kubectl("delete", "pod", "legacy", "-n", "shop", "--grace-period=0", "--force", check=False)
    assert result.returncode == 0, result.stderr


def test_many_warnings_are_shown_whole_and_said_to_be_more(cluster: ControlPlane) -> None:
    body = json.loads(pod("warned"))
    body["spec"]["containers"] = [
        {"name": f"c{n}", "image": "hooli.com/shop/web:1.4", "securityContext": {"runAsUser": 0}} for n in range(60)
    ]
    accepted, said = apply(cluster, json.dumps(body), "--dry-run=server")
    assert accepted
    *told, more = [line.removeprefix("Warning: ") for line in said.splitlines() if line.startswith("Warning: ")]
    assert len(told) == warning_lines.MOST_OF_AN_OBJECT
    assert all(re.match(r"\[\w+\] Pod shop/warned: .+; see iocaudit explain [a-z-]+\Z", line) for line in told)
    assert re.fullmatch(r"Pod shop/warned: and \d+ more: kubectl get iocfindings -n shop", more)
    assert all(len(line) <= warning_lines.LONGEST for line in told)


def test_what_was_found_stands_in_the_audit_log(cluster: ControlPlane, eventually: Callable[..., None]) -> None:
    apply(cluster, pod("audited", PRIVILEGED))
    key = "deny.iocaudit.io/denied"

    def annotated() -> bool:
        events = (json.loads(line) for line in cluster.audit_log.read_text().splitlines())
        return any(
            event.get("objectRef", {}).get("name") == "audited"
            and "privileged-container" in event.get("annotations", {}).get(key, "")
            for event in events
        )

    eventually(annotated, f"an audit event with the annotation {key}")


def test_it_goes_on_answering_while_the_api_server_was_away(cluster: ControlPlane, webhook: LocalWebhook) -> None:
    cluster.stop_apiserver()
    cluster.start_apiserver()
    accepted, said = apply(cluster, pod("after", PRIVILEGED))
    assert not accepted
    assert "privileged-container" in said
