"""Which pods NetworkPolicies of networking.k8s.io isolate, by direction.

Source: the API reference of NetworkPolicy: isolation is per direction; absent policyTypes mean Ingress always
and Egress only where there are egress rules; an absent podSelector selects every pod of the namespace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iocaudit.core.kinds import NETWORK_POLICY
from iocaudit.core.label_selector import is_empty, selects
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, strings
from iocaudit.core.world import World

INGRESS, EGRESS = "Ingress", "Egress"


@dataclass(frozen=True, slots=True)
class Isolation:
    """One policy's effect: the directions in which the pods it selects are isolated."""

    name: str
    directions: frozenset[str]
    selector: Mapping[str, Any]

    @property
    def selects_all(self) -> bool:
        return is_empty(self.selector)


def isolation_of(policy: Resource) -> Isolation:
    """What one NetworkPolicy isolates."""
    spec = mapping(policy.raw.get("spec"))
    types = spec.get("policyTypes")
    if isinstance(types, list) and types:
        directions = frozenset(strings(types)) & {INGRESS, EGRESS}
    else:
        directions = frozenset({INGRESS, EGRESS} if spec.get("egress") else {INGRESS})
    return Isolation(policy.name, directions, mapping(lookup(spec, "podSelector")))


def isolations(namespace: str, world: World, near: Resource) -> list[Isolation]:
    """The effects of every policy of a namespace."""
    return world.memo(
        ("network-policies", namespace),
        (NETWORK_POLICY,),
        lambda: [isolation_of(policy) for policy in world.of(NETWORK_POLICY, namespace, near=near)],
        near=near,
    )


def is_isolated(labels: Mapping[str, Any], namespace: str, direction: str, world: World, near: Resource) -> bool:
    """Whether some policy isolates pods of these labels in that direction."""
    return any(
        direction in isolation.directions and selects(isolation.selector, labels)
        for isolation in isolations(namespace, world, near)
    )
