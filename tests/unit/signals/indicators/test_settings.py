"""What the cluster is run by: changed by others than the cluster itself."""

from typing import Any

import pytest

from tests.support.detection_samples import seen

FLOW = "flowcontrol.apiserver.k8s.io"


def changed(resource: str, group: str, name: str = "x", namespace: str = "", **given: Any) -> set[str]:
    target = {"resource": resource, "apiGroup": group, "namespace": namespace, "name": name}
    raw = {"verb": "create", "user": {"username": "alice"}, "objectRef": target, "responseStatus": {"code": 200}}
    return {*seen(raw | given)}


@pytest.mark.parametrize(
    ("rule", "resource", "group", "name", "namespace"),
    [
        ("request-limits-changed", "flowschemas", FLOW, "exempt", ""),
        ("request-limits-changed", "prioritylevelconfigurations", FLOW, "global-default", ""),
        ("cluster-settings-changed", "configmaps", "", "kubeadm-config", "kube-system"),
        ("cluster-settings-changed", "configmaps", "", "cluster-info", "kube-public"),
        ("role-changed", "clusterroles", "rbac.authorization.k8s.io", "reader", ""),
        ("workload-made-in-system-namespace", "daemonsets", "apps", "helper", "kube-system"),
        ("priority-class-made", "priorityclasses", "scheduling.k8s.io", "first", ""),
    ],
)
def test_by_a_person_and_not_by_the_cluster(rule: str, resource: str, group: str, name: str, namespace: str) -> None:
    assert rule in changed(resource, group, name, namespace)
    assert rule not in changed(resource, group, name, namespace, verb="get")
    assert rule not in changed(resource, group, name, namespace, user={"username": "system:apiserver"})
    assert rule not in changed(resource, group, name, namespace, responseStatus={"code": 409})


def test_a_role_that_the_log_holds_is_judged_by_what_it_grants() -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    assert "role-changed" not in changed("roles", "rbac.authorization.k8s.io", requestObject={"rules": rules})


def test_workloads_of_other_namespaces_and_other_settings_are_quiet() -> None:
    assert "workload-made-in-system-namespace" not in changed("deployments", "apps", "web", "shop")
    assert "cluster-settings-changed" not in changed("configmaps", "", "settings", "shop")


def mirror(name: str, user: str = "system:node:node-1", **annotations: str) -> set[str]:
    pod = {"metadata": {"name": name, "annotations": annotations}, "spec": {"containers": [{"image": "x"}]}}
    return changed("pods", "", name, "kube-system", user={"username": user}, requestObject=pod)


def test_a_static_pod_that_no_installer_brings() -> None:
    marked = {"kubernetes.io/config.mirror": "abc"}
    assert "static-pod-appeared" in mirror("helper-node-1", **marked)
    assert "static-pod-appeared" not in mirror("etcd-node-1", **marked)
    assert "static-pod-appeared" not in mirror("helper-node-1")
    assert "static-pod-appeared" not in mirror("helper", user="alice", **marked)
