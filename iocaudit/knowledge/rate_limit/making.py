"""Limits for routes that have none: what the gateways' own modules make them of."""

from __future__ import annotations

from zlib import crc32

from iocaudit.core import paths
from iocaudit.core.kinds import Kind
from iocaudit.core.repair import Edit
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, lookup, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.gateway import OpenRoute

_LONGEST = 63
"""Some controllers make labels of names."""


def made(kind: Kind, near: Resource, world: World, body: Json, *, name: str = "", namespace: str | None = None) -> Json:
    """An object of a kind beside a route, or in another namespace, under a name that is free there."""
    where = (namespace or near.namespace) if kind.namespaced else None
    home = (namespace or world.namespace_of(near)) if kind.namespaced else None
    free = _free(kind, home, f"limit-{name or near.name}", near, world)
    metadata = {"name": free, "namespace": where} if where else {"name": free}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **body}


def _free(kind: Kind, namespace: str | None, wanted: str, near: Resource, world: World) -> str:
    """The name, with a number where it is taken: applied, the object must not replace another."""
    if len(wanted) > _LONGEST:
        wanted = f"{wanted[: _LONGEST - 9].rstrip('-.')}-{crc32(wanted.encode()):08x}"
    name, number = wanted, 2
    while world.get(kind, namespace, name, near=near) is not None:
        name = f"{wanted}-{number}"
        number += 1
    return name


def attachment(kind: Kind, way: OpenRoute, world: World, spec: Json) -> Json:
    """A policy of a kind that targets a route."""
    route = way.route
    # Routes of two kinds may share a name, of which each wants a policy of its own.
    name = f"{route.kind_name.lower()}-{route.name}"
    return made(kind, route, world, {"spec": {"targetRefs": [target(route)], **spec}}, name=name)


def target(route: Resource) -> Json:
    """The reference of a policy to a route."""
    return {"group": route.group, "kind": route.kind_name, "name": route.name}


def listed(route: Resource, annotation: str, name: str) -> Edit:
    """One more name in the list of an annotation."""
    before = text(route.annotations.get(annotation)).strip().strip(",")
    return Edit("set", "metadata.annotations" + paths.key(annotation), f"{before},{name}" if before else name)


def on_every_rule(way: OpenRoute, entry: Json) -> tuple[Edit, ...]:
    """A filter for the open rule of a route of the Gateway API, or for all where it is open as a whole."""
    if way.at:
        return (Edit("include", f"{way.at}.filters", entry),)
    rules = mappings(lookup(way.route.raw, "spec", "rules"))
    return tuple(Edit("include", f"spec.rules[{index}].filters", entry) for index in range(len(rules)))
