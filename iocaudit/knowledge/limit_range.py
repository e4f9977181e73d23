"""What a namespace's LimitRanges give to containers that say nothing, and the amounts of a container after that.

Source: the API reference of LimitRange; the LimitRanger admission plugin: an absent default limit is filled in
from max, an absent default request from the default limit, else from min, and a limit without a request is the
request too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from iocaudit.core.kinds import LIMIT_RANGE, POD
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mappings
from iocaudit.core.world import World
from iocaudit.knowledge.pods.pod import Container
from iocaudit.knowledge.quantity import Quantity


class ResourceAmount(NamedTuple):
    """A limit or request as it stands (``field`` below the container) or as the namespace gives it."""

    field: str
    value: Any
    defaulted: bool = False

    @property
    def quantity(self) -> Quantity | None:
        """None where nothing is set, or what is set is not a quantity."""
        return None if self.value is None else Quantity.parse_or_none(self.value)


def default_of(asking: Resource, world: World, kind: str, resource: str) -> Any:
    """The ``limits`` or ``requests`` of a resource that a LimitRange gives containers of an object; None for none.

    It acts on a pod as it is created. A pod that carries a uid has been through it, so what that pod lacks, it
    lacks for good.
    """
    if asking.kind is POD and asking.uid:
        return None
    fields = ("default", "max") if kind == "limits" else ("defaultRequest", "default", "max", "min")
    for limit_range in world.of(LIMIT_RANGE, world.namespace_of(asking), near=asking):
        for limit in mappings(lookup(limit_range.raw, "spec", "limits")):
            if limit.get("type") != "Container":
                continue
            for field in fields:
                value = lookup(limit, field, resource)
                if value is not None:
                    given = Quantity.parse_or_none(value)
                    if given is not None and not given.is_zero:
                        return value
                    break
    return None


def written(container: Container, kind: str, resource: str) -> ResourceAmount:
    """What a container says itself; Tekton v1 calls the field computeResources."""
    value = lookup(container.raw, "resources", kind, resource)
    if value is None and "computeResources" in container.raw:
        return ResourceAmount(
            f"computeResources.{kind}.{resource}", lookup(container.raw, "computeResources", kind, resource)
        )
    return ResourceAmount(f"resources.{kind}.{resource}", value)


def effective(container: Container, world: World, kind: str, resource: str) -> ResourceAmount:
    """What holds once the pod is made: its own, for a request its limit, else what the namespace gives."""
    own = written(container, kind, resource)
    if own.value is not None:
        return own
    if kind == "requests":
        limit = written(container, "limits", resource)
        if limit.value is not None:
            return ResourceAmount(own.field, limit.value, defaulted=True)
    given = default_of(container.pod.resource, world, kind, resource)
    return ResourceAmount(own.field, given, defaulted=given is not None)
