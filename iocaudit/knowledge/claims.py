"""The PersistentVolumes behind a pod's claims: those that are bound, reserved, or the ones that will be taken.

Source: kubernetes, pkg/controller/volume/persistentvolume and component-helpers/storage/volume (FindMatchingVolume):
a claim takes the volume it names, else the one reserved for it by claimRef, else the smallest that fits. The beta
annotation of the storage class goes before the field (helpers.go: GetPersistentVolumeClaimClass).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from iocaudit.core.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STATEFUL_SET
from iocaudit.core.label_selector import selects
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, strings, text
from iocaudit.core.world import World
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import PodSpec
from iocaudit.knowledge.quantity import Quantity

STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class"
"""The annotation that was the field ``storageClassName`` once."""


class VolumeClaim(NamedTuple):
    """A claim of a pod, at ``path`` in its object: by its ``name`` where that is known, and by what it asks for.

    ``volume`` is the name by which containers mount it. ``spec`` is None where only the claim itself says that.
    ``numbered``: an ordinal stands behind the name.
    """

    path: str
    title: str
    volume: str
    name: str
    spec: Mapping[str, Any] | None
    numbered: bool = False

    def is_called(self, name: str) -> bool:
        """Whether a claim of that name is this one."""
        if not self.numbered:
            return bool(self.name) and name == self.name
        head, dash, number = name.rpartition("-")
        return bool(dash) and head == self.name and number.isascii() and number.isdigit()


def claims_of(pod: PodSpec) -> Iterator[VolumeClaim]:
    """Every claim through which a pod gets a volume."""
    for index, volume in enumerate(pod.volumes):
        place = pod.volume_path(volume, index)
        if name := text(lookup(volume, "persistentVolumeClaim", "claimName")):
            yield VolumeClaim(f"{place}.persistentVolumeClaim.claimName", name, text(volume.get("name")), name, None)
        ephemeral = volume.get("ephemeral")
        if isinstance(ephemeral, dict):
            # The claim that the controller makes for this volume of this pod; only a Pod's name is known.
            name = f"{pod.resource.name}-{text(volume.get('name'))}" if pod.resource.kind is POD else ""
            spec = mapping(lookup(ephemeral, "volumeClaimTemplate", "spec"))
            mounted = text(volume.get("name"))
            yield VolumeClaim(f"{place}.ephemeral", name or mounted, mounted, name, spec)
    if pod.path == pods_of(pod.resource)[0].path:
        yield from _of_templates(pod.resource)


def _of_templates(resource: Resource) -> Iterator[VolumeClaim]:
    own = resource.kind is not None and resource.kind.name == STATEFUL_SET.name
    for index, template in enumerate(mappings(lookup(resource.raw, "spec", "volumeClaimTemplates"))):
        name = text(lookup(template, "metadata", "name"))
        called = f"{name}-{resource.name}" if own and name else ""
        at = f"spec.volumeClaimTemplates[{index}]"
        yield VolumeClaim(at, called or name, name, called, mapping(template.get("spec")), numbered=own)


def volumes_of(claim: VolumeClaim, pod: PodSpec, world: World) -> Iterator[Resource]:
    """The PersistentVolumes that a claim is bound to, has reserved for it, or will take as things are."""
    near, namespace = pod.resource, world.namespace_of(pod.resource)
    index = _index(world, near)
    if claim.numbered:
        known = [one for one in world.of(PERSISTENT_VOLUME_CLAIM, namespace, near=near) if claim.is_called(one.name)]
    else:
        found = world.get(PERSISTENT_VOLUME_CLAIM, namespace, claim.name, near=near) if claim.name else None
        known = [found] if found is not None else []
    specs = [(one.name, mapping(one.raw.get("spec")), _class_of(one)) for one in known]
    if not specs:
        spec = claim.spec or {}
        asked = spec.get("storageClassName")
        specs = [(claim.name, spec, asked if isinstance(asked, str) else None)]
    seen: set[str] = set()
    for name, spec, storage_class in specs:
        held = index.reserved.get(namespace or "", {})
        reserved = held.get(name, [])
        if claim.numbered and not known:
            reserved = [volume for holder, volumes in held.items() if claim.is_called(holder) for volume in volumes]
        if bound := text(spec.get("volumeName")):
            volume = world.get(PERSISTENT_VOLUME, None, bound, near=near)
            chosen = [volume] if volume is not None and _is_free(volume, namespace, name, claim, world) else []
        else:
            chosen = reserved or (index.fitting(spec, storage_class) if claim.spec is not None or known else [])
        for volume in chosen:
            if volume.name not in seen:
                seen.add(volume.name)
                yield volume


def _is_free(volume: Resource, namespace: str | None, name: str, claim: VolumeClaim, world: World) -> bool:
    """Whether a volume is reserved for nobody, or for this very claim."""
    holder = mapping(lookup(volume.raw, "spec", "claimRef"))
    held_by = text(holder.get("name"))
    if not held_by:
        return True
    space = text(holder.get("namespace")) or world.default_namespace
    return space == namespace and (held_by == name or not name or claim.is_called(held_by))


def node_path(volume: Resource) -> tuple[str, str]:
    """The field of a PersistentVolume that names a path of the node (hostPath or local), and the path; else empty."""
    for source in ("hostPath", "local"):
        if path := text(lookup(volume.raw, "spec", source, "path")):
            return f"spec.{source}.path", path
    return "", ""


def storage_class(resource: Resource) -> str | None:
    """The class that a volume or claim names; None where it names none."""
    beta = resource.annotations.get(STORAGE_CLASS)
    named = beta if isinstance(beta, str) else lookup(resource.raw, "spec", "storageClassName")
    return named if isinstance(named, str) else None


def _class_of(claim: Resource) -> str | None:
    """The class by which a claim is matched; None where that is not known.

    The API server gives a claim that names none the default class as it is created: in a cluster, one without is
    matched with volumes without. What a file's claim will be given is not known.
    """
    named = storage_class(claim)
    return "" if named is None and claim.origin.source != "file" else named


class _Index:
    def __init__(self, world: World, near: Resource) -> None:
        self.reserved: dict[str, dict[str, list[Resource]]] = {}
        """By namespace and name of the claim that a claimRef names."""
        self._free: dict[str, list[tuple[Fraction, Resource]]] = {}
        for volume in world.all(PERSISTENT_VOLUME, near=near):
            spec = mapping(volume.raw.get("spec"))
            holder = mapping(spec.get("claimRef"))
            if name := text(holder.get("name")):
                space = text(holder.get("namespace")) or world.default_namespace
                self.reserved.setdefault(space, {}).setdefault(name, []).append(volume)
            else:
                size = Quantity.parse_or_none(lookup(spec, "capacity", "storage"))
                self._free.setdefault(storage_class(volume) or "", []).append(
                    (size.value if size is not None else Fraction(0), volume)
                )

    def fitting(self, spec: Mapping[str, Any], of_class: str | None) -> list[Resource]:
        """The smallest free volumes of a class (None: it is not known, so none) that a claim fits."""
        if of_class is None:
            return []
        wanted = Quantity.parse_or_none(lookup(spec, "resources", "requests", "storage"))
        least = wanted.value if wanted is not None else Fraction(0)
        fitting = [
            (size, volume) for size, volume in self._free.get(of_class, ()) if size >= least and _matches(spec, volume)
        ]
        smallest = min((size for size, _ in fitting), default=None)
        return [volume for size, volume in fitting if size == smallest]


def _matches(spec: Mapping[str, Any], volume: Resource) -> bool:
    offered = mapping(volume.raw.get("spec"))
    modes = set(strings(offered.get("accessModes")))
    kind = text(spec.get("volumeMode")) or "Filesystem"
    return (
        set(strings(spec.get("accessModes"))) <= modes
        and kind == (text(offered.get("volumeMode")) or "Filesystem")
        and selects(spec.get("selector"), volume.labels)
    )


def _index(world: World, near: Resource) -> _Index:
    return world.memo("volume-index", (PERSISTENT_VOLUME,), lambda: _Index(world, near), near=near)
