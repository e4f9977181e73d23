"""The pods behind signals: by container, name and node, also when they are gone.

Fed by a watch of pods. Of a pod that is gone the entry stays for a while, as signals of its last moments come late; all
of it is kept through restarts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from iocaudit.cluster.watch import Sink
from iocaudit.core.errors import IocauditError
from iocaudit.core.kinds import POD, Kind
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, lookup, mapping, mappings, text

MOST_GONE: Final = 20_000
GONE_SECONDS: Final = 3600.0
SHORTEST_ID: Final = 12
"""Characters of a container id that name one: Falco writes so many by default."""
_HASH_LABEL = "pod-template-hash"
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


class PodsFormatError(IocauditError):
    """Pods that were kept cannot be read; says why."""


class Workload(NamedTuple):
    """What a pod belongs to: its top-level owner as its labels and owners tell, else the pod itself."""

    group: str
    kind: str
    name: str


class PodEntry(NamedTuple):
    """What is known of a pod. ``containers`` are the runtime's ids, without the runtime."""

    namespace: str
    name: str
    node: str
    containers: tuple[str, ...]
    workload: Workload


class PodIndex:
    """Asked by one thread, fed by others."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pods: dict[tuple[str, str], PodEntry] = {}
        self._gone: dict[tuple[str, str], tuple[float, PodEntry]] = {}
        self._containers: dict[str, PodEntry] = {}
        self._changed = False
        self.lacking = "pods were not read yet"
        """Why not all pods are known; empty where they are."""

    def sink(self) -> Sink:
        """What a watch of pods hands its changes to."""
        return Sink(self._replace, self._put, self._remove, self._incomplete, lambda _groups: None, keep=_kept)

    def dump(self) -> bytes | None:
        """All of it, for ``load``; None where nothing changed since it was asked for last."""
        with self._lock:
            if not self._changed:
                return None
            self._changed = False
            now = self._clock()
            known = [(now, entry) for entry in self._pods.values()]
            return orjson.dumps(
                [[when, *entry[:4], list(entry.workload)] for when, entry in (*self._gone.values(), *known)]
            )

    def load(self, data: bytes) -> None:
        """Take what ``dump`` wrote as pods that are gone: those that are still there are read anew.

        Raises PodsFormatError where that is not what it wrote.
        """
        try:
            rows = [
                (float(when), PodEntry(namespace, name, node, tuple(containers), Workload(*workload)))
                for when, namespace, name, node, containers, workload in orjson.loads(data)
            ]
        except (ValueError, TypeError) as error:
            raise PodsFormatError(f"the pods that were kept cannot be read: {error}") from error
        with self._lock:
            for when, entry in sorted(rows, key=lambda row: row[0]):
                self._gone[entry.namespace, entry.name] = (when, entry)
                for container in entry.containers:
                    self._containers[container[:SHORTEST_ID]] = entry
            self._forget()

    def by_container(self, container_id: str) -> PodEntry | None:
        """The pod of a container, by its id as a runtime writes it or the first characters of it."""
        if len(container_id) < SHORTEST_ID:
            return None
        with self._lock:
            self._forget()
            return self._containers.get(container_id[:SHORTEST_ID])

    def by_name(self, namespace: str, name: str) -> PodEntry | None:
        """The pod of that name; of several in time, the last."""
        with self._lock:
            self._forget()
            key = (namespace, name)
            found = self._pods.get(key)
            if found is None and (gone := self._gone.get(key)) is not None:
                return gone[1]
            return found

    def _replace(self, _kind: Kind, resources: list[Resource]) -> None:
        entries = {(one.namespace, one.name): one for one in map(_entry, resources)}
        with self._lock:
            for key in [key for key in self._pods if key not in entries]:
                self._go(key)
            for key, entry in entries.items():
                self._know(key, entry)
            self.lacking = ""

    def _put(self, resource: Resource) -> None:
        entry = _entry(resource)
        with self._lock:
            self._know((entry.namespace, entry.name), entry)

    def _remove(self, resource: Resource) -> None:
        with self._lock:
            self._go((resource.namespace or "", resource.name))

    def _incomplete(self, _kind: Kind, reason: str) -> None:
        self.lacking = reason

    def _know(self, key: tuple[str, str], entry: PodEntry) -> None:
        known = self._pods.get(key)
        if known is not None:
            # A container that was restarted has a new id: signals of the one before still come.
            old = tuple(one for one in known.containers if one not in entry.containers)
            entry = entry._replace(containers=(*entry.containers, *old)[:64])
        self._pods[key] = entry
        self._gone.pop(key, None)
        self._changed = True
        for container in entry.containers:
            self._containers[container[:SHORTEST_ID]] = entry

    def _go(self, key: tuple[str, str]) -> None:
        if (entry := self._pods.pop(key, None)) is not None:
            self._gone.pop(key, None)
            self._gone[key] = (self._clock(), entry)
            self._changed = True
            self._forget()

    def _forget(self) -> None:
        """Drop what is gone for too long, or too much; the lock is held."""
        now = self._clock()
        while self._gone:
            key, (when, entry) = next(iter(self._gone.items()))
            if len(self._gone) <= MOST_GONE and now - when <= GONE_SECONDS:
                return
            del self._gone[key]
            for container in entry.containers:
                short = container[:SHORTEST_ID]
                if self._containers.get(short) is entry:
                    del self._containers[short]


def _kept(raw: Json, _kind: Kind) -> Resource:
    """Of a pod what names it, its node, its owner and its containers."""
    metadata, status = mapping(raw.get("metadata")), mapping(raw.get("status"))
    slim: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid", "ownerReferences") if key in metadata},
        "spec": {"nodeName": text(lookup(raw, "spec", "nodeName"))},
        "status": {
            key: [{"containerID": one.get("containerID"), "lastState": one.get("lastState")} for one in mappings(value)]
            for key in _STATUSES
            if (value := status.get(key))
        },
    }
    slim["metadata"]["labels"] = {_HASH_LABEL: lookup(metadata, "labels", _HASH_LABEL)}
    return Resource(slim, CLUSTER, kind=POD)


def _entry(resource: Resource) -> PodEntry:
    status = mapping(resource.raw.get("status"))
    return PodEntry(
        resource.namespace or "",
        resource.name,
        text(lookup(resource.raw, "spec", "nodeName")),
        tuple(_containers(status)),
        _workload(resource),
    )


def _containers(status: Mapping[str, Any]) -> Iterator[str]:
    for key in _STATUSES:
        for one in mappings(status.get(key)):
            for value in (one.get("containerID"), lookup(one, "lastState", "terminated", "containerID")):
                _, _, found = text(value).rpartition("://")
                if len(found) >= SHORTEST_ID:
                    yield found


def _workload(pod: Resource) -> Workload:
    """A ReplicaSet of a Deployment is called by it: the name is the Deployment's with the hash of its pods' template.

    Source: kubernetes, pkg/controller/deployment/sync.go, getNewReplicaSet.
    """
    owner = pod.controller
    if owner is None:
        return Workload("", "Pod", pod.name)
    group, _, _ = text(owner.get("apiVersion")).rpartition("/")
    kind, name = text(owner.get("kind")), text(owner.get("name"))
    template = text(pod.labels.get(_HASH_LABEL))
    if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
        return Workload("apps", "Deployment", name.removesuffix(f"-{template}"))
    return Workload(group, kind, name) if kind and name else Workload("", "Pod", pod.name)
