"""AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1), and ClusterNetworkPolicy, which follows them.

Source: network-policy-api, API types of v1alpha1 and v1alpha2. Being selected isolates nobody: only an explicit Deny
does. Policies of lower ``priority`` go first, their rules in the order written. Pods on the node's network are not
subjects. A rule with a peer none of whose fields is known fails closed, as those types say: one that allows matches
nothing, any other denies everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.kinds.policies import BASELINE_ADMIN_NETWORK_POLICY
from iocaudit.core.resource import Resource
from iocaudit.core.shape import integer, items, mapping, mappings, text
from iocaudit.knowledge.network.addresses import read_networks
from iocaudit.knowledge.network.model import (
    ADMIN_TIER,
    BASELINE_TIER,
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
    UnknownPeer,
)
from iocaudit.knowledge.network.selectors import EVERYTHING, EmptySelector, Selector, read_label_selector

_ACTIONS = {"Allow": RuleAction.ALLOW, "Accept": RuleAction.ALLOW, "Deny": RuleAction.DENY, "Pass": RuleAction.PASS}


def read_policy(resource: Resource) -> tuple[TrafficPolicy, ...]:
    """What a policy of policy.networking.k8s.io amounts to."""
    spec = mapping(resource.raw.get("spec"))
    baseline = resource.kind is BASELINE_ADMIN_NETWORK_POLICY or spec.get("tier") == "Baseline"
    subject = mapping(spec.get("subject"))
    pods: Selector = EVERYTHING
    spaces: Selector
    if isinstance(subject.get("namespaces"), dict):
        spaces = read_label_selector(subject["namespaces"])
    elif isinstance(subject.get("pods"), dict):
        spaces = read_label_selector(subject["pods"].get("namespaceSelector"))
        pods = read_label_selector(subject["pods"].get("podSelector"))
    else:
        spaces = EmptySelector("spec.subject names neither namespaces nor pods")
    priority = integer(spec.get("priority"))
    return (
        TrafficPolicy(
            title=str(resource.ref),
            tier=BASELINE_TIER if baseline else ADMIN_TIER,
            order=(0.0 if baseline and priority is None else float(priority or 0), resource.name),
            namespace=None,
            sides={
                direction: Side(False, rules)
                for direction in (INGRESS, EGRESS)
                if (rules := tuple(_rules(spec, direction)))
            },
            pods=pods,
            spaces=spaces,
            problem=spaces.reason if isinstance(spaces, EmptySelector) else "",
        ),
    )


def _rules(spec: Mapping[str, Any], direction: str) -> Iterator[TrafficRule]:
    field, peers = ("ingress", "from") if direction == INGRESS else ("egress", "to")
    for index, raw in enumerate(items(spec.get(field))):
        if not isinstance(raw, dict) or (action := _ACTIONS.get(text(raw.get("action")))) is None:
            continue
        path = f"spec.{field}[{index}]"
        found = [_peer(peer) for peer in mappings(raw.get(peers))]
        known = tuple(peer for peer in found if peer is not None)
        if len(known) == len(found):
            ports = tuple(_ports(raw))
            asked = bool(items(raw.get("ports")) or items(raw.get("protocols")))
            yield TrafficRule(action, known, ports or None, path, narrowed=asked and not ports)
        elif action is not RuleAction.ALLOW:
            yield TrafficRule(RuleAction.DENY, (Everyone(),), None, path)


def _peer(raw: Mapping[str, Any]) -> Peer | None:
    if isinstance(raw.get("namespaces"), dict):
        return Pods(EVERYTHING, read_label_selector(raw["namespaces"]))
    if isinstance(raw.get("pods"), dict):
        pods = raw["pods"]
        return Pods(read_label_selector(pods.get("podSelector")), read_label_selector(pods.get("namespaceSelector")))
    if isinstance(raw.get("networks"), list):
        return AddressBlock(read_networks(raw["networks"]))
    if raw.get("nodes") is not None or raw.get("domainNames") is not None:
        return UnknownPeer()
    return None


def _ports(raw: Mapping[str, Any]) -> Iterator[Port]:
    for item in mappings(raw.get("ports")):
        one, span = mapping(item.get("portNumber")), mapping(item.get("portRange"))
        if item.get("namedPort") is not None:
            yield Port(None, name=text(item["namedPort"]))
        elif one:
            port = integer(one.get("port")) or 0
            yield Port(text(one.get("protocol")) or "TCP", port, port)
        else:
            yield _range(text(span.get("protocol")) or "TCP", span)
    for item in mappings(raw.get("protocols")):
        if item.get("destinationNamedPort") is not None:
            yield Port(None, name=text(item["destinationNamedPort"]))
        for protocol in ("tcp", "udp", "sctp"):
            if isinstance(item.get(protocol), dict):
                yield _destination(protocol.upper(), mapping(item[protocol].get("destinationPort")))


def _destination(protocol: str, raw: Mapping[str, Any]) -> Port:
    span = raw.get("range")
    if isinstance(span, dict):
        return _range(protocol, span)
    number = integer(raw.get("number"))
    return Port(protocol) if number is None else Port(protocol, number, number)


def _range(protocol: str, raw: Mapping[str, Any]) -> Port:
    return Port(protocol, integer(raw.get("start")) or 0, integer(raw.get("end")) or 0)
