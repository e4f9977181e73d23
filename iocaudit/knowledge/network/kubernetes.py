"""NetworkPolicy of networking.k8s.io.

Source: its API reference. Isolation is per direction: absent policyTypes mean Ingress always and Egress only where
there are egress rules; an absent podSelector selects every pod of the namespace. Absent or empty ``from``, ``to`` and
``ports`` mean any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.resource import Resource
from iocaudit.core.shape import integer, items, mapping, mappings, strings, text
from iocaudit.knowledge.network.addresses import read_network, read_networks
from iocaudit.knowledge.network.model import (
    DEFAULT_TIER,
    DIRECTIONS,
    EGRESS,
    INGRESS,
    AddressBlock,
    Everyone,
    Peer,
    Pods,
    Port,
    RuleAction,
    Side,
    TrafficPolicy,
    TrafficRule,
)
from iocaudit.knowledge.network.selectors import EVERYTHING, read_label_selector

ORDER = 1000.0
"""Where Calico puts these policies among its own of the default tier."""


def read_policy(resource: Resource) -> tuple[TrafficPolicy, ...]:
    """What a NetworkPolicy amounts to."""
    spec = mapping(resource.raw.get("spec"))
    types = spec.get("policyTypes")
    if isinstance(types, list) and types:
        directions = [direction for direction in DIRECTIONS if direction in strings(types)]
    else:
        directions = [INGRESS, EGRESS] if spec.get("egress") else [INGRESS]
    return (
        TrafficPolicy(
            title=str(resource.ref),
            tier=DEFAULT_TIER,
            order=(ORDER, resource.name),
            namespace=resource.namespace,
            sides={direction: Side(True, tuple(_rules(spec, direction))) for direction in directions},
            pods=read_label_selector(spec.get("podSelector")),
        ),
    )


def _rules(spec: Mapping[str, Any], direction: str) -> Iterator[TrafficRule]:
    field, peers = ("ingress", "from") if direction == INGRESS else ("egress", "to")
    for index, raw in enumerate(items(spec.get(field))):
        if isinstance(raw, dict):
            yield TrafficRule(
                RuleAction.ALLOW,
                tuple(map(_peer, mappings(raw.get(peers)))) or (Everyone(),),
                tuple(map(_port, mappings(raw.get("ports")))) or None,
                f"spec.{field}[{index}]",
            )


def _peer(raw: Mapping[str, Any]) -> Peer:
    block = raw.get("ipBlock")
    if isinstance(block, dict):
        network = read_network(block.get("cidr"))
        return AddressBlock((network,) if network else (), read_networks(items(block.get("except"))))
    pods, spaces = raw.get("podSelector"), raw.get("namespaceSelector")
    if pods is None and spaces is None:
        return AddressBlock(())  # refused by the API server; covers nothing
    return Pods(
        EVERYTHING if pods is None else read_label_selector(pods),
        None if spaces is None else read_label_selector(spaces),
    )


def _port(raw: Mapping[str, Any]) -> Port:
    protocol, port = text(raw.get("protocol")) or "TCP", raw.get("port")
    number = integer(port)
    if number is not None:
        end = integer(raw.get("endPort"))
        return Port(protocol, number, number if end is None else end)
    return Port(protocol, name=text(port)) if port is not None else Port(protocol)
