"""The labels that objects made on request select pods by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping
from iocaudit.knowledge.pods.pod import PodSpec

_OF_REVISIONS = frozenset(
    {"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name"}
)
"""Labels that controllers give and that do not last."""


def lasting_labels(resource: Resource, pod: PodSpec | None) -> dict[str, str]:
    """The labels that a workload selects its pods by, else all that its pods bear and that last."""
    labels = _strings(mapping(lookup(resource.raw, "spec", "selector", "matchLabels")))
    carried = _strings(pod.labels) if pod is not None else {}
    if labels and labels.items() <= carried.items():
        return labels
    return {key: value for key, value in carried.items() if key not in _OF_REVISIONS}


def _strings(labels: Mapping[Any, Any]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if isinstance(value, str)}
