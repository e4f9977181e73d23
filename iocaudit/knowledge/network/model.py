"""What any network policy amounts to: whom it concerns, in which tier and order, and rules by direction.

Engines walk the tiers in order; in a tier the rules of the policies that select a pod, in the policies' order. The
first rule that matches decides: allow, deny, or pass on to the next tier. Where none matches, a tier some policy of
which isolates the pod denies; else the next tier is asked, and after the last one everything is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from iocaudit.core.ip import IpAddress, IpNetwork
from iocaudit.core.shape import Labels
from iocaudit.knowledge.network.addresses import covers_every_address, whole_families
from iocaudit.knowledge.network.selectors import EVERYTHING, Selector

INGRESS, EGRESS = "Ingress", "Egress"
DIRECTIONS = (INGRESS, EGRESS)

ADMIN_TIER, DEFAULT_TIER, CILIUM_TIER, BASELINE_TIER = "kube-admin", "default", "cilium", "kube-baseline"


class RuleAction(Enum):
    """What a rule does with the traffic it matches."""

    ALLOW = "allows"
    DENY = "denies"
    PASS = "passes"


class Breadth(Enum):
    """How much of the other side a peer covers; ``value`` is how messages put it."""

    EVERYONE = "everyone"
    EVERY_ADDRESS = "every address"
    EVERY_POD = "all pods of the cluster"


class PodTarget(NamedTuple):
    """A pod as the other side of traffic, with the labels that are known of it: it may have others.

    ``namespace_known`` says whether those of its namespace are all that there are.
    """

    namespace: str
    namespace_labels: Labels
    labels: Labels
    namespace_known: bool = True


TrafficTarget = IpAddress | PodTarget


class Peer(Protocol):
    """One alternative of a rule's other side."""

    @property
    def breadth(self) -> Breadth | None:
        """What it covers as a whole, None where that is a part only."""

    def covers(self, target: TrafficTarget, home: str | None) -> bool | None:
        """Whether it covers the target, seen from a policy in namespace ``home``; None where it cannot be known."""


@dataclass(frozen=True, slots=True)
class Everyone:
    """Any other side at all."""

    @property
    def breadth(self) -> Breadth | None:
        return Breadth.EVERYONE

    def covers(self, target: TrafficTarget, home: str | None) -> bool | None:  # noqa: ARG002  the protocol's signature
        return True


@dataclass(frozen=True, slots=True)
class OutsidePeer:
    """Every address outside the cluster (an entity, every domain name)."""

    @property
    def breadth(self) -> Breadth | None:
        return Breadth.EVERY_ADDRESS

    def covers(self, target: TrafficTarget, home: str | None) -> bool | None:  # noqa: ARG002  the protocol's signature
        return not isinstance(target, PodTarget)


@dataclass(frozen=True, slots=True)
class UnknownPeer:
    """A peer that cannot be resolved from here: a domain name, a node, a service, a group."""

    @property
    def breadth(self) -> Breadth | None:
        return None

    def covers(self, target: TrafficTarget, home: str | None) -> bool | None:  # noqa: ARG002  the protocol's signature
        return None


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods by their labels and those of their namespaces; ``spaces`` None means the policy's own namespace.

    ``narrowed``: more than labels decides (ServiceAccounts, addresses).
    """

    pods: Selector = EVERYTHING
    spaces: Selector | None = None
    narrowed: bool = False

    @property
    def breadth(self) -> Breadth | None:
        if self.narrowed or self.spaces is None:
            return None
        return Breadth.EVERY_POD if self.spaces.matches_all({}) and self.pods.matches_all({}) else None

    def covers(self, target: TrafficTarget, home: str | None) -> bool | None:
        if not isinstance(target, PodTarget):
            # Calico's selectors speak of sets of addresses too, which are not looked up.
            return None if self.narrowed else False
        if self.spaces is None:
            if home is not None and home != target.namespace:
                return False
        elif not self.spaces.matches(target.namespace_labels):
            unknown = not target.namespace_known and not self.spaces.keys <= target.namespace_labels.keys()
            return None if unknown else False
        if not self.pods.matches(target.labels):
            return False if self.pods.keys <= target.labels.keys() else None
        return None if self.narrowed else True


@dataclass(frozen=True, slots=True)
class AddressBlock:
    """Addresses: networks, and what is taken out of them again."""

    networks: tuple[IpNetwork, ...]
    but: tuple[IpNetwork, ...] = ()

    @property
    def size(self) -> int:
        """How many addresses of IPv4 its networks have, those counted twice that are named twice."""
        return sum(1 << (32 - network.prefixlen) for network in self.networks if network.version == 4)

    @property
    def breadth(self) -> Breadth | None:
        return Breadth.EVERY_ADDRESS if covers_every_address(self.networks, self.but) else None

    def covers(self, target: TrafficTarget, home: str | None) -> bool | None:  # noqa: ARG002  the protocol's signature
        if isinstance(target, PodTarget):
            return None
        return any(target in network for network in self.networks) and not any(target in gone for gone in self.but)


@dataclass(frozen=True, slots=True)
class Port:
    """Ports of a protocol: a range, or a name that only the pods know. ``protocol`` None means any."""

    protocol: str | None
    low: int = 0
    high: int = 65535
    name: str = ""

    def covers(self, protocol: str, ports: Iterable[int], names: Iterable[str]) -> bool:
        if self.protocol not in (None, protocol):
            return False
        return self.name in names if self.name else any(self.low <= port <= self.high for port in ports)


def cover_every_tcp_port(ports: Iterable[Port]) -> bool:
    """Whether ports amount to all of TCP: one range, or several without a gap."""
    reached = 0
    for port in sorted((p for p in ports if p.protocol in (None, "TCP") and not p.name), key=lambda p: p.low):
        if port.low > reached + 1:
            return False
        reached = max(reached, port.high)
    return reached >= 65535


class Traffic(NamedTuple):
    """Traffic to one of these ports of a target; ``names`` are what such a port is usually called."""

    target: TrafficTarget
    protocol: str
    ports: tuple[int, ...]
    names: tuple[str, ...] = ()


class TrafficRule(NamedTuple):
    """Matches traffic with any of ``peers`` on any of ``ports`` (None: all of them).

    ``narrowed``: the rule says more that is not modelled (layer 7, ICMP types, source ports), so it never
    covers everything and may not match. ``path`` is where it stands in its policy.
    """

    action: RuleAction
    peers: tuple[Peer, ...]
    ports: tuple[Port, ...] | None
    path: str
    narrowed: bool = False

    @property
    def covers_all_ports(self) -> bool:
        return self.ports is None or cover_every_tcp_port(self.ports)

    @property
    def breadth(self) -> Breadth | None:
        """The most that it covers, on all ports: of both sides of its peers taken together."""
        if self.narrowed or not self.covers_all_ports:
            return None
        found = {peer.breadth for peer in self.peers}
        if found <= {None} and self.families:
            return Breadth.EVERY_ADDRESS
        return next((breadth for breadth in Breadth if breadth in found), None)

    @property
    def families(self) -> frozenset[int]:
        """The IP versions that its blocks cover whole, taken together or one by itself."""
        blocks = [peer for peer in self.peers if isinstance(peer, AddressBlock)]
        if not blocks:
            return frozenset()
        networks = [network for block in blocks for network in block.networks]
        together = whole_families(networks, [network for block in blocks for network in block.but])
        return together.union(*(whole_families(block.networks, block.but) for block in blocks))

    def is_total(self, direction: str) -> bool:
        """Whether it decides for the whole direction.

        Pods are not all that a pod can send to, and what speaks of IPv6 alone leaves out what most traffic goes by.
        """
        if self.narrowed or not self.covers_all_ports:
            return False
        found = {peer.breadth for peer in self.peers if not isinstance(peer, AddressBlock)}
        if Breadth.EVERYONE in found or (direction == INGRESS and Breadth.EVERY_POD in found):
            return True
        return any(isinstance(peer, OutsidePeer) for peer in self.peers) or 4 in self.families

    def matches(self, traffic: Traffic, home: str | None) -> bool | None:
        """Whether the traffic matches; None where it cannot be known."""
        if self.ports is not None and not any(
            port.covers(traffic.protocol, traffic.ports, traffic.names) for port in self.ports
        ):
            return False
        answers = [peer.covers(traffic.target, home) for peer in self.peers]
        if True in answers:
            return None if self.narrowed else True
        return None if None in answers else False


class Side(NamedTuple):
    """A policy in one direction. ``isolates``: being selected is enough for what no rule allows to be denied."""

    isolates: bool
    rules: tuple[TrafficRule, ...] = ()

    def opened(self, direction: str) -> Iterator[tuple[TrafficRule, Breadth]]:
        """The rules that allow a breadth before another decides; address blocks of several rules add up."""
        blocks: list[TrafficRule] = []
        whole = False
        for rule in self.rules:
            breadth = rule.breadth if rule.action is RuleAction.ALLOW else None
            if breadth is not None:
                whole = whole or breadth is not Breadth.EVERY_POD
                yield rule, breadth
            elif rule.action is RuleAction.ALLOW and not rule.narrowed and rule.covers_all_ports:
                blocks.append(rule._replace(peers=tuple(peer for peer in rule.peers if isinstance(peer, AddressBlock))))
            if rule.is_total(direction):
                break  # what stands behind it is never asked
        if not whole and len(blocks) > 1:
            together = blocks[0]._replace(peers=tuple(peer for rule in blocks for peer in rule.peers), ports=None)
            if together.breadth is not None:
                yield together, together.breadth


class TrafficPolicy(NamedTuple):
    """One policy, or one of several specs of one.

    ``namespace`` is its own one, None for cluster scope; ``spaces`` selects namespaces by their labels where it is
    of cluster scope. ``implied``: its selectors see the labels that Calico and Cilium add to a pod's own.
    ``problem`` says why it can select nothing.
    """

    title: str
    tier: str
    order: tuple[float, str]
    namespace: str | None
    sides: Mapping[str, Side]
    pods: Selector = EVERYTHING
    spaces: Selector | None = None
    accounts: Selector | None = None
    implied: bool = False
    problem: str = ""


class Tier(NamedTuple):
    """Lower ``order`` goes first. ``denies``: what is selected and matches no rule is denied, else passed on."""

    order: float
    denies: bool = True


TIERS: Mapping[str, Tier] = {
    ADMIN_TIER: Tier(1e3, denies=False),
    "adminnetworkpolicy": Tier(1e3, denies=False),
    DEFAULT_TIER: Tier(1e6),
    CILIUM_TIER: Tier(1e6 + 1),
    BASELINE_TIER: Tier(1e7, denies=False),
    "baselineadminnetworkpolicy": Tier(1e7, denies=False),
}
"""The tiers that exist without being declared; a tier that is only named goes last, and denies."""

UNDECLARED = Tier(float("inf"))
