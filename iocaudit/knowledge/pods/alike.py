"""Pods of one object that a check cannot tell apart: what is wrong with them is one thing, said once.

A workflow of a hundred templates has a hundred pods, most of which bear the same labels and run as the same
ServiceAccount. A check that judges nothing else of a pod puts its hit at a place that all of those share: where it
stands for all of them, else at the first of them by its path. Their hits are then one and the same hit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from iocaudit.core.resource import Resource
from iocaudit.knowledge.pods.composed.layers import real
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import PodSpec

_Key = Callable[[PodSpec], Hashable]


class AlikePods(NamedTuple):
    """Pods that are alike: the path of the first, of its labels, and where each says what concerns its account."""

    path: str
    labels: str
    fields: Mapping[str, tuple[str, ...]]


_FIELDS = ("serviceAccountName", "automountServiceAccountToken", "volumes")


def labelled_alike(pod: PodSpec) -> AlikePods:
    """The pods of an object that bear the same labels as one, on the same network."""
    return pod.resource.derive(_by_labels)[_labels(pod)]


def accounted_alike(pod: PodSpec) -> AlikePods:
    """The pods of an object that run as the same ServiceAccount as one, and say the same about its token."""
    return pod.resource.derive(_by_account)[_account(pod)]


def _labels(pod: PodSpec) -> Hashable:
    return pod.host_network, tuple(sorted((key, value) for key, value in pod.labels.items() if isinstance(value, str)))


def _account(pod: PodSpec) -> Hashable:
    token = pod.spec.get("automountServiceAccountToken")
    return pod.service_account, token if isinstance(token, bool) else None


def _by_labels(resource: Resource) -> dict[Hashable, AlikePods]:
    return _grouped(resource, _labels)


def _by_account(resource: Resource) -> dict[Hashable, AlikePods]:
    return _grouped(resource, _account)


def _grouped(resource: Resource, key: _Key) -> dict[Hashable, AlikePods]:
    groups: dict[Hashable, list[PodSpec]] = {}
    for pod in pods_of(resource):
        groups.setdefault(key(pod), []).append(pod)
    return {one: _alike(pods) for one, pods in groups.items()}


def _alike(pods: list[PodSpec]) -> AlikePods:
    fields = {name: tuple(sorted({_real(pod, f"{pod.path}.{name}") for pod in pods})) for name in _FIELDS}
    labels = min(_real(pod, f"{pod.metadata_path}.labels") for pod in pods)
    return AlikePods(min(pod.path for pod in pods), labels, fields)


def _real(pod: PodSpec, path: str) -> str:
    """Where it really stands: one pod does not know what another one is composed of."""
    return real(path, pod.moved) if pod.moved else path
