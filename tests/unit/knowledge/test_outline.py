"""A world's pods are cut down to what checks may look up, in every kind that holds any."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.kinds import PODS, Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.knowledge.outline import outline, slim
from iocaudit.knowledge.pods.places import pods_of

_POD = {
    "serviceAccountName": "robot",
    "hostNetwork": True,
    "containers": [{"name": "app", "env": [{"name": "A", "value": "x" * 1000}]}],
    "volumes": [{"name": "v"}],
    "steps": [{"name": "s"}],
}


_NAMED = {"name": "n", "taskSpec": _POD}
_OF_STYLE: dict[str, dict[str, object]] = {
    "template": {"metadata": {"labels": {"app": "web"}}, "spec": _POD},
    "argo": {
        "hostNetwork": True,
        "podMetadata": {"labels": {"all": "x"}, "annotations": {"big": "y" * 1000}},
        "podSpecPatch": "serviceAccountName: patched",
        "templateDefaults": {"serviceAccountName": "robot", "env": ["x" * 1000]},
        "templates": [
            {"name": "a", "container": _POD, "metadata": {"labels": {"app": "web"}}, "inputs": ["x" * 1000]},
            {"name": "b", "steps": [[{"name": "s", "template": "a"}]]},
            {"name": "c", "script": {"source": "x" * 1000}, "hostNetwork": False},
        ],
    },
    "spark": {
        "image": "x" * 1000,
        "driver": {"serviceAccount": "robot", "hostNetwork": True, "labels": {"app": "web"}, "env": ["x" * 1000]},
        "executor": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": _POD}},
    },
    "tekton-run": {"taskSpec": _POD, "serviceAccountName": "robot", "podTemplate": {"hostNetwork": True, "env": []}},
    "tekton-pipeline": {"tasks": [_NAMED], "finally": [_NAMED]},
    "tekton-pipeline-run": {
        "pipelineSpec": {"tasks": [_NAMED], "finally": [{"name": "f", "taskSpec": _POD}]},
        "taskRunTemplate": {"serviceAccountName": "robot"},
        "taskRunSpecs": [
            {"pipelineTaskName": "f", "podTemplate": {"hostNetwork": True}},
            {"pipelineTaskName": "other", "serviceAccountName": "else"},
        ],
    },
}


def _whole(kind: Kind) -> Resource:
    raw: dict[str, object] = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": "a", "namespace": "shop", "labels": {"top": "x"}, "annotations": {"big": "y" * 1000}},
        "status": {"phase": "Running", "conditions": [1, 2, 3]},
    }
    for place in kind.pods:
        value = copy.deepcopy(_OF_STYLE.get(place.style, _POD))
        _set(raw, place.path, value)
    return Resource(raw, CLUSTER, kind=kind)


def _set(target: dict[str, object], path: tuple[str, ...], value: object) -> None:
    head, rest = path[0], path[1:]
    if not rest:
        existing = target.get(head)
        target[head] = {**existing, **value} if isinstance(existing, dict) and isinstance(value, dict) else value
        return
    if rest[0] in ("[]", "*"):
        inner: dict[str, object] = {}
        if rest[1:]:
            _set(inner, rest[1:], value)
        item = inner or value
        assert isinstance(item, dict)
        target[head] = [{"name": "n", **item}] if rest[0] == "[]" else {"n": item}
        return
    below = target.setdefault(head, {})
    assert isinstance(below, dict)
    _set(below, rest, value)


@pytest.mark.parametrize("kind", PODS, ids=str)
def test_an_outline_has_the_same_pods_with_labels_and_accounts(kind: Kind) -> None:
    whole = _whole(kind)
    found = outline(whole)
    assert found.ref == whole.ref
    assert found.labels == whole.labels
    assert [(pod.path, pod.labels, pod.service_account, pod.host_network) for pod in pods_of(found)] == [
        (pod.path, pod.labels, pod.service_account, pod.host_network) for pod in pods_of(whole)
    ]
    assert pods_of(whole)
    assert len(str(found.raw)) < 900


def test_other_objects_lose_their_managed_fields_only() -> None:
    raw = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "a", "managedFields": [1]},
        "spec": {"podSelector": {}},
    }
    kind = Resource(raw, CLUSTER).kind
    assert kind is not None
    assert slim(raw, kind).raw == {**raw, "metadata": {"name": "a"}}


@pytest.mark.parametrize("spec", [None, [], "x", {"template": 1}, {"template": {"spec": [], "metadata": 2}}])
def test_odd_shapes_are_no_pods_and_no_error(spec: object) -> None:
    raw = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}
    assert all(not pod.labels for pod in pods_of(outline(Resource(raw, CLUSTER))))


def test_replicas_share_what_is_equal_in_them() -> None:
    def replica(name: str, node: str) -> Resource:
        owners = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "1", "controller": True}]
        metadata = {"name": name, "namespace": "shop", "labels": {"app": "web"}, "ownerReferences": owners}
        raw = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**_POD, "nodeName": node}}
        return outline(Resource(raw, CLUSTER))

    one, other, elsewhere = replica("web-1-a", "n1"), replica("web-1-b", "n1"), replica("web-1-c", "n2")
    assert (one.name, other.name) == ("web-1-a", "web-1-b")
    for part in ("labels", "ownerReferences"):
        assert one.metadata[part] is other.metadata[part] is elsewhere.metadata[part]
    assert one.raw["spec"] is other.raw["spec"]
    assert elsewhere.raw["spec"]["nodeName"] == "n2"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda of: st.dictionaries(st.text(), of)))
def test_what_is_shared_is_equal_to_what_was_given(labels: object) -> None:
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": labels}, "spec": {}}
    found = outline(Resource(raw, CLUSTER)).metadata["labels"]
    assert repr(found) == repr(labels)


def test_what_objects_share_is_not_written_to() -> None:
    """Two places for pods in one object, the outer of which says nothing: the empty part is shared by all objects."""
    worker = {"workerSpec": {"containers": [{"name": "a"}], "hostNetwork": True}}
    raw = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ClusterServingRuntime", "metadata": {}, "spec": worker}
    assert outline(Resource(raw, CLUSTER)).raw["spec"] == {"workerSpec": {"hostNetwork": True}}
    pod = Resource({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": []}}, CLUSTER)
    assert outline(pod).raw["spec"] == {}
