"""NGINX Inc.'s ingress controller: annotations, and Policies on VirtualServers.

Source: NGINX Ingress Controller documentation: annotations (rate limiting), Policy resource (tiers by ``condition``),
VirtualServer. Requests for which the key is empty are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.hit import Skip
from iocaudit.core.kinds import INGRESS
from iocaudit.core.kinds.gateways import NGINX_POLICY, NGINX_VIRTUAL_SERVER, NGINX_VIRTUAL_SERVER_ROUTE
from iocaudit.core.repair import Edit
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, RequestScope, covering, nginx_key, where
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.making import made
from iocaudit.knowledge.rate_limit.values import nginx_rate, per_second, shown
from iocaudit.knowledge.rate_limit.verdict import (
    OPEN,
    Limit,
    LimitProblem,
    RoutePart,
    absent,
    all_of,
    any_of,
    idle,
    title,
)

_RATE = "nginx.org/limit-req-rate"
_DRY_RUN = "nginx.org/limit-req-dry-run"
_KEY = "nginx.org/limit-req-key"
_POLICIES = "nginx.org/policies"
_TRUE = ("true", "True", "TRUE", "1", "t", "T")


def _limit_of(policies: Iterable[Resource]) -> Limit:
    """The limit of policies that are named together: tiers by a claim or a variable, and what holds for the rest."""
    found = [policy for policy in policies if "rateLimit" in mapping(policy.raw.get("spec"))]
    acting = [policy for policy in found if _acts(policy)]
    if not acting:
        return idle(title(found[0])) if found else OPEN
    scopes = [(_scope(policy), nginx_rate(lookup(policy.raw, "spec", "rateLimit", "rate")) or 0.0) for policy in acting]
    more = f" and {len(acting) - 1} more" if len(acting) > 1 else ""
    return covering(title(acting[0]) + more, scopes)


def _acts(policy: Resource) -> bool:
    limit = mapping(lookup(policy.raw, "spec", "rateLimit"))
    return bool(nginx_rate(limit.get("rate"))) and limit.get("dryRun") is not True


def _scope(policy: Resource) -> RequestScope:
    """Whom a policy is for: with a condition, the requests that fit it; the default tier takes all the others."""
    limit = mapping(lookup(policy.raw, "spec", "rateLimit"))
    condition = mapping(limit.get("condition"))
    if condition.get("default") is True:
        return EVERYBODY
    claim = mapping(condition.get("jwt"))
    if claim:
        return RequestScope(where(f"claim {text(claim.get('claim'))} is {text(claim.get('match'))}"))
    if variables := mappings(condition.get("variables")):
        return RequestScope(
            where(" and ".join(f"{text(one.get('name'))} is {text(one.get('match'))}" for one in variables))
        )
    return nginx_key(text(limit.get("key")))


def _ingress(ingress: Resource, world: World) -> Limit:
    annotations = ingress.annotations
    own = OPEN
    if _RATE in annotations:
        rate = nginx_rate(annotations[_RATE])
        acts = rate and text(annotations.get(_DRY_RUN)) not in _TRUE
        scope = nginx_key(text(annotations.get(_KEY)))
        own = covering(title(ingress), [(scope, rate or 0.0)]) if acts else idle(title(ingress))
    return any_of((own, _by_policies(_named(annotations.get(_POLICIES)), ingress, world)))


def _named(value: object) -> list[dict[str, Any]]:
    """The references in ``policy-a,other-namespace/policy-b``."""
    entries = []
    for token in text(value).split(","):
        namespace, _, name = token.strip().rpartition("/")
        if name:
            entries.append({"name": name, "namespace": namespace})
    return entries


def _by_policies(entries: list[dict[str, Any]], owner: Resource, world: World) -> Limit:
    found = [_policy(entry, owner, world) for entry in entries]
    limit = _limit_of(policy for policy in found if policy is not None)
    return limit if None not in found else any_of((limit, absent(world, NGINX_POLICY)))


def _policy(entry: Mapping[str, Any], owner: Resource, world: World) -> Resource | None:
    namespace = text(entry.get("namespace")) or world.namespace_of(owner)
    return world.get(NGINX_POLICY, namespace, text(entry.get("name")), near=owner)


def _virtual_server(server: Resource, world: World) -> Iterator[RoutePart]:
    """A route's policies come before those of the same sort of the server; a delegated route may have its own."""
    whole = _by_policies(mappings(lookup(server.raw, "spec", "policies")), server, world)
    for index, route in enumerate(mappings(lookup(server.raw, "spec", "routes"))):
        path = text(route.get("path"))
        policies = mappings(route.get("policies"))
        own = _by_policies(policies, server, world)
        # A rate limit of the route stands in for the server's, even one that only logs.
        limit = own if _has_rate(policies, server, world) else any_of((own, whole))
        if not limit.effective and text(route.get("route")):
            limit = any_of((limit, _delegated(text(route.get("route")), server, world)))
        yield RoutePart("spec.routes", f"route {clip(path) or index}", limit, path, f"spec.routes[{index}]")


def _has_rate(entries: list[dict[str, Any]], owner: Resource, world: World) -> bool:
    found = (_policy(entry, owner, world) for entry in entries)
    return any(policy is not None and "rateLimit" in mapping(policy.raw.get("spec")) for policy in found)


def _delegated(reference: str, server: Resource, world: World) -> Limit:
    namespace, _, name = reference.rpartition("/")
    found = world.get(NGINX_VIRTUAL_SERVER_ROUTE, namespace or world.namespace_of(server), name, near=server)
    if found is None:
        return absent(world, NGINX_VIRTUAL_SERVER_ROUTE)
    return all_of(
        _by_policies(mappings(sub.get("policies")), found, world)
        for sub in mappings(lookup(found.raw, "spec", "subroutes"))
    )


# -- limits that do nothing -------------------------------------------------------------------------------


def _policy_problems(policy: Resource, world: World, ceiling: float) -> LimitProblems:
    spec = mapping(policy.raw.get("spec"))
    if "rateLimit" not in spec:
        return
    limit = mapping(spec.get("rateLimit"))
    yield from rate_problems("spec.rateLimit.rate", limit.get("rate"), ceiling)
    if limit.get("dryRun") is True:
        yield LimitProblem("spec.rateLimit.dryRun", "is true: requests over the rate are only logged", "true")


def rate_problems(path: str, value: object, ceiling: float) -> Iterator[LimitProblem]:
    """What is wrong with a rate as nginx writes it."""
    rate = nginx_rate(value)
    if not rate:
        yield LimitProblem(path, f"is {shown(value)}, which limits nothing (10r/s or 600r/m would)", shown(value))
    elif rate > ceiling:
        yield LimitProblem(path, f"allows {per_second(rate)}, more than {ceiling:g}, which limits nobody", shown(value))


def _ingress_problems(ingress: Resource, world: World, ceiling: float) -> LimitProblems:
    annotations = ingress.annotations
    path = "metadata.annotations"
    if _RATE in annotations:
        yield from rate_problems(path + paths.key(_RATE), annotations[_RATE], ceiling)
        if text(annotations.get(_DRY_RUN)) in _TRUE:
            yield LimitProblem(path + paths.key(_DRY_RUN), "is true: requests over the rate are only logged", "true")
    yield from _dangling(path + paths.key(_POLICIES), _named(annotations.get(_POLICIES)), ingress, world)


def _server_problems(server: Resource, world: World, ceiling: float) -> LimitProblems:
    spec = mapping(server.raw.get("spec"))
    yield from _dangling("spec.policies", mappings(spec.get("policies")), server, world)
    for field in ("routes", "subroutes"):
        for index, route in enumerate(mappings(spec.get(field))):
            yield from _dangling(f"spec.{field}[{index}].policies", mappings(route.get("policies")), server, world)


def _dangling(path: str, entries: list[dict[str, Any]], owner: Resource, world: World) -> LimitProblems:
    for entry in entries:
        if _policy(entry, owner, world) is not None:
            continue
        name = text(entry.get("name"))
        lacking = absent(world, NGINX_POLICY)
        if lacking.unknown:
            yield Skip(f"whether Policy {clip(name)} is there cannot be determined: {lacking.unknown}")
        else:
            yield LimitProblem(path, f"names Policy {clip(name)}, which is not there", name)


def _limiting(way: OpenRoute, world: World) -> LimitDraft:
    limit = {"rate": "20r/s", "key": "${binary_remote_addr}", "zoneSize": "10M"}
    policy = made(NGINX_POLICY, way.route, world, {"spec": {"rateLimit": limit}})
    return LimitDraft((policy,), (Edit("include", "spec.policies", {"name": policy["metadata"]["name"]}),))


NGINX_INC = Gateway(
    name="NGINX Inc.'s controller",
    wants=f"annotation {_RATE}, or a Policy with rateLimit by {_POLICIES} or the policies of a VirtualServer",
    looks_up=(NGINX_POLICY, NGINX_VIRTUAL_SERVER_ROUTE),
    ingress_controllers=("nginx.org/ingress-controller",),
    class_names=("nginx",),
    images=("nginx/nginx-ingress", "nginx-plus-ingress"),
    pods=({"app.kubernetes.io/name": "nginx-ingress"}, {"app": "nginx-ingress"}),
    annotations={_RATE: "20r/s"},
    limiting=_limiting,
    ingress=_ingress,
    routes={NGINX_VIRTUAL_SERVER: _virtual_server},
    limits={
        NGINX_POLICY: _policy_problems,
        INGRESS: _ingress_problems,
        NGINX_VIRTUAL_SERVER: _server_problems,
        NGINX_VIRTUAL_SERVER_ROUTE: _server_problems,
    },
)
