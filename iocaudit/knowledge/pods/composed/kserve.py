"""The pods of a component of an InferenceService: a PodSpec with one container more, and the workers beside it.

Source: kserve, pkg/apis/serving/v1beta1/predictor.go, explainer.go and component.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json
from iocaudit.knowledge.pods.pod import PodSpec

_LISTS = ("initContainers", "containers")
_SERVERS = (
    *("art", "huggingface", "lightgbm", "model", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow"),
    *("triton", "xgboost"),
)
"""Fields that hold what is to be served and, in the same map, a container: only what differs from its runtime's."""
_SAYS = frozenset({"args", "command", "env", "image", "lifecycle", "ports", "securityContext", "volumeMounts"})


def component_pods(resource: Resource, spec: Json, path: str) -> Iterator[PodSpec]:
    """The pods of the predictor, transformer or explainer that stands at ``path``."""
    pod = PodSpec(resource, spec, path, resource.metadata, "metadata", {})
    for name in _LISTS:
        pod.add_list(name)
    for name in _SERVERS:
        server = spec.get(name)
        if isinstance(server, dict) and not _SAYS.isdisjoint(server):
            pod.add(server, "containers", f"{path}.{name}")
    yield pod
    workers = spec.get("workerSpec")
    if isinstance(workers, dict):
        pod = PodSpec(resource, workers, f"{path}.workerSpec", resource.metadata, "metadata", {})
        for name in _LISTS:
            pod.add_list(name)
        yield pod
