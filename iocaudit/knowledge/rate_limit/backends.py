"""What an Ingress is for: its class, and the Services it leads to."""

from collections.abc import Iterator
from typing import Any

from iocaudit.core.kinds import SERVICE
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World

_LEGACY_CLASS = "kubernetes.io/ingress.class"


def class_of(ingress: Resource) -> str:
    """The name of its class: the older annotation wins where it is set, as controllers have it."""
    return text(ingress.annotations.get(_LEGACY_CLASS)) or text(lookup(ingress.raw, "spec", "ingressClassName"))


def service_names(ingress: Resource) -> list[str]:
    """Each Service's name once, in the order of the rules; networking.k8s.io/v1 and the older spelling."""
    spec = mapping(ingress.raw.get("spec"))
    holders = [spec.get("defaultBackend") or spec.get("backend"), *_paths(spec)]
    names = (text(lookup(one, "service", "name")) or text(lookup(one, "serviceName")) for one in holders)
    return list(dict.fromkeys(name for name in names if name))


def _paths(spec: Any) -> Iterator[Any]:
    for rule in mappings(spec.get("rules")):
        for path in mappings(lookup(rule, "http", "paths")):
            yield path.get("backend")


def services(ingress: Resource, world: World) -> list[Resource | None]:
    """Each Service it leads to, None for one that the world does not hold."""
    namespace = world.namespace_of(ingress)
    return [world.get(SERVICE, namespace, name, near=ingress) for name in service_names(ingress)]
