"""A check that names the fields its hits stand in has nothing to say of a pod that sets none of them.

The engine leaves such a check out there, so a field that is missing in a declaration would be a silent pass.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.core import check as declaring
from iocaudit.core.check import Check
from iocaudit.core.errors import CatalogueError
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import POD
from iocaudit.core.request import Operation, Request
from iocaudit.core.resource import ADMISSION, Origin, Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import PodSpec

CATALOGUE = builtin_catalogue()
NAMING = [check for check in CATALOGUE if check.fields]
_REQUEST = Request(Operation.UPDATE, "alice", subresource="ephemeralcontainers", namespace="shop", name="web")
_LISTS = ("containers", "initContainers", "ephemeralContainers", "volumes")
Json = dict[str, Any]


_VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "etc"},
    "spec": {"hostPath": {"path": "/etc"}, "claimRef": {"namespace": "default", "name": "a"}},
}


def _world() -> World:
    world = World()
    world.add(Resource(_VOLUME, Origin("file", "volume.yaml")))
    return world


def _examples() -> list[PodSpec]:
    """Every pod of every check's documentation, and one whose claim means a path of the node."""
    pods = [_pod({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "a"}}]}, {})]
    for check in CATALOGUE:
        for text in (check.doc.bad, check.doc.good):
            for document in yaml.safe_load_all(text):
                raw = document["request"]["object"] if document["kind"] == "AdmissionReview" else document
                pods += pods_of(Resource(raw, Origin("file", "example.yaml")))
    return pods


def _said(check: Check, pod: PodSpec) -> list[Hit | Skip]:
    """What a check says, under the widest settings."""
    params = {**check.strict_defaults, "groups": True, "readOnlyRequired": True}
    handed = {"world": _world(), "params": params, "request": _REQUEST}
    return list(check(pod, **{name: handed[name] for name in check.handed}))


def _without(value: object, fields: Collection[str]) -> Any:
    """The same tree without any key of these names."""
    if isinstance(value, dict):
        return {key: _without(item, fields) for key, item in value.items() if key not in fields}
    return [_without(item, fields) for item in value] if isinstance(value, list) else value


def _pod(spec: Json, metadata: Json) -> PodSpec:
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", **metadata}, "spec": spec}
    return pods_of(Resource(raw, ADMISSION))[0]


EXAMPLES = _examples()


@pytest.mark.parametrize("check", NAMING, ids=lambda check: check.id)
def test_no_example_without_them_is_flagged(check: Check) -> None:
    assert any(_said(check, pod) for pod in EXAMPLES), "no example is flagged at all"
    for pod in EXAMPLES:
        metadata = {"labels": pod.labels, "annotations": pod.annotations}
        bare = _pod(_without(pod.spec, check.fields), _without(metadata, check.fields))
        assert bare.fields.isdisjoint(check.fields)
        assert not _said(check, bare)


_NAMES = st.sampled_from(
    sorted(
        {field for check in NAMING for field in check.fields}
        | {field for pod in EXAMPLES for field in pod.fields}
        | {"add", "type", "exec", "command", "httpGet", "host", "path", "localhostProfile", "securityContext"}
    )
)
_SCALARS = st.sampled_from((None, True, False, 0, 1, 80, "", "a", "Unmasked", "/etc", "SYS_ADMIN", "Unconfined"))
_TREES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5), max_leaves=25
)
_CONTAINERS = st.lists(st.dictionaries(_NAMES, _TREES, max_size=6), max_size=3)
_SPECS = st.builds(
    lambda spec, lists: {**spec, **lists},
    st.dictionaries(_NAMES, _TREES, max_size=8),
    st.fixed_dictionaries({}, optional=dict.fromkeys(_LISTS, _CONTAINERS)),
)


@settings(max_examples=300)
@given(_SPECS, st.dictionaries(st.sampled_from(("labels", "annotations")), st.dictionaries(_NAMES, _SCALARS)))
def test_no_pod_without_them_is_flagged(spec: Json, metadata: Json) -> None:
    pod = _pod(spec, metadata)
    for check in NAMING:
        if pod.fields.isdisjoint(check.fields):
            assert not _said(check, pod), check.id


def test_the_fields_of_every_place_count() -> None:
    volumes = [{"name": "a", "hostPath": {"path": "/"}}]
    containers = [{"name": "a", "securityContext": {"privileged": None}}, {"ports": []}]
    spec = {"containers": containers, "volumes": volumes, "securityContext": {"sysctls": []}, "hostPID": True}
    pod = _pod(spec, {"annotations": {"a": "b"}})
    assert pod.fields >= {"hostPath", "privileged", "ports", "sysctls", "hostPID", "annotations"}
    assert "annotations" not in _pod(spec, {}).fields


def test_only_a_check_on_pods_names_fields() -> None:

    def function(resource: Resource) -> Any:
        """It hits."""
        yield Hit("", resource.name)

    with pytest.raises(CatalogueError, match="takes no pod"):
        declaring.check(
            "broken",
            severity=Severity.LOW,
            iocs=(IoC.CLUSTER_ADMIN,),
            group="pods",
            looks_at=(POD,),
            fields=("env",),
        )(function)
