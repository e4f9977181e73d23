"""A pod put into every kind that holds pods, at every place where the kind holds one, as that kind would have it."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from iocaudit.core.kinds import Kind, PodLocation
from iocaudit.core.kinds.workloads import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)

Json = dict[str, Any]
NAME = "web"

_NAMED = frozenset({"replicatedJobs", "tasks", "templates", "predictors"})
"""Lists whose items must have a name."""
_SELECTING = (REPLICA_SET, DEPLOYMENT, STATEFUL_SET, DAEMON_SET)

_ON_BOTH_LEVELS = (
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "seccompProfile",
    "appArmorProfile",
    "seLinuxOptions",
    "windowsOptions",
)
"""Fields of a securityContext that a container takes from its pod where it has none itself."""

_STEP = frozenset(
    {"name", "image", "command", "args", "env", "envFrom", "imagePullPolicy", "securityContext", "volumeMounts"}
)
"""What a step of Tekton has of a container, but for its resources; a sidecar has the rest too."""
_ARGO_WHOLE = frozenset({"hostNetwork", "dnsPolicy", "dnsConfig"})
"""What only a workflow has, for all of its templates."""
_POD_TEMPLATE = (
    "automountServiceAccountToken",
    "dnsPolicy",
    "hostAliases",
    "hostNetwork",
    "securityContext",
    "tolerations",
    "volumes",
)
"""What a pod template of Tekton has of a pod's spec."""
_ARGO = frozenset(
    {
        "activeDeadlineSeconds",
        "affinity",
        "automountServiceAccountToken",
        "hostAliases",
        "nodeSelector",
        "priorityClassName",
        "schedulerName",
        "securityContext",
        "serviceAccountName",
        "tolerations",
        "volumes",
    }
)
"""What a template of Argo Workflows has of a pod's spec beside its containers."""


def carried(pod: Json, kind: Kind, namespace: str = "shop") -> Json:
    """An object of ``kind`` that holds ``pod`` (metadata and spec) at each of its places.

    Fields that the place doesn't have are left out, so that what comes out is an object as its project has it.
    """
    metadata: Json = {"name": NAME}
    if kind.namespaced:
        metadata["namespace"] = namespace
    found: Json = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
    for at in kind.pods:
        _merge(found, _reach(list(at.path), _part(pod, kind, at)))
        if at.style not in ("template", "argo", "spark"):
            _merge(metadata, _metadata(pod))
    _complete(found, pod, kind)
    return found


def _metadata(pod: Json) -> Json:
    given = pod.get("metadata", {})
    return {key: copy.deepcopy(given[key]) for key in ("labels", "annotations") if key in given}


def _part(pod: Json, kind: Kind, at: PodLocation) -> Json:
    spec = copy.deepcopy(pod["spec"])
    if kind is not POD:
        spec.pop("restartPolicy", None)
    if kind in (JOB, CRON_JOB):
        spec["restartPolicy"] = "Never"
    if at.style == "argo":
        return _workflow(spec, _metadata(pod))
    if at.style == "spark":
        return _spark(spec, _metadata(pod))
    if at.style.startswith("tekton"):
        return _tekton(spec, at.style, version=kind.version)
    if at.style in ("spec", "kserve"):
        return dict(spec)
    metadata = _metadata(pod)
    metadata.setdefault("labels", {"app": NAME})
    return {"metadata": metadata, "spec": spec}


def _workflow(spec: Json, metadata: Json) -> Json:
    (container,) = spec.pop("containers")
    template = {key: value for key, value in spec.items() if key in _ARGO and key not in _ARGO_WHOLE}
    whole = {key: value for key, value in spec.items() if key in _ARGO_WHOLE}
    left = {key: value for key, value in spec.items() if key not in _ARGO | _ARGO_WHOLE}
    if left:
        whole["podSpecPatch"] = yaml.safe_dump(left)
    return {**whole, "templates": [{"name": "main", "metadata": metadata, **template, "container": container}]}


def _spark(spec: Json, metadata: Json) -> Json:
    """A driver with a pod template, but for what Spark sets itself: how much memory its main container has."""
    resources = spec["containers"][0].get("resources", {})
    memory = resources.get("limits", {}).get("memory") or resources.get("requests", {}).get("memory")
    driver: Json = {"template": {"metadata": metadata, "spec": spec}}
    if memory is not None:
        driver["memory"] = str(memory).removesuffix("i").lower()
    if cores := resources.get("requests", {}).get("cpu"):
        driver["coreRequest"] = cores
    return {"driver": driver}


def _tekton(spec: Json, style: str, *, version: str) -> Json:
    """Runs have what a TaskSpec lacks in their pod template."""
    if style == "tekton":
        return _task(spec, version=version)
    if style == "tekton-pipeline":
        return {"tasks": [{"name": "main", "taskSpec": _task(spec, version=version)}]}
    given = {key: spec.pop(key) for key in _POD_TEMPLATE if key in spec}
    task = _task(spec, version=version)
    run: Json = {"podTemplate": given} if given else {}
    run |= {key: spec[key] for key in ("serviceAccountName",) if key in spec}
    if style == "tekton-run":
        return {**run, "taskSpec": task}
    whole = {"taskRunTemplate": run} if run else {}
    return {**whole, "pipelineSpec": {"tasks": [{"name": "main", "taskSpec": task}]}}


def _task(spec: Json, *, version: str) -> Json:
    """A TaskSpec, which has no securityContext of its own: its containers carry what they would inherit."""
    inherited = {key: value for key, value in spec.get("securityContext", {}).items() if key in _ON_BOTH_LEVELS}
    task: Json = {"volumes": spec["volumes"]} if "volumes" in spec else {}
    for container in spec["containers"]:
        if context := {**inherited, **container.get("securityContext", {})}:
            container["securityContext"] = context
        if version == "v1" and "resources" in container:
            container["computeResources"] = container.pop("resources")
        is_step = container.keys() <= _STEP | {"resources", "computeResources"}
        task.setdefault("steps" if is_step else "sidecars", []).append(container)
    task.setdefault("steps", [{"name": "work", "image": "hooli.com/shop/work:1"}] if "sidecars" in task else [])
    return task


def _reach(path: list[str], part: Json) -> Json:
    """``part`` at the end of a path of keys, list items and map values."""
    if not path:
        return part
    key, *rest = path
    if not rest or rest[0] not in ("[]", "*"):
        return {key: _reach(rest, part)}
    inner = _reach(rest[1:], part)
    if rest[0] == "*":
        return {key: {"Worker": inner}}
    name = {"name": "main"} if key in _NAMED else {"groupName": "main"} if key == "workerGroupSpecs" else {}
    return {key: [{**name, **inner}]}


def _merge(into: Json, more: Json) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _complete(found: Json, pod: Json, kind: Kind) -> None:
    """What a built-in kind must have besides."""
    labels = _metadata(pod).get("labels", {"app": NAME})
    if kind in _SELECTING:
        found["spec"]["selector"] = {"matchLabels": dict(labels)}
    elif kind is REPLICATION_CONTROLLER:
        found["spec"]["selector"] = dict(labels)
    elif kind is CRON_JOB:
        found["spec"]["schedule"] = "0 3 * * *"
    if kind is STATEFUL_SET:
        found["spec"]["serviceName"] = NAME
