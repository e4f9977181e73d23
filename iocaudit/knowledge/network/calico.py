"""NetworkPolicy, GlobalNetworkPolicy and Tier of Calico, in either of its groups.

Source: Calico's reference documentation of these kinds, and libcalico-go (how a policy becomes what Felix enforces).
Absent ``types`` mean Egress where there are only egress rules, both where there are both, else Ingress. A policy's
namespace selector sees the namespace's labels with ``projectcalico.org/name``. Pre-DNAT and untracked policies hold
for host endpoints only. An expression that does not parse selects nothing: Felix drops such a policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.resource import Resource
from iocaudit.core.shape import integer, items, mapping, strings, text
from iocaudit.knowledge.network.addresses import read_networks
from iocaudit.knowledge.network.calico_selector import SelectorSyntaxError, parse
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
    Tier,
    TrafficPolicy,
    TrafficRule,
    UnknownPeer,
)
from iocaudit.knowledge.network.selectors import EVERYTHING, EmptySelector, Selector

_ACTIONS = {"Allow": RuleAction.ALLOW, "Deny": RuleAction.DENY, "Pass": RuleAction.PASS}
_LAST = float("inf")
_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPV6", 132: "SCTP", 136: "UDPLITE"}
_FAMILIES = {4: read_networks(("0.0.0.0/0",)), 6: read_networks(("::/0",))}
# What of an entity rule narrows it beyond what the model says.
_NARROWING = ("notSelector", "serviceAccounts", "services", "domains")


def read_tier(resource: Resource) -> Tier:
    """What a Tier says of its policies."""
    spec = mapping(resource.raw.get("spec"))
    return Tier(_number(spec.get("order")), denies=spec.get("defaultAction") != "Pass")


def read_policy(resource: Resource) -> tuple[TrafficPolicy, ...]:
    """What a policy amounts to; nothing where it is for host endpoints only."""
    spec = mapping(resource.raw.get("spec"))
    if spec.get("preDNAT") is True or spec.get("doNotTrack") is True:
        return ()
    everywhere = resource.kind is not None and not resource.kind.namespaced
    types = strings(spec.get("types"))
    if not types:
        types = [EGRESS] if spec.get("egress") else []
        if spec.get("ingress") or not types:
            types.append(INGRESS)
    pods = read_selector(spec.get("selector"))
    spaces = read_selector(spec.get("namespaceSelector")) if everywhere else None
    accounts = read_selector(spec.get("serviceAccountSelector")) if text(spec.get("serviceAccountSelector")) else None
    problems = [part.reason for part in (pods, spaces, accounts) if isinstance(part, EmptySelector)]
    return (
        TrafficPolicy(
            title=str(resource.ref),
            tier=text(spec.get("tier")) or DEFAULT_TIER,
            order=(_number(spec.get("order")), resource.name),
            namespace=None if everywhere else resource.namespace,
            sides={
                direction: Side(True, tuple(_rules(spec, direction, everywhere)))
                for direction in DIRECTIONS
                if direction in types
            },
            pods=pods,
            spaces=spaces,
            accounts=accounts,
            implied=True,
            problem=problems[0] if problems else "",
        ),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else _LAST


def read_selector(value: object) -> Selector:
    """Read an expression; one that does not parse selects nothing, and says why."""
    if not text(value).strip(" \t"):
        return EVERYTHING
    try:
        return parse(text(value))
    except SelectorSyntaxError as error:
        return EmptySelector(f"its selector cannot be read: {error}")


def _rules(spec: Mapping[str, Any], direction: str, everywhere: bool) -> Iterator[TrafficRule]:
    field = direction.lower()
    for index, raw in enumerate(items(spec.get(field))):
        if not isinstance(raw, dict) or (action := _ACTIONS.get(text(raw.get("action")))) is None:
            continue  # Log matches and goes on
        source, destination = mapping(raw.get("source")), mapping(raw.get("destination"))
        peer, other = (source, destination) if direction == INGRESS else (destination, source)
        narrowed = (
            any(raw.get(name) for name in ("notProtocol", "icmp", "notICMP", "http"))
            or any(other.get(name) for name in (*_NARROWING, "selector", "nets", "notNets", "namespaceSelector"))
            or any(source.get(name) for name in ("ports", "notPorts"))
            or bool(destination.get("notPorts"))
        )
        peers = tuple(_peers(peer, everywhere))
        family = _FAMILIES.get(integer(raw.get("ipVersion")) or 0)
        if family is not None and isinstance(peers[0], Everyone):
            peers = (AddressBlock(family),)
        elif family is _FAMILIES[6] and not isinstance(peers[0], AddressBlock):
            narrowed = True
        yield TrafficRule(
            action,
            peers,
            _ports(raw, destination),
            f"spec.{field}[{index}]",
            narrowed=narrowed,
        )


def _peers(entity: Mapping[str, Any], everywhere: bool) -> Iterator[Peer]:
    """The other side of a rule: one peer, as all of an entity's fields must hold at once."""
    narrowed = any(entity.get(name) for name in _NARROWING)
    nets, but = items(entity.get("nets")), items(entity.get("notNets"))
    selector, spaces = text(entity.get("selector")), text(entity.get("namespaceSelector"))
    if selector or spaces:
        if spaces.replace(" ", "") == "global()":
            yield UnknownPeer()
            return
        yield Pods(
            read_selector(selector),
            read_selector(spaces) if spaces or everywhere else None,
            narrowed=narrowed or bool(nets or but),
        )
    elif narrowed:
        yield UnknownPeer()
    elif nets:
        yield AddressBlock(read_networks(nets), read_networks(but))
    elif but:
        yield AddressBlock(read_networks(("0.0.0.0/0", "::/0")), read_networks(but))
    else:
        yield Everyone()


def _ports(raw: Mapping[str, Any], destination: Mapping[str, Any]) -> tuple[Port, ...] | None:
    protocol = raw.get("protocol")
    number = integer(protocol)
    name = _PROTOCOLS.get(number, str(number)) if number is not None else text(protocol).upper() or None
    ports = tuple(_port(name, port) for port in items(destination.get("ports")))
    if ports:
        return ports
    return None if name is None else (Port(name),)


def _port(protocol: str | None, value: object) -> Port:
    number = integer(value)
    if number is not None:
        return Port(protocol, number, number)
    low, colon, high = text(value).partition(":")
    if low.isdecimal() and (not colon or high.isdecimal()):
        return Port(protocol, int(low), int(high) if colon else int(low))
    return Port(protocol, name=text(value) or "?")
