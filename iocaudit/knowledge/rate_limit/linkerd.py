"""Linkerd: HTTPLocalRateLimitPolicy on a Server, which selects pods and one of their ports.

Source: Linkerd reference, "HTTP Local Rate Limiting" and "Server". Linkerd has no gateway of its own: its limits
stand between workloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iocaudit.core.kinds.gateways import LINKERD_RATE_LIMIT, LINKERD_SERVER
from iocaudit.core.label_selector import selects
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.attachment import dangling, targets
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, RequestScope, covering
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems
from iocaudit.knowledge.rate_limit.making import made
from iocaudit.knowledge.rate_limit.values import number, per_second, positive, shown
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, absent, any_of, idle, title


def limit_of_workload(labels: Mapping[str, Any], namespace: str, world: World, near: Resource) -> Limit:
    """The limit of a workload: by a policy on a Server that selects it."""

    def build() -> dict[str, list[tuple[Resource, Limit]]]:
        """The Servers of each namespace that a policy is for, with what it limits."""
        found: dict[str, list[tuple[Resource, Limit]]] = {}
        for policy in world.all(LINKERD_RATE_LIMIT, near=near):
            home, limit = world.namespace_of(policy) or "", _limit_of(policy)
            for ref in targets(policy):
                server = world.get(LINKERD_SERVER, home, text(ref.get("name")), near=near)
                if server is not None and text(ref.get("kind")) == "Server":
                    found.setdefault(home, []).append((server, limit))
        return found

    limited = world.memo("linkerd limits", (LINKERD_RATE_LIMIT, LINKERD_SERVER), build, near=near)
    limit = any_of(
        limit
        for server, limit in limited.get(namespace, ())
        if selects(lookup(server.raw, "spec", "podSelector"), labels)
    )
    return limit if limit.effective else any_of((limit, absent(world, LINKERD_RATE_LIMIT, LINKERD_SERVER)))


def _limit_of(policy: Resource) -> Limit:
    """The limit of all requests, or of each client's; overrides are for the clients that they name."""
    spec, by = mapping(policy.raw.get("spec")), title(policy)
    rules = [
        (EVERYBODY, number(lookup(spec, part, "requestsPerSecond")) or 0.0)
        for part in ("total", "identity")
        if positive(lookup(spec, part, "requestsPerSecond"))
    ]
    for one in mappings(spec.get("overrides")):
        if positive(one.get("requestsPerSecond")):
            names = ", ".join(text(ref.get("name")) for ref in mappings(one.get("clientRefs")))
            scope = RequestScope(f"requests of clients {clip(names, 80)}")
            rules.append((scope, number(one.get("requestsPerSecond")) or 0.0))
    return covering(by, rules) if rules else idle(by)


def _problems(policy: Resource, world: World, ceiling: float) -> LimitProblems:
    spec = mapping(policy.raw.get("spec"))
    parts: list[tuple[str, Any]] = [(f"spec.{name}", spec[name]) for name in ("total", "identity") if name in spec]
    parts += [(f"spec.overrides[{index}]", one) for index, one in enumerate(mappings(spec.get("overrides")))]
    if not parts:
        yield LimitProblem("spec", "has neither total nor identity nor overrides")
    for path, part in parts:
        value = lookup(part, "requestsPerSecond")
        rate = number(value)
        if not rate:
            yield LimitProblem(f"{path}.requestsPerSecond", f"is {shown(value)}", shown(value))
        elif rate > ceiling:
            said = f"allows {per_second(rate)}, more than {ceiling:g}, which limits nobody"
            yield LimitProblem(f"{path}.requestsPerSecond", said, shown(value))
    yield from dangling(policy, world)


def limiting(labels: Mapping[str, Any], workload: Resource, world: World) -> LimitDraft | str:
    """A policy for the Servers that select a workload. A new Server would decide who may reach it at all."""
    home = world.namespace_of(workload) or ""
    servers = [
        server
        for server in world.of(LINKERD_SERVER, home, near=workload)
        if selects(lookup(server.raw, "spec", "podSelector"), labels)
    ]
    if not servers:
        return "no Server of Linkerd selects it yet: one decides who may reach the port, so make it by hand"
    return LimitDraft(tuple(_policy(server, world) for server in servers))


def _policy(server: Resource, world: World) -> Json:
    ref = {"group": server.group, "kind": server.kind_name, "name": server.name}
    return made(LINKERD_RATE_LIMIT, server, world, {"spec": {"targetRef": ref, "total": {"requestsPerSecond": 20}}})


LINKERD = Gateway(
    name="Linkerd",
    wants="an HTTPLocalRateLimitPolicy on a Server that selects the workload",
    looks_up=(LINKERD_RATE_LIMIT, LINKERD_SERVER),
    limits={LINKERD_RATE_LIMIT: _problems},
)
