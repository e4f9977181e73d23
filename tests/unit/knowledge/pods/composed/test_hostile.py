"""What is written once for all pods of an object counts in each of them: that costs no more than it is worth."""

import json
from typing import Any

import pytest

from iocaudit.core.hit import Hit
from iocaudit.core.repair import Edit, Repair
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.pods.places import pods_of
from tests.support.bounded import cpu_within

_CATALOGUE = builtin_catalogue()
_AUDITOR = Auditor(_CATALOGUE, PolicySet(_CATALOGUE), World())
_MANY = 4000
_ENV = [{"name": f"e{i}", "value": "v"} for i in range(_MANY)]
_VOLUMES: list[Any] = [{"name": f"v{i}", "emptyDir": {}} for i in range(_MANY)]
_MOUNTS = [{"name": "v", "mountPath": f"/m{i}"} for i in range(_MANY)]
_CONTAINERS = [{"name": f"c{i}", "image": "x"} for i in range(_MANY)]
_TEMPLATES = [{"name": f"t{i}", "container": {"image": "x"}} for i in range(_MANY)]
_WITH_ENV = [{"name": f"t{i}", "container": {"image": "x", "env": []}} for i in range(_MANY)]
_PATCH = "\n".join(f"a{i}: 1" for i in range(_MANY))
_TASKS = [{"name": f"s{i}", "taskSpec": {"steps": []}} for i in range(_MANY)]
_SPECS = [{"pipelineTaskName": f"s{i}", "podTemplate": {"volumes": []}} for i in range(_MANY)]

_OBJECTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a workflow's patch": ("argoproj.io/v1alpha1", "Workflow", {"podSpecPatch": _PATCH, "templates": _TEMPLATES}),
    "the defaults' patch": (
        "argoproj.io/v1alpha1",
        "Workflow",
        {"templateDefaults": {"podSpecPatch": "hostPID: ["}, "templates": _TEMPLATES},
    ),
    "defaults merged": (
        "argoproj.io/v1alpha1",
        "Workflow",
        {"templateDefaults": {"container": {"env": _ENV}}, "templates": _WITH_ENV},
    ),
    "defaults taken": (
        "argoproj.io/v1alpha1",
        "Workflow",
        {"templateDefaults": {"container": {"env": _ENV}}, "templates": _TEMPLATES},
    ),
    "tolerations": ("argoproj.io/v1alpha1", "Workflow", {"tolerations": _ENV, "templates": _TEMPLATES}),
    "one container's": (
        "argoproj.io/v1alpha1",
        "Workflow",
        {"templateDefaults": {"container": {"env": _ENV}}, "templates": [{"container": {"env": _VOLUMES}}]},
    ),
    "mounts of a set": (
        "argoproj.io/v1alpha1",
        "Workflow",
        {"templates": [{"name": "t", "containerSet": {"volumeMounts": _MOUNTS, "containers": _CONTAINERS}}]},
    ),
    "containers of a patch": (
        "argoproj.io/v1alpha1",
        "Workflow",
        {
            "templates": [
                {
                    "podSpecPatch": json.dumps({"containers": _CONTAINERS[:2000]}),
                    "containerSet": {"containers": [{"name": f"d{i}"} for i in range(_MANY)]},
                }
            ]
        },
    ),
    "a step template": (
        "tekton.dev/v1",
        "TaskRun",
        {"taskSpec": {"stepTemplate": {"env": _ENV}, "steps": [{**c, "env": []} for c in _CONTAINERS]}},
    ),
    "a run's variables": (
        "tekton.dev/v1",
        "TaskRun",
        {"podTemplate": {"env": _ENV}, "taskSpec": {"steps": _CONTAINERS}},
    ),
    "a run's volumes": (
        "tekton.dev/v1",
        "PipelineRun",
        {"taskRunTemplate": {"podTemplate": {"volumes": _VOLUMES}}, "pipelineSpec": {"tasks": _TASKS}},
    ),
    "volumes of task runs": (
        "tekton.dev/v1",
        "PipelineRun",
        {"taskRunTemplate": {"podTemplate": {"volumes": _VOLUMES}}, "taskRunSpecs": _SPECS},
    ),
    "volumes of one task": (
        "tekton.dev/v1",
        "TaskRun",
        {"podTemplate": {"volumes": _VOLUMES}, "taskSpec": {"steps": [{"image": "x"}]}},
    ),
    "volumes": ("argoproj.io/v1alpha1", "Workflow", {"volumes": _VOLUMES, "templates": _TEMPLATES}),
}


def _resource(name: str) -> Resource:
    api_version, kind, spec = _OBJECTS[name]
    return Resource(
        {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": "shop"}, "spec": spec}, CLUSTER
    )


@pytest.mark.parametrize("name", _OBJECTS)
def test_composing_pods_is_bounded(name: str) -> None:
    subject = _resource(name)
    with cpu_within(4):
        assert pods_of(subject)


def test_pods_that_are_too_much_are_a_fault_of_every_check_and_never_a_pass() -> None:
    report = _AUDITOR.audit(_resource("a step template"))
    assert report.found == []
    assert {"privileged-container", "host-path-mount"} <= {fault.check for fault in report.faults}
    assert {fault.error for fault in report.faults} == {"its pods share more than 200000 parts"}


def test_a_large_workflow_is_none_of_them() -> None:
    defaults = {"container": {"env": _ENV[:30], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}}
    spec = {"templateDefaults": defaults, "nodeSelector": {"disk": "fast"}, "templates": _TEMPLATES[:1000]}
    raw = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "a"}, "spec": spec}
    pods = pods_of(Resource(raw, CLUSTER))
    assert len(pods) == 1000
    assert not any(pod.refused for pod in pods)
    assert len(pods[-1].containers[0].raw["env"]) == 30


def test_repairs_of_a_pod_of_thousands_of_parts_are_placed_in_time() -> None:
    mounts = [{"name": f"v{i}", "mountPath": f"/m{i}"} for i in range(_MANY)]
    volumes = [{"name": f"v{i}", "hostPath": {"path": f"/etc/{i}"}} for i in range(_MANY)]
    spec = {"volumes": volumes, "driver": {"volumeMounts": mounts}}
    raw = {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "a"}}
    (pod,) = pods_of(Resource({**raw, "spec": spec}, CLUSTER))
    repair = Repair((Edit("remove", "spec.volumes[0].hostPath"),))
    with cpu_within(3):
        for number in range(_MANY):
            assert pod.settled(Hit(f"{pod.path}.volumes[{number}]", "x", repair=repair)).repair is not None
