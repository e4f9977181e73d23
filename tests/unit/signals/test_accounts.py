"""Who acts: the cluster, its cloud, a program or a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.signals.accounts import (
    attack_tool,
    is_anonymous,
    is_cloud,
    is_control_plane,
    is_node_of_cloud,
    is_own,
    is_own_work,
    is_person,
    is_program,
    is_public,
    is_system_space,
    uses_script,
    uses_tool_of_person,
)
from iocaudit.signals.audit_event import AuditUser, LinePlace, read_event


@pytest.mark.parametrize(
    "name",
    [
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:node:worker-1",
        "system:serviceaccount:kube-system:replicaset-controller",
    ],
)
def test_the_cluster_itself(name: str) -> None:
    assert is_control_plane(AuditUser(name))
    assert not is_person(AuditUser(name))


@pytest.mark.parametrize(
    "name",
    [
        "eks:addon-manager",
        "aksService",
        "container-engine-robot@some-project.iam.gserviceaccount.com",
        "service-123@container-engine-robot.iam.gserviceaccount.com",
        "system:serviceaccount:gke-managed-system:operator",
    ],
)
def test_its_cloud(name: str) -> None:
    assert is_cloud(AuditUser(name))
    assert is_own(AuditUser(name))


@pytest.mark.parametrize(
    "name", ["alice", "eks:x\ny", "arn:aws:iam::1:user/eks:addon-manager", "mallory@aksService", "kubernetes-admin"]
)
def test_a_person(name: str) -> None:
    assert is_person(AuditUser(name))
    assert not is_own(AuditUser(name))


def test_a_service_account_is_a_program_but_not_the_cluster() -> None:
    user = AuditUser("system:serviceaccount:shop:web")
    assert is_program(user)
    assert not is_own(user)
    assert not is_control_plane(AuditUser("system:serviceaccount:kube-systems:web"))


def test_nobody() -> None:
    assert is_anonymous(AuditUser("system:anonymous"))
    assert is_anonymous(AuditUser("x", ("system:unauthenticated",)))
    assert not is_person(AuditUser("system:anonymous"))
    assert not is_person(AuditUser(""))


def test_a_node_that_a_cloud_names() -> None:
    groups = ("system:nodes",)
    assert is_node_of_cloud(AuditUser("system:node:ip-192-168-3-178.us-west-2.compute.internal", groups))
    assert not is_node_of_cloud(AuditUser("system:node:suspicious-node", groups))
    assert not is_node_of_cloud(AuditUser("system:node:ip-192-168-3-178.us-west-2.compute.internal"))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("10.1.2.3", False),
        ("172.20.1.15", False),
        ("::ffff:10.0.0.1", False),
        ("100.64.0.1", False),
        ("2a00:1450::1", True),
        ("::1", False),
        ("", False),
        ("no address", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


@given(st.text())
def test_any_address_is_judged(text: str) -> None:
    assert is_public(text) in (True, False)


def test_what_a_client_says_that_it_is() -> None:
    def says(agent: str) -> tuple[bool, bool, str]:
        event = read_event({"userAgent": agent}, LinePlace("x", 1), "native")
        return uses_tool_of_person(event), uses_script(event), attack_tool(event)

    assert says("kubectl/v1.36.0 (linux/amd64)") == (True, False, "")
    assert says("curl/8.5.0") == (True, True, "")
    assert says("web/v0.0.0 (linux/amd64) kubernetes/$Format") == (False, False, "")
    assert says("kubectlx/v1") == (False, False, "")
    assert says("node-exporter/v1.8 (linux/amd64) kubernetes/$Format") == (False, False, "")
    assert says("helm-controller/v1.0") == (False, False, "")
    assert says("Python/3.12 aiohttp/3.9") == (True, True, "")
    assert says("kube-hunter/0.6")[2] == "kube-hunter"


def test_own_work_is_in_namespaces_of_the_cluster() -> None:
    def event(user: str, namespace: str) -> bool:
        raw = {"user": {"username": user}, "objectRef": {"namespace": namespace, "resource": "pods"}}
        return is_own_work(read_event(raw, LinePlace("x", 1), "native"))

    assert event("system:serviceaccount:kube-system:daemon-set-controller", "kube-system")
    assert not event("system:serviceaccount:kube-system:replicaset-controller", "shop")
    assert not event("alice", "kube-system")
    assert is_system_space("gke-managed-system")
    assert not is_system_space("shop")
