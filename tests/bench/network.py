"""Coverage by network policies: 10,000 pods against 2,000 policies, and what the change of one policy costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from iocaudit.core.kinds import POD
from iocaudit.core.resource import CLUSTER, Resource
from iocaudit.core.world import World
from iocaudit.knowledge.network.coverage import coverage_of
from iocaudit.knowledge.network.isolation import Coverage
from iocaudit.knowledge.network.model import DIRECTIONS
from iocaudit.knowledge.pods.places import pods_of

Row = tuple[str, str, str, str, str]
_PODS, _POLICIES = 10_000, 2_000
_LIMIT = 2.0
_GLOBAL = 10
"""One policy in so many is of the whole cluster, for the namespaces of one team."""
_SIZE = 100
"""Pods a namespace."""
_TEAM = 5
"""Namespaces a team."""
_APPS = 20
"""Applications a namespace."""


def _policy(number: int, namespaces: int) -> dict[str, Any]:
    app = f"app-{number // namespaces % _APPS}"
    team = f"team-{number // _GLOBAL % (namespaces // _TEAM)}"
    if number % _GLOBAL == 0:
        return {
            "apiVersion": "projectcalico.org/v3",
            "kind": "GlobalNetworkPolicy",
            "metadata": {"name": f"policy-{number}"},
            "spec": {
                "namespaceSelector": f"team == '{team}' && has(projectcalico.org/name)",
                "selector": f"app == '{app}' || tier in {{'db', 'cache'}} && !has(legacy)",
                "types": ["Egress"],
                "egress": [{"action": "Allow", "destination": {"nets": ["10.0.0.0/8"]}}],
            },
        }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"policy-{number}", "namespace": f"ns-{number % namespaces}"},
        "spec": {
            "podSelector": {"matchLabels": {"app": app}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}],
        },
    }


def world_of(pods: int, policies: int) -> tuple[World, list[Resource]]:
    """A cluster of so many pods, each with labels of its own, and so many policies."""
    world = World()
    namespaces = pods // _SIZE
    for number in range(namespaces):
        labels = {"team": f"team-{number // _TEAM}"}
        raw = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns-{number}", "labels": labels}}
        world.put(Resource(raw, CLUSTER))
    for number in range(policies):
        world.put(Resource(_policy(number, namespaces), CLUSTER))
    found = []
    for number in range(pods):
        app = f"app-{number // namespaces % _APPS}"
        labels = {"app": app, "pod": f"pod-{number}", "tier": "db" if number % 7 == 0 else "web"}
        metadata = {"name": f"pod-{number}", "namespace": f"ns-{number % namespaces}", "labels": labels}
        found.append(Resource({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}, CLUSTER, kind=POD))
    return world, found


def cover(world: World, pods: list[Resource]) -> int:
    """Ask of every pod and direction who isolates it; how many are isolated."""
    isolated = 0
    for resource in pods:
        for pod in pods_of(resource):
            found = coverage_of(pod, world)
            assert isinstance(found, Coverage)
            isolated += sum(found.isolation(direction).isolated for direction in DIRECTIONS)
    return isolated


def _seconds(pods: int, policies: int) -> float:
    world, found = world_of(pods, policies)
    started = time.process_time()
    assert cover(world, found)
    return time.process_time() - started


def network_rows() -> Iterator[Row]:
    quarter, half, whole = (_seconds(_PODS * n // 4, _POLICIES * n // 4) for n in (1, 2, 4))
    yield (
        f"coverage of {_PODS:,} pods by {_POLICIES:,} policies",
        f"{whole:.2f} s",
        f"at 1/4 {quarter:.2f} s, at 1/2 {half:.2f} s",
        f"{whole / quarter:.1f} x the time at 4 x the size",
        f"<= {_LIMIT:.0f} s",
    )
    world, found = world_of(_PODS, _POLICIES)
    cover(world, found)
    world.put(Resource(_policy(1, _PODS // _SIZE), CLUSTER))
    started = time.process_time()
    cover(world, found)
    again = time.process_time() - started
    world.put(Resource(_policy(0, _PODS // _SIZE), CLUSTER))
    started = time.process_time()
    cover(world, found)
    wide = time.process_time() - started
    yield (
        "the same after one policy of one namespace changed",
        f"{again:.2f} s",
        f"from scratch {whole:.2f} s",
        f"{again / whole:.2f}",
        "<= 0.50",
    )
    yield (
        "the same after one policy of the whole cluster changed",
        f"{wide:.2f} s",
        f"from scratch {whole:.2f} s",
        f"{wide / whole:.2f}",
        "",
    )
