"""The one visitor: every place of an object where a pod may stand, and every container of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from iocaudit.core import paths
from iocaudit.core.kinds import PodLocation
from iocaudit.core.kinds.kind import PodStyle
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, mapping
from iocaudit.knowledge.pods.composed.layers import TooMuchError, item_path
from iocaudit.knowledge.pods.pod import MistypedPart, PodSpec

_LISTS = ("initContainers", "containers", "ephemeralContainers")
_Visit = Callable[[Resource, Json, str], Iterator[PodSpec]]


@cache
def _composed(style: PodStyle) -> _Visit | None:
    """Who puts the pods of a style together; None where the pod stands as it is."""
    if style in ("template", "spec"):
        return None
    # Late: few of a scan's objects are of these kinds, and every scan would wait for their patterns.
    from iocaudit.knowledge.pods.by_shape import shaped_pods
    from iocaudit.knowledge.pods.composed import argo, kserve, spark, tekton

    visits: dict[PodStyle, _Visit] = {
        "argo": argo.workflow_pods,
        "kserve": kserve.component_pods,
        "shape": shaped_pods,
        "spark": spark.spark_pods,
        "tekton": tekton.task_pods,
        "tekton-run": tekton.task_run_pods,
        "tekton-pipeline": tekton.pipeline_pods,
        "tekton-pipeline-run": tekton.pipeline_run_pods,
    }
    return visits[style]


def pods_of(resource: Resource) -> list[PodSpec]:
    """The pods an object holds, through the one visitor; visited once and kept with the object."""
    return resource.derive(pods_in) if resource.kind is not None and resource.kind.pods else []


def forget_pods(resource: Resource) -> None:
    """Let go of the visited pods, so the object of an answered request is freed at once.

    Resource, pod and container refer to each other: without this only the garbage collector frees them, and
    it is late by dozens of requests, which costs memory, cache and pauses. They are visited anew if asked for.
    """
    for pod in resource.forget(pods_in) or ():
        pod.containers.clear()


def pods_in(resource: Resource) -> list[PodSpec]:
    """Every pod the resource's kind is known to hold; none where the kind is unknown or the part is absent."""
    if resource.kind is None:
        return []
    found: list[PodSpec] = []
    for place in resource.kind.pods:
        for value, path in _reach(resource.raw, place.path, ""):
            if isinstance(value, dict):
                if (composed := _composed(place.style)) is not None:
                    try:
                        found += composed(resource, value, path)
                    except TooMuchError as error:
                        pod = PodSpec(resource, {}, path, {}, "metadata")
                        pod.refused = str(error)
                        found.append(pod)
                else:
                    found.append(_visit(resource, place, value, path))
            elif value is not None:
                pod = PodSpec(resource, {}, path, {}, "metadata")
                pod.problems.append(MistypedPart(path, "a map"))
                found.append(pod)
    return found


def _reach(value: Any, parts: tuple[str, ...], path: str) -> Iterator[tuple[Any, str]]:
    if not parts:
        yield value, path
        return
    head, rest = parts[0], parts[1:]
    if head == "[]":
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _reach(item, rest, item_path(path, item, index))
    elif isinstance(value, dict):
        if head == "*":
            for name, item in value.items():
                yield from _reach(item, rest, path + paths.key(str(name)))
        elif value.get(head) is not None:
            yield from _reach(value[head], rest, f"{path}.{head}" if path else head)


def _visit(resource: Resource, place: PodLocation, value: Json, path: str) -> PodSpec:
    if place.style == "template":
        spec = value.get("spec")
        pod = PodSpec(
            resource,
            spec if isinstance(spec, dict) else {},
            f"{path}.spec",
            mapping(value.get("metadata")),
            f"{path}.metadata",
        )
        if spec is not None and not isinstance(spec, dict):
            pod.problems.append(MistypedPart(f"{path}.spec", "a map"))
    else:
        pod = PodSpec(resource, value, path, resource.metadata, "metadata")
    for name in _LISTS:
        pod.add_list(name)
    return pod
