"""Routes of the Gateway API: their rules, and the Gateways that they enter by.

Source: Gateway API 1.4, HTTPRoute, GRPCRoute, Gateway, ListenerSet (GEP-1713), GatewayClass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from iocaudit.core.kinds.gateway_api import (
    EXPERIMENTAL_LISTENER_SET,
    GATEWAY,
    GATEWAY_CLASS,
    GROUP,
    LISTENER_SET,
)
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World

LOOKED_UP = (GATEWAY, GATEWAY_CLASS, LISTENER_SET, EXPERIMENTAL_LISTENER_SET)
MOST_WAYS = 20_000
"""Parents by parts of rules. The API allows 32 parents and 16 rules of 16 backends and 16 filters: that is fewer."""
_LISTENER_SETS = {(kind.group, kind.name): kind for kind in (LISTENER_SET, EXPERIMENTAL_LISTENER_SET)}


class Parent(NamedTuple):
    """One Gateway that a route enters by. ``gateway`` is None where the world has no such object.

    ``controller`` is its class's controller, empty where that is not known, which ``doubt`` then explains.
    ``section`` is the listener, of the ListenerSet where there is one.
    """

    namespace: str
    name: str
    section: str
    gateway: Resource | None
    listener_set: tuple[str, str, str] | None
    controller: str
    doubt: str
    incomplete: str = ""

    def __str__(self) -> str:
        return f"Gateway {self.namespace}/{self.name}"


class RouteRule(NamedTuple):
    """One rule of a route, entered by one Gateway; ``position`` is its place among the rules."""

    route: Resource
    raw: Mapping[str, Any]
    parent: Parent
    namespace: str
    position: int = 0

    @property
    def name(self) -> str:
        return text(self.raw.get("name"))

    def extensions(self) -> Iterator[tuple[str, str, str]]:
        """Group, kind and name of each ExtensionRef that all of its requests meet: its own, or every backend's."""
        yield from _extensions(self.raw)
        backends = [dict.fromkeys(_extensions(one)) for one in mappings(self.raw.get("backendRefs"))]
        for reference in backends[0] if backends else ():
            if all(reference in one for one in backends):
                yield reference

    def services(self) -> list[tuple[str, str]]:
        """Namespace and name of each Service it leads to."""
        return [
            (text(ref.get("namespace")) or self.namespace, text(ref.get("name")))
            for ref in mappings(self.raw.get("backendRefs"))
            if text(ref.get("kind")) in ("", "Service") and not text(ref.get("group"))
        ]


def _extensions(holder: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for entry in mappings(holder.get("filters")):
        ref = mapping(entry.get("extensionRef"))
        if entry.get("type") == "ExtensionRef" and ref:
            yield text(ref.get("group")), text(ref.get("kind")), text(ref.get("name"))


def parents_of(route: Resource, world: World) -> list[Parent]:
    """The Gateways a route enters by; what it attaches to besides (a Service, in a mesh) is not one."""
    home = world.namespace_of(route) or ""
    found = []
    for ref in mappings(lookup(route.raw, "spec", "parentRefs")):
        group = text(ref.get("group")) if "group" in ref else GROUP
        kind = text(ref.get("kind")) or "Gateway"
        namespace, name = text(ref.get("namespace")) or home, text(ref.get("name"))
        section = text(ref.get("sectionName"))
        if group == GROUP and kind == "Gateway":
            found.append(_parent(namespace, name, section, None, route, world))
        elif (group, kind) in _LISTENER_SETS:
            found.append(
                _through_listener_set(_LISTENER_SETS[(group, kind)].key, namespace, name, section, route, world)
            )
    return found


def _through_listener_set(
    key: tuple[str, str], namespace: str, name: str, section: str, route: Resource, world: World
) -> Parent:
    kind = _LISTENER_SETS[key]
    listener_set = world.get(kind, namespace, name, near=route)
    ref = mapping(lookup(listener_set.raw, "spec", "parentRef")) if listener_set is not None else {}
    gateway = text(ref.get("name"))
    if not gateway:
        why = f"{kind.name} {namespace}/{name} is not there"
        return Parent(
            namespace, name, section, None, (kind.name, namespace, name), "", why, world.incomplete(kind) or ""
        )
    return _parent(
        text(ref.get("namespace")) or namespace, gateway, section, (kind.name, namespace, name), route, world
    )


def _parent(
    namespace: str, name: str, section: str, listener_set: tuple[str, str, str] | None, route: Resource, world: World
) -> Parent:
    gateway = world.get(GATEWAY, namespace, name, near=route)
    if gateway is None:
        doubt, lacking = f"Gateway {namespace}/{name} is not there", world.incomplete(GATEWAY) or ""
        return Parent(namespace, name, section, None, listener_set, "", doubt, lacking)
    class_name = text(lookup(gateway.raw, "spec", "gatewayClassName"))
    found = world.get(GATEWAY_CLASS, None, class_name, near=route)
    if found is None:
        doubt, lacking = f"GatewayClass {class_name} is not there", world.incomplete(GATEWAY_CLASS) or ""
        return Parent(namespace, name, section, gateway, listener_set, "", doubt, lacking)
    controller = text(lookup(found.raw, "spec", "controllerName"))
    return Parent(namespace, name, section, gateway, listener_set, controller, f"GatewayClass {class_name}")


def size_of(route: Resource) -> int:
    """How many rules it has, with their backends and filters: each is looked at for each of its parents."""
    rules = mappings(lookup(route.raw, "spec", "rules"))
    return sum(1 + len(mappings(rule.get("backendRefs"))) + len(mappings(rule.get("filters"))) for rule in rules)


def rules_of(route: Resource, parent: Parent, world: World) -> list[RouteRule]:
    """Its rules; a route without any has one that matches everything."""
    home = world.namespace_of(route) or ""
    rules = mappings(lookup(route.raw, "spec", "rules")) or [{}]
    return [RouteRule(route, rule, parent, home, position) for position, rule in enumerate(rules)]


def listeners_of(parent: Parent) -> list[str]:
    """The listeners a route enters by: the one it names, else each of the Gateway's; ``""`` where none is known."""
    if parent.section or parent.listener_set is not None or parent.gateway is None:
        return [parent.section]
    names = [text(one.get("name")) for one in mappings(lookup(parent.gateway.raw, "spec", "listeners"))]
    return [name for name in names if name] or [""]
