"""Verdicts and isolation against a plain evaluator that walks written policies address by address."""

import ipaddress
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iocaudit.knowledge.network.model import EGRESS, Traffic
from tests.unit.knowledge.network.worlds import POD, coverage

# One address of each eighth of IPv4, so that none of the blocks below needs a finer look.
ADDRESSES = [ipaddress.IPv4Address((eighth << 29) + 1) for eighth in range(8)]
_BLOCKS = [f"{ipaddress.IPv4Address(n << (32 - size))}/{size}" for size in (1, 2, 3) for n in range(1 << size)]
BLOCKS = st.lists(st.sampled_from(["0.0.0.0/0", *_BLOCKS]), min_size=1, max_size=3)
TIERS = {"early": (10.0, "Deny"), "loose": (20.0, "Pass"), "default": (1e6, "Deny")}

KUBERNETES = st.lists(BLOCKS, max_size=3).map(
    lambda rules: ("NetworkPolicy", "default", 1000.0, [("Allow", r) for r in rules])
)
CALICO = st.tuples(
    st.sampled_from(sorted(TIERS)),
    st.sampled_from([1.0, 500.0, 2000.0]),
    st.lists(st.tuples(st.sampled_from(["Allow", "Deny", "Pass"]), BLOCKS), max_size=3),
).map(lambda drawn: ("GlobalNetworkPolicy", *drawn))
ADMIN = st.tuples(
    st.sampled_from([1.0, 2.0]),
    st.lists(st.tuples(st.sampled_from(["Allow", "Deny", "Pass"]), BLOCKS), min_size=1, max_size=3),
).map(lambda drawn: ("AdminNetworkPolicy", "admin", *drawn))
BASELINE = st.lists(st.tuples(st.sampled_from(["Allow", "Deny"]), BLOCKS), min_size=1, max_size=3).map(
    lambda rules: ("BaselineAdminNetworkPolicy", "baseline", 0.0, rules)
)
Drawn = tuple[str, str, float, list[tuple[str, list[str]]]]


def written(drawn: Drawn, name: str) -> dict[str, Any]:
    kind, tier, order, rules = drawn
    if kind == "NetworkPolicy":
        egress: list[Any] = [{"to": [{"ipBlock": {"cidr": block}} for block in blocks]} for _, blocks in rules]
        spec: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}
        api = "networking.k8s.io/v1"
    elif kind == "GlobalNetworkPolicy":
        egress = [{"action": action, "destination": {"nets": blocks}} for action, blocks in rules]
        spec = {"tier": tier, "order": order, "types": ["Egress"], "egress": egress}
        api = "projectcalico.org/v3"
    else:
        egress = [{"action": action, "to": [{"networks": blocks}]} for action, blocks in rules]
        spec = {"subject": {"namespaces": {}}, "priority": int(order), "egress": egress}
        api = "policy.networking.k8s.io/v1alpha1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def tiers() -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "Tier",
            "metadata": {"name": name},
            "spec": {"order": order, "defaultAction": action},
        }
        for name, (order, action) in TIERS.items()
    ]


def allows(policies: list[Drawn], address: ipaddress.IPv4Address) -> bool:
    """What the documentation of each API says, in so many words."""
    for tier in ("early", "loose", "admin", "default", "baseline"):
        selecting = sorted((p[2], f"p{n}", p[3]) for n, p in enumerate(policies) if p[1] == tier)
        action = next(
            (
                action
                for _, _, rules in selecting
                for action, blocks in rules
                if any(address in ipaddress.IPv4Network(block) for block in blocks)
            ),
            "none",
        )
        if action in ("Allow", "Deny"):
            return action == "Allow"
        if action == "none" and selecting and TIERS.get(tier, (0, "Pass"))[1] == "Deny":
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.lists(KUBERNETES | CALICO | ADMIN | BASELINE, max_size=5))
def test_verdicts_are_those_of_a_plain_walk(policies: list[Drawn]) -> None:
    documents = [*tiers(), *(written(drawn, f"p{number}") for number, drawn in enumerate(policies))]
    found = coverage(POD + yaml.safe_dump_all(documents))
    expected = [allows(policies, address) for address in ADDRESSES]
    traffic = [Traffic(address, "TCP", (80,)) for address in ADDRESSES]
    assert [found.verdict(one, EGRESS, generous=False).allowed for one in traffic] == expected
    # What is not isolated can send somewhere, and what nothing denies or isolates can send anywhere.
    isolated = found.isolation(EGRESS).isolated
    assert isolated or any(expected)
    if not any(
        side.isolates or any(rule.action.name == "DENY" for rule in side.rules)
        for p in found.policies
        for side in p.sides.values()
    ):
        assert not isolated
        assert all(expected)


CILIUM = st.tuples(st.lists(BLOCKS, max_size=2), st.lists(BLOCKS, max_size=2), st.sampled_from([None, True, False]))


@settings(max_examples=200, deadline=None)
@given(st.lists(KUBERNETES, max_size=2), st.lists(CILIUM, min_size=1, max_size=3))
def test_cilium_denies_first_and_enforces_what_both_apis_say(kubernetes: list[Drawn], cilium: list[Any]) -> None:
    documents = [written(drawn, f"k{number}") for number, drawn in enumerate(kubernetes)]
    for number, (allowed, denied, said) in enumerate(cilium):
        spec: dict[str, Any] = {"endpointSelector": {}, "enableDefaultDeny": {} if said is None else {"egress": said}}
        spec |= {"egress": [{"toCIDR": blocks} for blocks in allowed]}
        spec |= {"egressDeny": [{"toCIDR": blocks} for blocks in denied]}
        metadata = {"name": f"c{number}", "namespace": "shop"}
        documents.append(
            {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}
        )
    taken = [(allowed, denied, said) for allowed, denied, said in cilium if allowed or denied]
    isolates = bool(kubernetes) or any(said is not False for _, _, said in taken)

    def named(address: ipaddress.IPv4Address, rules: list[list[str]]) -> bool:
        return any(address in ipaddress.IPv4Network(block) for blocks in rules for block in blocks)

    found = coverage(POD + yaml.safe_dump_all(documents))
    for address in ADDRESSES:
        denied = any(named(address, denied) for _, denied, _ in taken)
        allowed = any(named(address, allowed) for allowed, _, _ in taken) or any(
            named(address, [blocks for _, blocks in rules]) for _, _, _, rules in kubernetes
        )
        verdict = found.verdict(Traffic(address, "TCP", (80,)), EGRESS, generous=False)
        assert verdict.allowed is (not denied and (allowed or not isolates))
    everything_denied = all(any(named(address, denied) for _, denied, _ in taken) for address in ADDRESSES)
    assert found.isolation(EGRESS).isolated is (isolates or everything_denied)
