"""Where pods put themselves, and who puts them there."""

import pytest

from iocaudit.core.request import Operation
from tests.support.auditing import Json, asked, judge, places, pod

EVERYTHING: Json = {"tolerations": [{"operator": "Exists"}]}


def owned(uid: str) -> Json:
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": uid, "controller": True}
    return {"ownerReferences": [reference]}


DAEMON_SET: Json = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "agent", "namespace": "shop", "uid": "1"},
    "spec": {"template": {"spec": {"containers": [], **EVERYTHING}}},
}


def test_a_node_is_preset_until_the_pod_is_stored() -> None:
    assert places(judge("preset-node", pod(nodeName="n1"))) == ["spec.nodeName"]
    assert judge("preset-node", pod(metadata={"uid": "u"}, nodeName="n1")) == []
    assert (
        judge("preset-node", pod(metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}, nodeName="n1")) == []
    )


def test_only_pods_of_a_daemon_set_that_exists_may_tolerate_everything() -> None:
    assert judge("preset-node", DAEMON_SET) == []
    assert places(judge("preset-node", pod(**EVERYTHING))) == ["spec.tolerations[0]"]
    assert judge("preset-node", pod(metadata=owned("1"), **EVERYTHING), DAEMON_SET) == []
    assert len(judge("preset-node", pod(metadata=owned("2"), **EVERYTHING), DAEMON_SET)) == 1
    assert len(judge("preset-node", pod(metadata=owned("1"), **EVERYTHING))) == 1
    keyed: Json = {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}
    assert judge("preset-node", pod(**keyed)) == []


@pytest.mark.parametrize(
    ("namespace", "user", "hits"),
    [
        ("kube-system", "alice", 1),
        ("kube-public", "system:serviceaccount:shop:ci", 1),
        ("kube-system", "system:serviceaccount:kube-system:daemon-set-controller", 0),
        ("kube-system", "system:kube-scheduler", 0),
        ("kube-node-lease", "system:node:n1", 0),
        ("kube-system", "system:anonymous", 1),
        ("kube-system", "installer", 0),
        ("shop", "alice", 0),
    ],
)
def test_who_creates_in_a_namespace_of_the_system(namespace: str, user: str, hits: int) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": namespace}}
    for subject in (pod(metadata={"namespace": namespace}), account):
        found = judge(
            "workload-in-system-namespace",
            subject,
            request=asked(username=user, namespace=namespace),
            parameters={"allowedUsers": ["installer"]},
        )
        assert len(found) == hits


def test_an_ephemeral_container_is_named_with_who_added_it() -> None:
    subject = pod(ephemeralContainers=[{"name": "debug", "image": "tools:1"}])
    request = asked(Operation.UPDATE, subresource="ephemeralcontainers")
    (found,) = judge("ephemeral-container-added", subject, request=request)
    assert 'ephemeral container "debug" with image tools:1 is added by alice' in found.message
    assert judge("ephemeral-container-added", subject, request=asked(Operation.UPDATE)) == []
