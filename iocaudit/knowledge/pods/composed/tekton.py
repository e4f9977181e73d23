"""The pods of Tekton: a TaskSpec's steps over its stepTemplate, with the pod template of the run.

Source: tektoncd/pipeline, pkg/pod/pod.go (Build), pkg/apis/pipeline/pod/template.go and the types of v1 and v1beta1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.knowledge.pods.composed.layers import Allowance, Layers, MovedPaths, item_path
from iocaudit.knowledge.pods.pod import MistypedPart, PodSpec

_TASKS = ("tasks", "finally")


class _Run(NamedTuple):
    """What a run says of a task's pod: its pod template, and its ServiceAccount."""

    template: Json
    moved: MovedPaths
    """By a field of the pod, below nothing, where it stands: ``hostNetwork`` and ``volumes["x"]``."""
    says: bool = False
    """Whether there is a pod template or a ServiceAccount at all."""


_NO_RUN = _Run({}, {})


def task_pods(resource: Resource, spec: Json, path: str) -> Iterator[PodSpec]:
    """The pod of a Task, whose TaskSpec stands at ``path``."""
    yield _pod(resource, spec, path, _NO_RUN, Allowance())


def task_run_pods(resource: Resource, spec: Json, path: str) -> Iterator[PodSpec]:
    """The pod of a TaskRun; without containers where the Task stands elsewhere."""
    yield from _run_pods(resource, [(spec.get("taskSpec"), f"{path}.taskSpec", _run(spec, path))], Allowance())


def pipeline_pods(resource: Resource, spec: Json, path: str) -> Iterator[PodSpec]:
    """The pods of the tasks that a Pipeline holds itself."""
    allowance = Allowance()
    for _, task, task_at in _tasks(spec, path):
        yield _pod(resource, task, task_at, _NO_RUN, allowance)


def pipeline_run_pods(resource: Resource, spec: Json, path: str) -> Iterator[PodSpec]:
    """The pods of a PipelineRun: one a task that it holds itself, one a setting for a task that stands elsewhere."""
    allowance = Allowance()
    whole = _run(mapping(spec.get("taskRunTemplate")), f"{path}.taskRunTemplate")  # v1
    whole = _over(_run(spec, path), whole, allowance)  # v1beta1
    own: dict[str, _Run] = {}
    for index, entry in enumerate(mappings(spec.get("taskRunSpecs"))):
        own[text(entry.get("pipelineTaskName"))] = _over(whole, _run(entry, f"{path}.taskRunSpecs[{index}]"), allowance)
    held: list[tuple[Any, str, _Run]] = [
        (task, task_at, own.pop(name, whole))
        for name, task, task_at in _tasks(mapping(spec.get("pipelineSpec")), f"{path}.pipelineSpec")
    ]
    elsewhere = list(own.values())
    if not held and not elsewhere:
        elsewhere = [whole]
    yield from _run_pods(resource, [*held, *((None, path, run) for run in elsewhere)], allowance)


def _run_pods(resource: Resource, runs: list[tuple[Any, str, _Run]], allowance: Allowance) -> Iterator[PodSpec]:
    for task, at, run in runs:
        if isinstance(task, dict):
            yield _pod(resource, task, at, run, allowance)
        elif run.says:
            yield _pod(resource, {}, at, run, allowance)


def _tasks(pipeline: Mapping[str, Any], path: str) -> Iterator[tuple[str, Json, str]]:
    for name in _TASKS:
        value = pipeline.get(name)
        for index, task in enumerate(value if isinstance(value, list) else ()):
            if isinstance(task, dict) and isinstance(inner := task.get("taskSpec"), dict):
                yield text(task.get("name")), inner, f"{item_path(f'{path}.{name}', task, index)}.taskSpec"


def _run(holder: Mapping[str, Any], at: str) -> _Run:
    """What a TaskRun, or the part of a PipelineRun that is like one, says."""
    template: Json = {}
    moved: MovedPaths = {}
    says = False
    for field in ("taskPodTemplate", "podTemplate"):
        says = says or isinstance(holder.get(field), dict)
        for name, value in mapping(holder.get(field)).items():
            template[name] = value
            moved[name] = f"{at}.{field}.{name}"
    for field in ("taskServiceAccountName", "serviceAccountName"):
        if text(holder.get(field)):
            template["serviceAccountName"] = holder[field]
            moved["serviceAccountName"] = f"{at}.{field}"
    return _Run(template, moved, says or bool(template))


def _over(under: _Run, over: _Run, allowance: Allowance) -> _Run:
    """The one with the other for what it does not set; volumes and variables go by their names."""
    allowance.take(len(under.moved))
    template, moved = {**under.template, **over.template}, {**under.moved, **over.moved}
    for name in ("env", "volumes"):
        mine, theirs = over.template.get(name), under.template.get(name)
        if isinstance(mine, list) and isinstance(theirs, list):
            taken = {item.get("name") for item in mappings(mine)}
            left = [(i, item) for i, item in enumerate(theirs) if mapping(item).get("name") not in taken]
            template[name] = [*mine, *(item for _, item in left)]
            allowance.take(len(theirs))
            for place, (index, item) in enumerate(left, len(mine)):
                moved[item_path(name, item, place)] = item_path(under.moved[name], item, index)
    return _Run(template, moved, under.says or over.says)


def _pod(resource: Resource, task: Json, at: str, run: _Run, allowance: Allowance) -> PodSpec:
    """The pod of a task. Its spec is the TaskSpec, whose volumes it shares with the run's pod template."""
    moved: MovedPaths = {}
    spec = dict(task)
    for name, value in run.template.items():
        if name == "env" or (name == "volumes" and isinstance(value, list)):
            continue
        if name in run.moved:
            moved[f"{at}.{name}"] = run.moved[name]
        spec[name] = value
    pod = PodSpec(resource, spec, at, resource.metadata, "metadata", moved)
    volumes = mappings(run.template.get("volumes"))
    allowance.take_whole(run.template)
    for index, volume in enumerate(volumes):
        pod.take_volume(volume, _place(run, "volumes", volume, index))
    common, common_at = task.get("stepTemplate"), f"{at}.stepTemplate"
    layers = Layers(moved, allowance)
    for name in ("steps", "sidecars"):
        steps = task.get(name)
        if steps is not None and not isinstance(steps, list):
            pod.problems.append(MistypedPart(f"{at}.{name}", "a list of containers"))
            continue
        for index, step in enumerate(steps or ()):
            path = item_path(f"{at}.{name}", step, index)
            if not isinstance(step, dict):
                pod.problems.append(MistypedPart(path, "a container"))
                continue
            if name == "steps" and isinstance(common, dict):
                under = {key: value for key, value in common.items() if key != "name"}
                step = layers.beneath(step, path, under, common_at)
            pod.add(_with_variables(step, path, run, moved, allowance), name, path)
    return pod


def _with_variables(step: Json, path: str, run: _Run, moved: MovedPaths, allowance: Allowance) -> Json:
    variables = mappings(run.template.get("env"))
    if not variables:
        return step
    allowance.take_whole(variables)
    own = step.get("env") if isinstance(step.get("env"), list) else []
    assert isinstance(own, list)
    taken = {item.get("name") for item in mappings(own)}
    found = list(own)
    for index, variable in enumerate(variables):
        if variable.get("name") not in taken:
            moved[item_path(f"{path}.env", variable, len(found))] = _place(run, "env", variable, index)
            found.append(variable)
    return {**step, "env": found}


def _place(run: _Run, name: str, item: Json, index: int) -> str:
    """Where an item of a list of the run's stands."""
    composed = item_path(name, item, index)
    return run.moved.get(composed) or item_path(run.moved[name], item, index)
