"""A bootstrap binding is known by name, namespace, role and subjects together."""

from typing import Any

import pytest

from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.knowledge.rbac.defaults import bootstrap_subjects

NAME = "kubeadm:bootstrap-signer-clusterinfo"


def binding(namespace: str = "kube-public", role_kind: str = "Role", user: str = "system:anonymous") -> Resource:
    raw: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": NAME, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": NAME},
        "subjects": [{"kind": "User", "name": user}],
    }
    return Resource(raw, CLUSTER)


def test_kubeadms_own_binding_is_known() -> None:
    assert bootstrap_subjects(binding()) == {"User:system:anonymous"}


@pytest.mark.parametrize("changed", [{"namespace": "shop"}, {"role_kind": "ClusterRole"}])
def test_its_name_elsewhere_is_not(changed: dict[str, str]) -> None:
    assert not bootstrap_subjects(binding(**changed))
