"""Tekton: what a task, its step template and the pod template of its run say together, and where."""

from typing import Any

import pytest
import yaml

from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_reader import read_policies
from iocaudit.knowledge.pods.places import pods_of

Json = dict[str, Any]
_CATALOGUE = builtin_catalogue()
_ALL = ("host-network", "privileged-container", "runs-as-root", "sensitive-host-path", "secret-in-env")


def _run(kind: str, text: str, version: str = "v1") -> Resource:
    raw = {"apiVersion": f"tekton.dev/{version}", "kind": kind, "metadata": {"name": "r", "namespace": "shop"}}
    return Resource({**raw, "spec": yaml.safe_load(text)}, ADMISSION)


def _hits(resource: Resource, *checks: str) -> list[tuple[str, str]]:
    report = Auditor(_CATALOGUE.select(checks or _ALL), read_policies([], _CATALOGUE), World()).audit(resource)
    assert not report.faults
    assert not report.skipped
    return sorted((found.check, found.hit.path) for found in report.found)


_POD_TEMPLATE = """
    hostNetwork: true
    securityContext: {runAsUser: 0}
    volumes: [{name: host, hostPath: {path: /etc}}]
    env: [{name: DB_PASSWORD, value: ghp_1234567890abcdefghijklmnopqrstuvwxyz}]
"""


def _of_template(at: str) -> list[tuple[str, str]]:
    return [
        ("host-network", f"{at}.hostNetwork"),
        ("runs-as-root", f"{at}.securityContext.runAsUser"),
        ("sensitive-host-path", f'{at}.volumes["host"].hostPath.path'),
    ]


@pytest.mark.parametrize(
    ("kind", "before", "at"),
    [
        ("TaskRun", "taskSpec: {steps: [{name: s, image: x}]}", "spec.podTemplate"),
        ("TaskRun", "taskRef: {name: elsewhere}", "spec.podTemplate"),
        ("PipelineRun", "pipelineRef: {name: elsewhere}", "spec.podTemplate"),
        (
            "PipelineRun",
            "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{name: s, image: x}]}}]}",
            "spec.podTemplate",
        ),
    ],
)
def test_a_pod_template_counts_for_the_run(kind: str, before: str, at: str) -> None:
    resource = _run(kind, f"{before}\npodTemplate: {_POD_TEMPLATE}", "v1beta1")
    assert _hits(resource, "host-network", "runs-as-root", "sensitive-host-path") == _of_template(at)


def test_variables_of_a_pod_template_are_those_of_each_step() -> None:
    resource = _run("TaskRun", f"taskSpec: {{steps: [{{name: s}}, {{name: t}}]}}\npodTemplate: {_POD_TEMPLATE}")
    assert _hits(resource, "secret-in-env") == [("secret-in-env", 'spec.podTemplate.env["DB_PASSWORD"]')]


def test_a_pipeline_run_of_v1_says_it_for_all_tasks_and_for_one() -> None:
    text = """
    taskRunTemplate:
      serviceAccountName: builder
      podTemplate: {securityContext: {runAsUser: 0}, volumes: [{name: a, hostPath: {path: /etc}}]}
    taskRunSpecs:
    - pipelineTaskName: one
      serviceAccountName: other
      podTemplate: {securityContext: {runAsUser: 1000}, volumes: [{name: b, hostPath: {path: /root}}]}
    - pipelineTaskName: elsewhere
      podTemplate: {hostNetwork: true, securityContext: {runAsUser: 1}}
    pipelineSpec:
      tasks: [{name: one, taskSpec: {steps: [{name: s, image: x}]}}]
      finally: [{name: two, taskSpec: {steps: [{name: s, image: x}]}}, {name: elsewhere, taskRef: {name: t}}]
    """
    resource = _run("PipelineRun", text)
    assert _hits(resource, *_ALL[:-1]) == [
        ("host-network", "spec.taskRunSpecs[1].podTemplate.hostNetwork"),
        ("runs-as-root", "spec.taskRunTemplate.podTemplate.securityContext.runAsUser"),
        ("sensitive-host-path", 'spec.taskRunSpecs[0].podTemplate.volumes["b"].hostPath.path'),
        ("sensitive-host-path", 'spec.taskRunTemplate.podTemplate.volumes["a"].hostPath.path'),
    ]
    assert [pod.service_account for pod in pods_of(resource)] == ["other", "builder", "builder"]


def test_a_task_run_spec_of_v1beta1_has_fields_of_its_own() -> None:
    text = """
    serviceAccountName: builder
    taskRunSpecs:
    - {pipelineTaskName: one, taskServiceAccountName: other, taskPodTemplate: {hostNetwork: true}}
    pipelineSpec: {tasks: [{name: one, taskSpec: {steps: [{name: s, image: x}]}}]}
    """
    resource = _run("PipelineRun", text, "v1beta1")
    assert _hits(resource, "host-network") == [("host-network", "spec.taskRunSpecs[0].taskPodTemplate.hostNetwork")]
    assert [pod.service_account for pod in pods_of(resource)] == ["other"]


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        ("Task", "spec"),
        ("TaskRun", "spec.taskSpec"),
        ("Pipeline", 'spec.tasks["t"].taskSpec'),
        ("PipelineRun", 'spec.pipelineSpec.finally["t"].taskSpec'),
    ],
)
def test_a_step_template_is_beneath_each_step_and_no_sidecar(kind: str, at: str) -> None:
    task = """{
      stepTemplate: {name: x, securityContext: {privileged: true, runAsUser: 0}},
      steps: [{name: a, image: x}, {name: b, image: x, securityContext: {privileged: false, runAsUser: 1000}}],
      sidecars: [{name: c, image: x, securityContext: {runAsUser: 0}}]
    }"""
    text = {
        "Task": task,
        "TaskRun": f"taskSpec: {task}",
        "Pipeline": f"tasks: [{{name: t, taskSpec: {task}}}]",
        "PipelineRun": f"pipelineSpec: {{finally: [{{name: t, taskSpec: {task}}}]}}",
    }[kind]
    assert _hits(_run(kind, text), "privileged-container", "runs-as-root") == [
        ("privileged-container", f"{at}.stepTemplate.securityContext.privileged"),
        ("runs-as-root", f'{at}.sidecars["c"].securityContext.runAsUser'),
        ("runs-as-root", f"{at}.stepTemplate.securityContext.runAsUser"),
    ]


def test_a_mount_of_the_step_template_is_repaired_where_it_stands() -> None:
    text = """
    podTemplate: {volumes: [{name: h, hostPath: {path: /data}}]}
    taskSpec:
      stepTemplate: {volumeMounts: [{name: x, mountPath: /x}, {name: h, mountPath: /h}]}
      steps: [{name: s, image: i, volumeMounts: [{name: o, mountPath: /o}]}]
    """
    report = Auditor(_CATALOGUE.select(["writable-host-path"]), read_policies([], _CATALOGUE), World()).audit(
        _run("TaskRun", text)
    )
    (found,) = report.found
    assert found.hit.path == 'spec.taskSpec.stepTemplate.volumeMounts["h"]'
    assert found.hit.repair is not None
    assert [edit.path for edit in found.hit.repair.edits] == ["spec.taskSpec.stepTemplate.volumeMounts[1].readOnly"]


def test_a_run_that_says_nothing_of_a_task_elsewhere_has_no_pod() -> None:
    assert pods_of(_run("TaskRun", "taskRef: {name: t}")) == []
    assert pods_of(_run("PipelineRun", "pipelineRef: {name: p}")) == []
    account = pods_of(_run("TaskRun", "{taskRef: {name: t}, serviceAccountName: robot}"))
    assert [pod.service_account for pod in account] == ["robot"]


@pytest.mark.parametrize(
    "spec",
    [
        {"taskSpec": [], "podTemplate": 1, "taskRunSpecs": {}, "pipelineSpec": {"tasks": {}, "finally": [1]}},
        {"taskSpec": {"steps": [1], "sidecars": {}, "stepTemplate": 2}, "podTemplate": {"env": 1, "volumes": {}}},
        {"tasks": [{"taskSpec": {"steps": [{"env": 1}]}}], "podTemplate": {"env": [{}, 1]}, "taskRunTemplate": []},
    ],
)
@pytest.mark.parametrize("kind", ["Task", "TaskRun", "Pipeline", "PipelineRun"])
def test_odd_shapes_are_no_error(kind: str, spec: Json) -> None:
    raw = {"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": "r"}, "spec": spec}
    report = Auditor(_CATALOGUE, read_policies([], _CATALOGUE), World()).audit(Resource(raw, ADMISSION))
    assert not report.faults
