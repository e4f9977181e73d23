"""What checks may look up of other objects: little, so a world of ten thousand pods stays small."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from iocaudit.core.kinds import PERSISTENT_VOLUME_CLAIM, SERVICE_ACCOUNT, Kind
from iocaudit.core.kinds.ours import GROUP
from iocaudit.core.partial import lacks_of
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, lookup, mapping, mappings, text
from iocaudit.knowledge.admin_images import title_of
from iocaudit.knowledge.claims import STORAGE_CLASS

_METADATA = ("name", "generateName", "namespace", "uid", "resourceVersion", "deletionTimestamp")
_LONGEST_SHARED = 4096
_SPEC = ("serviceAccountName", "serviceAccount", "automountServiceAccountToken", "hostNetwork", "nodeName")


_MARKS = frozenset(
    (
        *("container", "containerSet", "dag", "data", "http", "plugin", "resource", "script", "suspend"),
        *("affinity", "dnsConfig", "dnsPolicy", "hostAliases", "nodeSelector", "schedulerName", "securityContext"),
        *("tolerations", "volumes"),
    )
)
"""Parts of a workflow and its templates that say what it is, or that it says something at all."""
_KEPT = _MARKS.union(
    _SPEC,
    ("finally", "metadata", "name", "pipelineSpec", "pipelineTaskName", "podMetadata", "podSpecPatch", "podTemplate"),
    ("steps", "taskPodTemplate", "taskRunSpecs", "taskRunTemplate", "taskServiceAccountName", "taskSpec", "tasks"),
    ("templateDefaults", "templates", "workflowSpec"),
    ("driver", "executor", "explainer", "labels", "predictor", "spec", "template", "transformer", "workerSpec"),
)
"""Of the parts that a controller makes pods of, those that say which pods there are, and what is looked up of them."""


_LOOKED_UP = (*_METADATA, "creationTimestamp", "labels", "ownerReferences")
"""Of an object's metadata; of its annotations those of ``_DOMAINS``."""
_DOMAINS = frozenset(
    (
        *("alb.ingress.kubernetes.io", "appgw.ingress.kubernetes.io", "beta.cloud.google.com", "cloud.google.com"),
        *("config.linkerd.io", "haproxy-ingress.github.io", "haproxy.com", "haproxy.org", "ingress.gcp.kubernetes.io"),
        *("ingress.kubernetes.io", "ingressclass.kubernetes.io", "istio.io", "k8s.apisix.apache.org", "konghq.com"),
        *("kubernetes.io", "linkerd.io", "load-balancer.hetzner.cloud", "networking.gke.io", "nginx.com", "nginx.org"),
        *("nginx.ingress.kubernetes.io", "oci-network-load-balancer.oraclecloud.com", "service.beta.kubernetes.io"),
        *("service.k8s.aws", "service.kubernetes.io", "sidecar.istio.io", "traefik.ingress.kubernetes.io"),
        *("volume.beta.kubernetes.io", "yandex.cloud"),
    )
)
"""Whose annotations checks look up on objects other than their subject: ahead of the slash in an annotation's key."""
_CLAIM = ("accessModes", "storageClassName", "volumeMode", "volumeName")
_LONGEST_SELECTOR = 16 * 1024
_LONGEST_NAME = 254  # one more than a name may have, so what is cut names nothing


def slim(raw: Json, kind: Kind) -> Resource:
    """An object of a live cluster's world, without what no check looks up and what takes most of its room."""
    metadata = mapping(raw.get("metadata"))
    if kind.group == GROUP:  # read whole, by what reads policies and waivers
        kept: dict[str, Any] = {key: value for key, value in metadata.items() if key != "managedFields"}
    else:
        kept = _picked(metadata, _LOOKED_UP)
        annotations = mapping(metadata.get("annotations"))
        if annotations and (named := {k: v for k, v in annotations.items() if k.partition("/")[0] in _DOMAINS}):
            kept["annotations"] = named
    found, lacks = {**raw, "metadata": kept}, lacks_of(raw)
    if kind is PERSISTENT_VOLUME_CLAIM:
        found, lacks = _claim(found, lacks)
    elif kind is SERVICE_ACCOUNT:
        found = _picked(found, ("apiVersion", "kind", "metadata", "automountServiceAccountToken"))
    whole = Resource(found, CLUSTER, kind=kind)
    whole.lacks = lacks
    return outline(whole) if kind.pods else whole


def _claim(raw: Json, lacks: str) -> tuple[Json, str]:
    """What says which volume a claim has or may take. Its labels do not, and could fill all the room there is."""
    spec = mapping(raw.get("spec"))
    kept = _picked(spec, _CLAIM)
    kept["resources"] = {"requests": {"storage": lookup(spec, "resources", "requests", "storage")}}
    selector = spec.get("selector")
    if selector is not None and len(marshal.dumps(selector, 1)) > _LONGEST_SELECTOR:
        lacks = lacks or "its selector is too long to be kept"
    elif selector is not None:
        kept["selector"] = selector
    metadata = _picked(raw["metadata"], _METADATA)
    if isinstance(beta := mapping(raw["metadata"].get("annotations")).get(STORAGE_CLASS), str):
        metadata["annotations"] = {STORAGE_CLASS: beta[:_LONGEST_NAME]}
    return {"apiVersion": raw.get("apiVersion"), "kind": raw.get("kind"), "metadata": metadata, "spec": kept}, lacks


def outline(resource: Resource) -> Resource:
    """An object that holds pods, cut down to its identity and to each pod's labels, ServiceAccount and network,
    and to the images and ports of those that are admin surfaces.

    A check that needs pods sees these fields of them and no others; its own subject is whole.
    """
    raw: dict[str, Any] = {
        "apiVersion": resource.raw.get("apiVersion"),
        "kind": resource.raw.get("kind"),
        "metadata": _picked(resource.metadata, _METADATA) | _parted(resource.metadata, ("ownerReferences", "labels")),
    }
    status = mapping(resource.raw.get("status"))
    if "phase" in status:
        raw["status"] = _shared({"phase": status["phase"]})
    kind = resource.kind
    for place in kind.pods if kind is not None else ():
        if place.style in ("template", "spec"):
            _copy(resource.raw, raw, place.path, place.style == "template")
        else:
            raw["spec"] = _parts(resource.raw.get("spec"))
    found = Resource(raw, resource.origin, kind=kind)
    found.lacks = resource.lacks
    return found


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: tuple[str, ...], is_template: bool) -> None:
    """Copy the pod at a path, cut down; a list or map of pods on the way is copied item by item."""
    head, rest = path[0], path[1:]
    value = source.get(head)
    if value is None:
        return
    target[head] = _outlined(value, rest, is_template, target.get(head))


def _outlined(value: Any, rest: tuple[str, ...], is_template: bool, before: Any) -> Any:
    if not rest:
        return _pod(value, is_template) if isinstance(value, dict) else value
    if rest[0] == "[]":
        if not isinstance(value, list):
            return value
        return [_item(item, rest[1:], is_template) for item in value]
    if not isinstance(value, dict):
        return value
    if rest[0] == "*":
        return {name: _item(item, rest[1:], is_template) for name, item in value.items()}
    # What was found before may be shared with other objects.
    inner: dict[str, Any] = {**before} if isinstance(before, dict) else {}
    _copy(value, inner, rest, is_template)
    return inner


def _item(item: Any, rest: tuple[str, ...], is_template: bool) -> Any:
    if not isinstance(item, dict):
        return item
    inner = _outlined(item, rest, is_template, None)
    return {"name": item["name"], **inner} if isinstance(inner, dict) and "name" in item else inner


def _pod(value: Mapping[str, Any], is_template: bool) -> Any:
    if not is_template:
        return _spec(value)
    found: dict[str, Any] = {}
    if isinstance(value.get("metadata"), dict):
        found["metadata"] = _parted(value["metadata"], ("labels",))
    if isinstance(value.get("spec"), dict):
        found["spec"] = _spec(value["spec"])
    return found


def _parted(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _shared(value[name]) for name in names if name in value}


def _shared(part: Any) -> Any:
    """One copy for all that are equal: the replicas of a workload differ in little more than their names."""
    written = marshal.dumps(part, 1)  # later versions write equal values in more than one way
    return part if len(written) > _LONGEST_SHARED else _copy_of(written)


@lru_cache(maxsize=4096)
def _copy_of(written: bytes) -> Any:
    return marshal.loads(written)


def _spec(value: Mapping[str, Any]) -> Any:
    """Few pods are admin surfaces: those keep the images and ports of their containers."""
    found = _picked(value, _SPEC)
    containers = mappings(value.get("containers"))
    if any(title_of(text(container.get("image"))) for container in containers):
        found["containers"] = [_picked(container, ("name", "image", "ports")) for container in containers]
    return _shared(found)


def _parts(value: Any) -> Any:
    """What a pod is composed of, without its containers: which of them there are is all that is left of those."""
    if isinstance(value, list):
        return [_parts(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _part(name, part) for name, part in value.items() if name in _KEPT}


def _part(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _MARKS:
        return {}
    if name in ("metadata", "podMetadata"):
        return _picked(mapping(value), ("labels",))
    return value if name == "labels" else _parts(value)


def _picked(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
