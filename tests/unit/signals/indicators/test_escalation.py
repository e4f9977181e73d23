"""Rights: who may change them without a word, and what is worse than usual."""

from typing import Any

import pytest

from iocaudit.core.severity import Severity
from iocaudit.signals.audit_event import read_event
from iocaudit.signals.detector import Detector
from iocaudit.signals.indicators.escalation import object_of
from iocaudit.signals.signal import signal_of
from tests.support.detection_samples import PLACE, seen

RBAC = "rbac.authorization.k8s.io"


def write(resource: str, verb: str = "create", user: str = "alice", name: str = "x", **more: Any) -> dict[str, Any]:
    whole, _, subresource = resource.partition("/")
    ref = {"resource": whole, "subresource": subresource, "name": name, "namespace": more.pop("namespace", "")}
    return {"verb": verb, "user": {"username": user}, "objectRef": ref, "responseStatus": {"code": 200}, **more}


def severities(raw: dict[str, Any]) -> dict[str, Severity]:
    return {one.rule: one.severity for one in Detector().take(signal_of(read_event(raw, PLACE, "native")))}


@pytest.mark.parametrize(
    "raw",
    [
        write(
            "clusterroles", "update", "system:serviceaccount:kube-system:clusterrole-aggregation-controller", "admin"
        ),
        write("clusterroles", "patch", "system:apiserver", "system:node"),
        write("clusterrolebindings", "create", "eks:addon-manager"),
        write("nodes", "create", "system:node:worker-1", "worker-1"),
        write("nodes", "create", "system:bootstrap:abcdef", "worker-1"),
        write("certificatesigningrequests", "create", "system:bootstrap:abcdef"),
        write("certificatesigningrequests/approval", "update", "system:kube-controller-manager"),
        write("pods", "create", "system:serviceaccount:kube-system:daemon-set-controller", namespace="kube-system"),
        write("pods", "create", "system:node:worker-1", "kube-apiserver-worker-1", namespace="kube-system"),
        write("namespaces", "create", requestObject={"metadata": {"labels": {"x": "y"}}}),
        write("deployments", "patch", requestObject={"spec": {"replicas": 2}}),
        write(
            "apiservices",
            "create",
            "system:serviceaccount:metrics:server",
            requestObject={"spec": {"service": {"namespace": "metrics"}}},
        ),
        write("configmaps", "update", name="aws-auth", namespace="shop"),
    ],
)
def test_what_goes_on_all_day_is_quiet(raw: dict[str, Any]) -> None:
    assert seen(raw) == []


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
@pytest.mark.parametrize(
    "resource", ["clusterroles", "clusterrolebindings", "nodes", "validatingwebhookconfigurations"]
)
def test_reading_is_quiet(resource: str, verb: str) -> None:
    assert seen(write(resource, verb)) == []


def test_cluster_admin_in_a_namespace_is_medium() -> None:
    raw: dict[str, Any] = {"requestObject": {"roleRef": {"name": "cluster-admin"}, "subjects": [{"name": "bob"}]}}
    assert severities(write("clusterrolebindings", **raw))["cluster-admin-attached"] is Severity.HIGH
    assert severities(write("rolebindings", **raw))["cluster-admin-attached"] is Severity.MEDIUM


def test_widening_a_role_to_everything_is_high() -> None:
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    assert severities(write("clusterroles", requestObject={"rules": rules}))["powerful-role-written"] is Severity.MEDIUM
    patch = write("clusterroles", "patch", requestObject={"rules": rules})
    assert severities(patch)["powerful-role-written"] is Severity.HIGH
    json_patch = write("clusterroles", "patch", requestObject=[{"op": "add", "path": "/rules/-", "value": rules[0]}])
    assert severities(json_patch)["powerful-role-written"] is Severity.HIGH


def test_only_roles_that_the_cluster_is_born_with_are_high() -> None:
    assert severities(write("clusterroles", "patch", name="system:node"))["system-role-changed"] is Severity.HIGH
    assert severities(write("clusterroles", "delete", name="system:mine"))["system-role-changed"] is Severity.LOW
    assert "system-role-changed" not in seen(write("clusterroles", "create", name="system:metrics-server"))


def test_a_webhook_of_its_own_is_quiet_and_of_others_low() -> None:
    user = "system:serviceaccount:guard:controller"

    def webhook(namespace: str) -> dict[str, Any]:
        hooks = [{"name": "a", "rules": [], "clientConfig": {"service": {"namespace": namespace}}}]
        return write("validatingwebhookconfigurations", "update", user, requestObject={"webhooks": hooks})

    assert seen(webhook("guard")) == []
    assert severities(webhook("other")) == {"admission-changed": Severity.LOW}
    patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "x"}]
    assert seen(write("mutatingwebhookconfigurations", "patch", user, requestObject=patch)) == []


def test_the_label_of_pod_security_taken_away() -> None:
    label = "pod-security.kubernetes.io/enforce"
    assert seen(write("namespaces", "patch", requestObject={"metadata": {"labels": {label: None}}})) == [
        "pod-security-loosened"
    ]
    patch = [{"op": "remove", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce"}]
    assert seen(write("namespaces", "patch", requestObject=patch)) == ["pod-security-loosened"]


def test_a_pod_with_a_controllers_account_is_high() -> None:
    spec = {"spec": {"serviceAccountName": "clusterrole-aggregation-controller"}}
    raw = write("pods", namespace="kube-system", requestObject=spec)
    assert severities(raw)["pod-made-in-system-namespace"] is Severity.HIGH


def test_a_pod_of_a_workload_is_as_strange_as_its_images() -> None:
    def pod(image: str, namespace: str = "kube-system") -> dict[str, Severity]:
        user = "system:serviceaccount:kube-system:replicaset-controller"
        spec = {"spec": {"containers": [{"name": "a", "image": image}]}}
        return severities(write("pods", user=user, namespace=namespace, requestObject=spec))

    assert pod("registry.k8s.io/coredns/coredns:v1.12.1") == {}
    assert pod("602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni:v1.20") == {}
    assert pod("nginx") == {"pod-made-in-system-namespace": Severity.LOW}
    assert pod("registry.k8s.io.example.com/x") == {"pod-made-in-system-namespace": Severity.LOW}
    assert pod("nginx", "kube-public") == {"pod-made-in-system-namespace": Severity.MEDIUM}
    assert pod("nginx", "shop") == {}


def test_an_answer_that_is_a_status_is_not_the_object() -> None:
    raw = write("pods", responseObject={"kind": "Status"}, requestObject={"kind": "Pod"})
    assert object_of(read_event(raw, PLACE, "native")) == {"kind": "Pod"}
