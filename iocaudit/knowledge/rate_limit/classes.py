"""Which controller serves an Ingress: by its class, the class's controller, and never by guessing.

Source: Kubernetes reference of Ingress and IngressClass; the default class names are each controller's own.
"""

from collections.abc import Iterable
from typing import NamedTuple

from iocaudit.core.kinds import INGRESS_CLASS
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, text
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.backends import class_of
from iocaudit.knowledge.rate_limit.gateway import Gateway

_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


class IngressServers(NamedTuple):
    """Who serves an Ingress. Several gateways where only the class's name is known and it is the default of each.

    ``gateways`` is empty where the controller is unknown; ``said`` is what is known of it.
    """

    gateways: tuple[Gateway, ...]
    said: str


def serving(ingress: Resource, world: World, gateways: Iterable[Gateway]) -> IngressServers:
    """The controller an Ingress is for."""
    name = class_of(ingress)
    if not name:
        known = world.memo("default ingress classes", (INGRESS_CLASS,), lambda: _defaults(world, ingress), near=ingress)
        if len(known) != 1:
            what = f"{len(known)} default IngressClasses" if known else "no default IngressClass"
            return IngressServers((), f"no ingress class is set, and there is {what}{_incomplete(world)}")
        name = known[0]
    found = world.get(INGRESS_CLASS, None, name, near=ingress)
    if found is not None:
        controller = text(lookup(found.raw, "spec", "controller"))
        served = tuple(gateway for gateway in gateways if gateway.serves_ingress(controller))
        return IngressServers(served, f"class {name} belongs to {controller or 'no controller'}")
    if world.incomplete(INGRESS_CLASS) is not None:
        return IngressServers((), f"class {name} is of no IngressClass known here{_incomplete(world)}")
    candidates = tuple(gateway for gateway in gateways if name in gateway.class_names)
    return IngressServers(candidates, f"there is no IngressClass {name}")


def _defaults(world: World, near: Resource) -> list[str]:
    return [found.name for found in world.all(INGRESS_CLASS, near=near) if found.annotations.get(_DEFAULT) == "true"]


def _incomplete(world: World) -> str:
    reason = world.incomplete(INGRESS_CLASS)
    return f" (not all ingressclasses could be read: {reason})" if reason is not None else ""
