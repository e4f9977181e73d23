"""Traefik's Middlewares: which one a route means, and whether it limits requests.

Source: Traefik 3 reference, kinds of traefik.io/v1alpha1; the group traefik.containo.us is its older name.
"""

import re
from collections.abc import Mapping
from typing import Any

from iocaudit.core.kinds import LEGACY_TRAEFIK_MIDDLEWARE, TRAEFIK_MIDDLEWARE
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World

_KINDS = (TRAEFIK_MIDDLEWARE, LEGACY_TRAEFIK_MIDDLEWARE)
_NUMBER = re.compile(r"\d+")


def middlewares_named(token: str, world: World, near: Resource) -> list[Resource]:
    """The Middlewares an annotation means by ``<namespace>-<name>@kubernetescrd``."""
    name, _, provider = token.partition("@")
    if provider != "kubernetescrd":
        return []
    return [
        found
        for kind in _KINDS
        for found in world.all(kind, near=near)
        if f"{world.namespace_of(found)}-{found.name}" == name
    ]


def reference(entry: Mapping[str, Any], owner: Resource, world: World) -> list[Resource]:
    """The Middlewares a ``{name, namespace}`` of an IngressRoute or a chain means."""
    name = text(entry.get("name"))
    if "@" in name:
        return middlewares_named(name, world, owner)
    namespace = text(entry.get("namespace")) or world.namespace_of(owner)
    found = (world.get(kind, namespace, name, near=owner) for kind in _KINDS)
    return [middleware for middleware in found if middleware is not None]


def limits_requests(middleware: Resource, world: World, seen: frozenset[tuple[str | None, str]] = frozenset()) -> bool:
    """Whether it limits the rate or number of requests, itself or through its chain."""
    identity = (world.namespace_of(middleware), middleware.name)
    if identity in seen:
        return False
    spec = middleware.raw.get("spec")
    if _positive(lookup(spec, "rateLimit", "average")) or _positive(lookup(spec, "inFlightReq", "amount")):
        return True
    return any(
        limits_requests(found, world, seen | {identity})
        for entry in mappings(lookup(spec, "chain", "middlewares"))
        for found in reference(entry, middleware, world)
    )


def _positive(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return value > 0
    return isinstance(value, str) and bool(_NUMBER.fullmatch(value)) and int(value) > 0
