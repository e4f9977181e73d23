"""CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

Source: Cilium's documentation of policy enforcement and its policy API (Sanitize, ParseToCiliumRule). A direction
isolates where it has rules (``ingress: [{}]`` does, and allows nothing: the opposite of Kubernetes), unless
``enableDefaultDeny`` says otherwise. Deny beats allow. A policy one of whose specs Cilium refuses is not enforced.
Selectors without a namespace mean the policy's own in a CiliumNetworkPolicy, any in a clusterwide one. A nodeSelector
never selects pods. Peers given by CIDR don't cover pods. The agent's own mode (``enable-policy``) is taken to be the
default one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.resource import Resource
from iocaudit.core.shape import integer, items, mapping, mappings, strings, text
from iocaudit.knowledge.network.addresses import read_networks
from iocaudit.knowledge.network.model import (
    CILIUM_TIER,
    DIRECTIONS,
    INGRESS,
    AddressBlock,
    Everyone,
    OutsidePeer,
    Peer,
    Pods,
    Port,
    RuleAction,
    Side,
    TrafficPolicy,
    TrafficRule,
    UnknownPeer,
)
from iocaudit.knowledge.network.selectors import EVERYTHING, EmptySelector, LabelSelector, Selector, read_label_selector

NAMESPACE_LABEL = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
ACCOUNT_LABEL = "io.cilium.k8s.policy.serviceaccount"
CLUSTER_LABEL = "io.cilium.k8s.policy.cluster"
_SOURCES = ("k8s:", "any:")
_POD_ENTITIES = frozenset({"cluster"})
_OUTSIDE_ENTITIES = frozenset({"world", "world-ipv4"})
_SECTIONS = ("ingress", "ingressDeny", "egress", "egressDeny")


def read_policy(resource: Resource) -> tuple[TrafficPolicy, ...]:
    """What a policy amounts to: one for each spec that selects endpoints; one of a spec refused spoils them all."""
    everywhere = resource.kind is not None and not resource.kind.namespaced
    written = [("spec", resource.raw.get("spec"))]
    written += [(f"specs[{index}]", spec) for index, spec in enumerate(items(resource.raw.get("specs")))]
    specs = [(path, spec) for path, spec in written if isinstance(spec, dict)]
    refused = next((f"{path} {why}" for path, spec in specs if (why := _refusal(spec, everywhere))), "")
    if refused:
        specs, reason = specs[:1], f"Cilium refuses it: {refused}"
    return tuple(
        TrafficPolicy(
            title=str(resource.ref),
            tier=CILIUM_TIER,
            order=(0.0, resource.name),
            namespace=None if everywhere else resource.namespace,
            sides={} if refused else dict(_sides(spec, path, everywhere)),
            pods=EmptySelector(reason) if refused else _subject(spec, everywhere),
            spaces=EVERYTHING if everywhere else None,
            implied=True,
            problem=reason if refused else "",
        )
        for path, spec in specs
        if refused or spec.get("endpointSelector") is not None
    )


def _refusal(spec: Mapping[str, Any], everywhere: bool) -> str:
    """Why Cilium does not take a spec in, empty where it does."""
    endpoints, nodes = (spec.get(name) is not None for name in ("endpointSelector", "nodeSelector"))
    if endpoints == nodes:
        return "needs an endpointSelector or a nodeSelector, not both"
    if nodes and not everywhere:
        return "has a nodeSelector, which only clusterwide policies may have"
    if not any(items(spec.get(section)) for section in _SECTIONS):
        return f"has none of {', '.join(_SECTIONS)}"
    for section in _SECTIONS:
        prefix = "from" if section.startswith("ingress") else "to"
        for index, rule in enumerate(mappings(spec.get(section))):
            named = [name for name in _peer_fields(prefix) if items(rule.get(name))]
            if len(named) > 1:
                return f"combines {' and '.join(named)} in {section}[{index}]"
            if items(rule.get("icmps")) and items(rule.get("toPorts")):
                return f"combines icmps and toPorts in {section}[{index}]"
    return ""


def _subject(spec: Mapping[str, Any], everywhere: bool) -> Selector:
    raw = spec.get("endpointSelector")
    if not everywhere and isinstance(raw, dict) and isinstance(raw.get("matchLabels"), dict):
        # A namespaced policy never leaves its namespace: Cilium overwrites this label, and no other spelling of it.
        labels = {key: value for key, value in raw["matchLabels"].items() if key != f"k8s:{NAMESPACE_LABEL}"}
        raw = {**raw, "matchLabels": labels}
    return _selector(raw)


def _selector(raw: object) -> LabelSelector:
    """A LabelSelector whose keys may name their source: ``k8s:app``, ``any:app``."""
    found = read_label_selector(raw)
    return LabelSelector(tuple(replace(r, key=_plain(r.key)) for r in found.requirements))


def _plain(key: str) -> str:
    for source in _SOURCES:
        if key.startswith(source):
            return key[len(source) :]
    return key


def _sides(spec: Mapping[str, Any], path: str, everywhere: bool) -> Iterator[tuple[str, Side]]:
    wanted = mapping(spec.get("enableDefaultDeny"))
    for direction in DIRECTIONS:
        field = direction.lower()
        allowed, denied = items(spec.get(field)), items(spec.get(f"{field}Deny"))
        said = wanted.get(field)
        isolates = said if isinstance(said, bool) else bool(allowed or denied)
        rules = [
            *_rules(denied, RuleAction.DENY, direction, f"{path}.{field}Deny", everywhere),
            *_rules(allowed, RuleAction.ALLOW, direction, f"{path}.{field}", everywhere),
        ]
        if isolates or rules:
            yield direction, Side(isolates, tuple(rules))


def _rules(raws: Any, action: RuleAction, direction: str, path: str, everywhere: bool) -> Iterator[TrafficRule]:
    for index, raw in enumerate(raws):
        if not isinstance(raw, dict):
            continue
        prefix = "from" if direction == INGRESS else "to"
        peers = tuple(_peers(raw, prefix, everywhere))
        ports, narrowed = _ports(raw)
        if not peers and not any(name in raw for name in _peer_fields(prefix)) and (ports is not None or narrowed):
            peers = (Everyone(),)
        narrowed = narrowed or bool(raw.get(f"{prefix}Requires"))
        yield TrafficRule(action, peers, ports, f"{path}[{index}]", narrowed=narrowed)


def _peer_fields(prefix: str) -> tuple[str, ...]:
    return tuple(
        prefix + name for name in ("Endpoints", "CIDR", "CIDRSet", "Entities", "Nodes", "Groups", "Services", "FQDNs")
    )


def _peers(raw: Mapping[str, Any], prefix: str, everywhere: bool) -> Iterator[Peer]:
    for selector in mappings(raw.get(f"{prefix}Endpoints")):
        yield _endpoints(selector, everywhere)
    plain = read_networks(items(raw.get(f"{prefix}CIDR")))
    if plain:
        yield AddressBlock(plain)
    for block in mappings(raw.get(f"{prefix}CIDRSet")):
        if block.get("cidr") is None:
            yield UnknownPeer()  # a group of CIDRs
        else:
            yield AddressBlock(read_networks([block["cidr"]]), read_networks(items(block.get("except"))))
    for entity in strings(raw.get(f"{prefix}Entities")):
        if entity == "all":
            yield Everyone()
        elif entity in _POD_ENTITIES:
            yield Pods(EVERYTHING, EVERYTHING)
        elif entity in _OUTSIDE_ENTITIES:
            yield OutsidePeer()
        elif entity == "world-ipv6":
            yield AddressBlock(read_networks(["::/0"]))
        elif entity != "none":
            yield UnknownPeer()
    for name in mappings(raw.get(f"{prefix}FQDNs")):
        yield OutsidePeer() if text(name.get("matchPattern")).strip(".") in ("*", "**") else UnknownPeer()
    if any(raw.get(f"{prefix}{name}") for name in ("Nodes", "Groups", "Services")):
        yield UnknownPeer()


def _endpoints(raw: Mapping[str, Any], everywhere: bool) -> Peer:
    """Endpoints by labels; those about the namespace are taken apart, so they are judged by its labels."""
    found = _selector(raw)
    spaces, pods, elsewhere = [], [], False
    for requirement in found.requirements:
        if requirement.key == NAMESPACE_LABEL:
            spaces.append(replace(requirement, key=NAME_LABEL))
        elif requirement.key.startswith(NAMESPACE_LABELS):
            spaces.append(replace(requirement, key=requirement.key.removeprefix(NAMESPACE_LABELS)))
        elif requirement.key == CLUSTER_LABEL and requirement.operator == "Exists":
            pass
        elif ":" in requirement.key:
            elsewhere = True  # reserved:… and the like: no pod
        else:
            pods.append(requirement)
    if elsewhere:
        return UnknownPeer()
    # Every pod has a namespace, so to ask for one is to ask for all.
    asked = [r for r in spaces if not (r.key == NAME_LABEL and r.operator == "Exists")]
    return Pods(LabelSelector(tuple(pods)), LabelSelector(tuple(asked)) if spaces or everywhere else None)


def _ports(raw: Mapping[str, Any]) -> tuple[tuple[Port, ...] | None, bool]:
    """The ports of a rule (None: all), and whether more than ports narrows it."""
    if raw.get("icmps"):
        return None, True
    rules = mappings(raw.get("toPorts"))
    if not rules:
        return None, False
    found: list[Port] = []
    narrowed = False
    for rule in rules:
        narrowed = narrowed or bool(rule.get("rules") and not mapping(rule.get("rules")).get("dns"))
        narrowed = narrowed or bool(rule.get("serverNames"))
        found += map(_port, mappings(rule.get("ports")))
    return tuple(found) or None, narrowed


def _port(raw: Mapping[str, Any]) -> Port:
    protocol = text(raw.get("protocol")).upper()
    value = raw.get("port")
    known = None if protocol in ("", "ANY") else protocol
    number = integer(value)
    if number is None and text(value).isdecimal():
        number = int(text(value))
    if number is None:
        return Port(known, name=text(value) or "?")
    end = integer(raw.get("endPort"))
    if number == 0 and not end:
        return Port(known)
    return Port(known, number, end or number)
