"""Cilium: a CiliumEnvoyConfig whose Envoy configuration limits what goes to a Service.

Source: Cilium documentation, "L7 traffic management": CiliumEnvoyConfig redirects the traffic of ``services`` to
its listener; CiliumClusterwideEnvoyConfig does so for any namespace. Neither its Ingress nor its Gateway API has a
limit of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.core.kinds.gateways import CILIUM_CLUSTER_ENVOY_CONFIG, CILIUM_ENVOY_CONFIG
from iocaudit.core.rate_limit.backends import service_names
from iocaudit.core.rate_limit.envoy_config import has_global_limit, local_limits
from iocaudit.core.rate_limit.gateway import Gateway, Problems
from iocaudit.core.rate_limit.istio import filter_problems
from iocaudit.core.rate_limit.parents import Rule
from iocaudit.core.rate_limit.verdict import LIMITED, OPEN, Limit, absent, all_of
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World

CONFIGS = (CILIUM_ENVOY_CONFIG, CILIUM_CLUSTER_ENVOY_CONFIG)


def limited_services(world: World, near: Resource) -> frozenset[tuple[str, str]]:
    """Namespace and name of each Service whose traffic a configuration limits."""

    def build() -> frozenset[tuple[str, str]]:
        return frozenset(
            (text(service.get("namespace")) or config.namespace or world.default_namespace, text(service.get("name")))
            for kind in CONFIGS
            for config in world.all(kind, near=near)
            if _limits(config)
            for service in mappings(lookup(config.raw, "spec", "services"))
        )

    return world.memo("cilium limited services", CONFIGS, build, near=near)


def _limits(config: Resource) -> bool:
    resources = lookup(config.raw, "spec", "resources")
    return any(limit.effective for limit in local_limits(resources)) or has_global_limit(resources)


def limit_of_services(services: Iterable[tuple[str, str]], world: World, near: Resource) -> Limit:
    """Limited if the traffic to each of the Services is."""
    known = limited_services(world, near)
    limit = all_of(LIMITED if service in known else OPEN for service in services)
    return limit if limit.effective else absent(world, *CONFIGS)


def _ingress(ingress: Resource, world: World) -> Limit:
    namespace = world.namespace_of(ingress) or ""
    return limit_of_services([(namespace, name) for name in service_names(ingress)], world, ingress)


def _rule(rule: Rule, world: World) -> Limit:
    return limit_of_services(rule.services(), world, rule.route)


def _problems(config: Resource, world: World, ceiling: float) -> Problems:
    yield from filter_problems("spec.resources", "", mappings(lookup(config.raw, "spec", "resources")), ceiling)


CILIUM = Gateway(
    name="Cilium",
    wants="a CiliumEnvoyConfig with local_ratelimit (token bucket, enforced) for each Service of the route",
    looks_up=CONFIGS,
    ingress_controllers=("cilium.io/ingress-controller",),
    class_names=("cilium",),
    gateway_controllers=("io.cilium/gateway-controller",),
    ingress=_ingress,
    rule=_rule,
    limits=dict.fromkeys(CONFIGS, _problems),
)
