"""The driver and the executors of a SparkApplication.

Each may set fields of its pod and of its main container side by side, over a pod template. Source: kubeflow
spark-operator, api/v1beta2/sparkapplication_types.go; Spark, running on Kubernetes, pod templates (the first
container of a template is the main one) and resource requests (memory is always limited).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, items, mapping, mappings
from iocaudit.knowledge.pods.composed.layers import Allowance, Layers, MovedPaths, item_path
from iocaudit.knowledge.pods.composed.volumes import share_volumes
from iocaudit.knowledge.pods.pod import PodSpec

_OF_POD = {
    "affinity": "affinity",
    "dnsConfig": "dnsConfig",
    "hostAliases": "hostAliases",
    "hostNetwork": "hostNetwork",
    "nodeSelector": "nodeSelector",
    "podSecurityContext": "securityContext",
    "schedulerName": "schedulerName",
    "serviceAccount": "serviceAccountName",
    "shareProcessNamespace": "shareProcessNamespace",
    "tolerations": "tolerations",
}
"""Fields of a driver or executor, and what they are in its pod."""
_OF_CONTAINER = ("env", "envFrom", "image", "lifecycle", "ports", "securityContext", "volumeMounts")
_MEMORY = re.compile(r"([0-9]+)\s*([kmgt]?)b?", re.IGNORECASE)
_RESOURCES = {
    "limits.cpu": "coreLimit",
    "limits.memory": "memory",
    "requests.cpu": "coreRequest",
    "requests.memory": "memory",
}


def spark_pods(resource: Resource, spec: Json, path: str) -> Iterator[PodSpec]:
    """The pods of the SparkApplicationSpec ``spec``, which stands at ``path``."""
    pods = [
        _pod(resource, spec, path, part, f"{path}.{role}")
        for role in ("driver", "executor")
        if isinstance(part := spec.get(role), dict)
    ]
    share_volumes(pods, spec.get("volumes"), f"{path}.volumes", Allowance())
    yield from pods


def _pod(resource: Resource, whole: Json, whole_at: str, part: Json, at: str) -> PodSpec:
    moved: MovedPaths = {}
    template = mapping(part.get("template"))
    template_at = f"{at}.template.spec"
    spec: Json = dict(mapping(template.get("spec")))
    for name, in_pod in _OF_POD.items():
        if part.get(name) is not None:
            spec[in_pod] = part[name]
            moved[f"{template_at}.{in_pod}"] = f"{at}.{name}"
    metadata = {
        name: {**mapping(mapping(template.get("metadata")).get(name)), **mapping(part.get(name))}
        for name in ("labels", "annotations")
    }
    pod = PodSpec(resource, spec, template_at, metadata, at, moved)
    others = list(items(spec.get("containers")))
    main = others.pop(0) if others and isinstance(others[0], dict) else {}
    under_at = item_path(f"{template_at}.containers", main, 0)
    pod.add(_main(whole, whole_at, part, at, main, under_at, moved), "containers", at)
    for index, container in enumerate(others, 1):
        if isinstance(container, dict):
            pod.add(container, "containers", item_path(f"{template_at}.containers", container, index))
    pod.add_list("initContainers")
    for name in ("initContainers", "sidecars"):
        for index, container in enumerate(mappings(part.get(name))):
            pod.add(container, name, item_path(f"{at}.{name}", container, index))
    return pod


def _main(
    whole: Json, whole_at: str, part: Json, at: str, under: Mapping[str, Any], under_at: str, moved: MovedPaths
) -> Json:
    own: Json = {name: part[name] for name in _OF_CONTAINER if part.get(name) is not None}
    if own.get("image") is None and whole.get("image") is not None:
        own["image"] = whole["image"]
        moved[f"{at}.image"] = f"{whole_at}.image"
    variables = mapping(part.get("envVars"))
    if variables:
        own["env"] = [*items(own.get("env")), *({"name": name, "value": value} for name, value in variables.items())]
        for name in variables:
            moved[f"{at}.env{paths.key(str(name))}"] = paths.field(f"{at}.envVars", str(name))
    found = Layers(moved, Allowance()).beneath(own, at, under, under_at)
    found.setdefault("name", at.rpartition(".")[2])
    resources = mapping(found.get("resources"))
    memory, cores = _memory(part.get("memory")), part.get("coreRequest") or part.get("cores") or 1
    limits = {**mapping(resources.get("limits")), "memory": memory}
    if part.get("coreLimit") is not None:
        limits["cpu"] = part["coreLimit"]
    requests = {**mapping(resources.get("requests")), "cpu": cores, "memory": memory}
    found["resources"] = {**resources, "limits": limits, "requests": requests}
    for name, field in _RESOURCES.items():
        if name != "limits.cpu" or part.get("coreLimit") is not None or "cpu" not in limits:
            moved[f"{at}.resources.{name}"] = f"{at}.{field}"
    return found


def _memory(value: object) -> object:
    """A size as the JVM spells it as a quantity; Spark's default where there is none."""
    match = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return "1Gi" if value is None else value
    return f"{match[1]}{(match[2] or 'm').upper()}i"
