"""What a request for a claim or a PersistentVolume completes: the mount of a sensitive path by pods that came before.

Pods are too many to be held, and need not be: a claim is judged as a pod would be that mounts it.
"""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core.kinds import PERSISTENT_VOLUME_CLAIM
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.shape import Json, lookup, mapping, text
from iocaudit.core.world import World
from iocaudit.knowledge.claims import node_path, storage_class
from iocaudit.knowledge.completed import CompletedObject
from iocaudit.knowledge.host_path import danger


def completed_by_claim(claim: Resource, before: World, after: World) -> Iterator[CompletedObject]:
    """A pod that mounts the claim which is created or changed."""
    yield _mounted(after.namespace_of(claim) or "", claim.name, before, after)


def completed_by_volume(volume: Resource, before: World, after: World) -> Iterator[CompletedObject]:
    """Pods that mount the claims which may get a volume of a sensitive path, be they there or only reserved for."""
    _, path = node_path(volume)
    if not path or danger(path) is None:
        return
    holder = mapping(lookup(volume.raw, "spec", "claimRef"))
    if held_by := text(holder.get("name")):
        yield _mounted(text(holder.get("namespace")) or after.default_namespace, held_by, before, after)
        return
    for claim in after.all(PERSISTENT_VOLUME_CLAIM):
        bound = text(lookup(claim.raw, "spec", "volumeName"))
        if bound == volume.name or (not bound and (storage_class(claim) or "") == (storage_class(volume) or "")):
            yield _mounted(after.namespace_of(claim) or "", claim.name, before, after)


def _mounted(namespace: str, claim: str, before: World, after: World) -> CompletedObject:
    raw: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": claim, "namespace": namespace},
        "spec": {"containers": [], "volumes": [{"name": claim, "persistentVolumeClaim": {"claimName": claim}}]},
    }
    title = f"PersistentVolumeClaim {namespace}/{claim}"
    return CompletedObject(Resource(raw, CLUSTER), before, after, title)
