"""What the policies that select one pod amount to: whether a direction is isolated, and what traffic is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from iocaudit.knowledge.network.addresses import WHOLE
from iocaudit.knowledge.network.model import (
    CILIUM_TIER,
    UNDECLARED,
    AddressBlock,
    RuleAction,
    Tier,
    Traffic,
    TrafficPolicy,
    TrafficRule,
)


@dataclass(frozen=True, slots=True)
class Isolation:
    """Whether a direction is isolated, and by which policy.

    Not isolated and ``by`` set: that policy, of a tier before all that would isolate, allows everything.
    """

    isolated: bool
    by: str = ""


@dataclass(frozen=True, slots=True)
class TrafficVerdict:
    """Whether traffic is allowed; the policy and rule that decided, if one did."""

    allowed: bool
    policy: TrafficPolicy | None = None
    rule: TrafficRule | None = None


class Coverage:
    """The policies that select one pod, in the order in which engines ask them."""

    __slots__ = ("_isolations", "home", "is_guessed", "policies", "tiers")

    def __init__(
        self, policies: tuple[TrafficPolicy, ...], tiers: Mapping[str, Tier], home: str, *, is_guessed: bool
    ) -> None:
        """``is_guessed``: see ``Space.is_guessed``."""
        self.is_guessed = is_guessed
        self.policies = policies
        self.tiers = tiers
        self.home = home
        self._isolations: dict[str, Isolation] = {}

    def concerning(self, direction: str) -> list[TrafficPolicy]:
        """The policies that say anything about a direction."""
        return [policy for policy in self.policies if direction in policy.sides]

    def isolation(self, direction: str) -> Isolation:
        found = self._isolations.get(direction)
        if found is None:
            found = self._isolations[direction] = self._isolation(direction)
        return found

    def _isolation(self, direction: str) -> Isolation:
        settled: list[AddressBlock] = []
        for tier, group in self._by_tier(direction):
            isolating = next((policy for policy in group if tier.denies and policy.sides[direction].isolates), None)
            if isolating is not None and all(rule.action is RuleAction.ALLOW for _, rule in _rules(group, direction)):
                return Isolation(True, isolating.title)  # however much they allow
            total = _decisive(group, direction, settled)
            if total is not None:
                policy, action = total
                if action is RuleAction.DENY:
                    return Isolation(True, policy.title)
                if action is RuleAction.PASS:
                    continue
                if isolating is None:
                    if policy.tier == CILIUM_TIER:
                        continue  # what Cilium allows without isolating, it does not decide
                    return Isolation(False, policy.title)
            if isolating is not None:
                return Isolation(True, isolating.title)
        return Isolation(False)

    def verdict(self, traffic: Traffic, direction: str, *, generous: bool) -> TrafficVerdict:
        """Whether traffic is allowed. Where a rule's answer cannot be known, ``generous`` takes it as allowed."""
        doubtful = RuleAction.ALLOW if generous else RuleAction.DENY
        for tier, group in self._by_tier(direction):
            for policy, rule in _rules(group, direction):
                matches = rule.matches(traffic, self.home if policy.spaces is None else None)
                if matches or (matches is None and rule.action is doubtful):
                    if rule.action is RuleAction.PASS:
                        break
                    return TrafficVerdict(rule.action is RuleAction.ALLOW, policy, rule)
            else:
                for policy in group:
                    if tier.denies and policy.sides[direction].isolates:
                        return TrafficVerdict(False, policy)
        return TrafficVerdict(True)

    def _by_tier(self, direction: str) -> Iterator[tuple[Tier, list[TrafficPolicy]]]:
        for name, group in groupby(self.concerning(direction), key=lambda policy: policy.tier):
            yield self.tiers.get(name, UNDECLARED), list(group)


def _rules(policies: list[TrafficPolicy], direction: str) -> Iterable[tuple[TrafficPolicy, TrafficRule]]:
    rules = [(policy, rule) for policy in policies for rule in policy.sides[direction].rules]
    if policies[0].tier == CILIUM_TIER:
        # Cilium has no order among policies: deny beats allow.
        rules.sort(key=lambda found: found[1].action is not RuleAction.DENY)
    return rules


def _decisive(
    group: list[TrafficPolicy], direction: str, settled: list[AddressBlock]
) -> tuple[TrafficPolicy, RuleAction] | None:
    """What a tier decides for a whole direction, so its end is never reached, and by which policy.

    One rule may do so alone, or the last of several by address. ``settled`` are the blocks for which earlier tiers
    decided; this one adds its own. Where some are passed on, the next tiers decide.
    """
    passed: list[AddressBlock] = []
    reached = sum(block.size for block in settled)
    for policy, rule in _rules(group, direction):
        if rule.is_total(direction):
            return policy, rule.action
        if rule.narrowed or not rule.covers_all_ports:
            continue
        blocks = [peer for peer in rule.peers if isinstance(peer, AddressBlock)]
        (passed if rule.action is RuleAction.PASS else settled).extend(blocks)
        reached += sum(block.size for block in blocks)
        if blocks and reached >= WHOLE:
            if rule._replace(peers=tuple(settled)).is_total(direction):
                return policy, rule.action
            if rule._replace(peers=(*settled, *passed)).is_total(direction):
                return policy, RuleAction.PASS
    return None
