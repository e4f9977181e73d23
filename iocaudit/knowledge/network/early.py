"""Calico's policies that drop packets before connection tracking: untracked and pre-DNAT ones on host endpoints.

Source: Calico's documentation of host endpoints, pre-DNAT and untracked policies.
"""

from __future__ import annotations

from typing import NamedTuple

from iocaudit.core.kinds.policies import (
    CALICO_GLOBAL_NETWORK_POLICY,
    CALICO_HOST_ENDPOINT,
    STORED_GLOBAL_NETWORK_POLICY,
    STORED_HOST_ENDPOINT,
)
from iocaudit.core.resource import Resource
from iocaudit.core.shape import mapping, mappings
from iocaudit.core.world import World
from iocaudit.knowledge.network.calico import read_selector
from iocaudit.knowledge.network.selectors import read_labels


class EarlyPolicy(NamedTuple):
    """A policy that drops early, by name; ``untracked`` or else pre-DNAT."""

    name: str
    untracked: bool


def early_policies(world: World, near: Resource) -> list[EarlyPolicy]:
    """Those that deny something on a host endpoint which exists."""
    endpoints = [
        read_labels(endpoint.labels)
        for kind in (CALICO_HOST_ENDPOINT, STORED_HOST_ENDPOINT)
        for endpoint in world.all(kind, near=near)
    ]
    found = []
    for kind in (CALICO_GLOBAL_NETWORK_POLICY, STORED_GLOBAL_NETWORK_POLICY):
        for policy in world.all(kind, near=near):
            spec = mapping(policy.raw.get("spec"))
            early = spec.get("doNotTrack") is True or spec.get("preDNAT") is True
            if not early or not any(rule.get("action") == "Deny" for rule in mappings(spec.get("ingress"))):
                continue
            selector = read_selector(spec.get("selector"))
            if any(selector.matches(labels) for labels in endpoints):
                found.append(EarlyPolicy(policy.name, spec.get("doNotTrack") is True))
    return found
