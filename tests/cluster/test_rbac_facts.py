"""What the API server lets a grant do, where the severities of checks and ``iocaudit rbac path`` rest on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.controlplane import ControlPlane
from devcluster.errors import DevclusterError

RBAC = "rbac.authorization.k8s.io"
Json = dict[str, Any]
SPEC: Json = {"containers": [{"name": "c", "image": "a:1"}]}
TEMPLATE: Json = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
OTHER_ACCOUNT: Json = {"spec": {"serviceAccountName": "other"}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane() as control_plane:
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": "default"},
        }
        control_plane.kubectl("apply", "-f", "-", input=json.dumps(account))
        yield control_plane


def refused(cluster: ControlPlane, *arguments: str, document: Json | None = None) -> bool:
    try:
        cluster.kubectl(*arguments, input=json.dumps(document) if document is not None else None)
    except (DevclusterError, subprocess.CalledProcessError):
        return True
    return False


def made(cluster: ControlPlane, version: str, kind: str, name: str, spec: Json) -> None:
    metadata = {"name": name, "namespace": "default"}
    document = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    assert not refused(cluster, "apply", "-f", "-", document=document)


def test_of_a_pod_only_images_change(cluster: ControlPlane) -> None:
    made(cluster, "v1", "Pod", "p", {**SPEC, "automountServiceAccountToken": False})
    assert refused(cluster, "patch", "pod", "p", "-p", json.dumps(OTHER_ACCOUNT))
    command = {"spec": {"containers": [{"name": "c", "command": ["x"]}]}}
    assert refused(cluster, "patch", "pod", "p", "-p", json.dumps(command))
    image = {"spec": {"containers": [{"name": "c", "image": "b:2"}]}}
    assert not refused(cluster, "patch", "pod", "p", "-p", json.dumps(image))


def test_a_job_keeps_its_template_and_the_others_take_another(cluster: ControlPlane) -> None:
    job = {"suspend": True, "template": {"spec": {**SPEC, "restartPolicy": "Never"}}}
    made(cluster, "batch/v1", "Job", "j", job)
    other = json.dumps({"spec": {"template": OTHER_ACCOUNT}})
    assert refused(cluster, "patch", "job", "j", "-p", other)
    selector = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    for kind in ("ReplicaSet", "Deployment", "StatefulSet", "DaemonSet"):
        made(cluster, "apps/v1", kind, "w", selector)
        assert not refused(cluster, "patch", kind, "w", "-p", other), kind
    made(cluster, "v1", "ReplicationController", "w", {"selector": {"a": "b"}, "template": TEMPLATE})
    assert not refused(cluster, "patch", "rc", "w", "-p", other)
    template = {"spec": {"template": job["template"]}}
    made(cluster, "batch/v1", "CronJob", "w", {"schedule": "0 0 * * *", "jobTemplate": template})
    nested = {"spec": {"jobTemplate": {"spec": {"template": OTHER_ACCOUNT}}}}
    assert not refused(cluster, "patch", "cronjob", "w", "-p", json.dumps(nested))


def test_a_create_by_name_is_one_by_server_side_apply_alone(cluster: ControlPlane) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"], "resourceNames": ["one"]}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "named"}, "rules": [rule]}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "named"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "named"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "mallory"}],
    }
    for document in (role, binding):
        assert not refused(cluster, "apply", "-f", "-", document=document)
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "default"}}
    assert refused(cluster, "create", "--as", "mallory", "-f", "-", document=one)
    two = {**one, "metadata": {"name": "two", "namespace": "default"}}
    assert refused(cluster, "apply", "--server-side", "--as", "mallory", "-f", "-", document=two)
    assert not refused(cluster, "apply", "--server-side", "--as", "mallory", "-f", "-", document=one)


def test_a_cluster_role_may_be_called_by_a_star_and_a_config_map_not(cluster: ControlPlane) -> None:
    star = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "*"}, "rules": []}
    assert not refused(cluster, "apply", "-f", "-", document=star)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "*", "namespace": "default"}}
    assert refused(cluster, "apply", "-f", "-", document=config_map)
