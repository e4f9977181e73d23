"""Cilium: a CiliumEnvoyConfig whose Envoy configuration limits what goes to a Service.

Source: Cilium documentation, "L7 traffic management": CiliumEnvoyConfig redirects the traffic of ``services`` to
its listener; CiliumClusterwideEnvoyConfig does so for any namespace. Neither its Ingress nor its Gateway API has a
limit of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from iocaudit.core.kinds.gateways import CILIUM_CLUSTER_ENVOY_CONFIG, CILIUM_ENVOY_CONFIG
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, lookup, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.backends import service_names
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, covering
from iocaudit.knowledge.rate_limit.envoy_config import (
    LOCAL,
    LOCAL_TYPE,
    has_global_limit,
    local_limits,
    local_rules,
    sent_descriptors,
    starter,
)
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.istio import filter_problems
from iocaudit.knowledge.rate_limit.making import made
from iocaudit.knowledge.rate_limit.parents import RouteRule, rules_of
from iocaudit.knowledge.rate_limit.verdict import OPEN, Limit, absent, all_of, any_of, idle, title

CONFIGS = (CILIUM_ENVOY_CONFIG, CILIUM_CLUSTER_ENVOY_CONFIG)


def limited_services(world: World, near: Resource) -> Mapping[tuple[str, str], Limit]:
    """By namespace and name of each Service how a configuration limits its traffic."""

    def build() -> dict[tuple[str, str], Limit]:
        found: dict[tuple[str, str], Limit] = {}
        for kind in CONFIGS:
            for config in world.all(kind, near=near):
                limit = _limit_of(config)
                if limit == OPEN:
                    continue
                for service in mappings(lookup(config.raw, "spec", "services")):
                    namespace = text(service.get("namespace")) or config.namespace or world.default_namespace
                    key = (namespace, text(service.get("name")))
                    found[key] = any_of((found.get(key, OPEN), limit))
        return found

    return world.memo("cilium limited services", CONFIGS, build, near=near)


def _limit_of(config: Resource) -> Limit:
    resources, by = lookup(config.raw, "spec", "resources"), title(config)
    rules = local_rules(resources)
    if has_global_limit(resources):
        sent = sent_descriptors(resources)
        rules += [(scope, 0.0) for scope in sent] if sent else [(EVERYBODY, 0.0)]
    if rules:
        return covering(by, rules)
    return idle(by) if local_limits(resources) else OPEN


def limit_of_services(services: Iterable[tuple[str, str]], world: World, near: Resource) -> Limit:
    """Limited if the traffic to each of the Services is."""
    known = limited_services(world, near)
    limit = all_of(known.get(service, OPEN) for service in services)
    return limit if limit.effective else any_of((limit, absent(world, *CONFIGS)))


def _ingress(ingress: Resource, world: World) -> Limit:
    namespace = world.namespace_of(ingress) or ""
    return limit_of_services([(namespace, name) for name in service_names(ingress)], world, ingress)


def _rule(rule: RouteRule, world: World) -> Limit:
    return limit_of_services(rule.services(), world, rule.route)


def _problems(config: Resource, world: World, ceiling: float) -> LimitProblems:
    yield from filter_problems("spec.resources", "", mappings(lookup(config.raw, "spec", "resources")), ceiling)


def _limiting(way: OpenRoute, world: World) -> LimitDraft | str:
    route, home = way.route, world.namespace_of(way.route) or ""
    if way.parent is None:
        names = [(home, name) for name in service_names(route)]
    else:
        rules = rules_of(route, way.parent, world)
        names = [
            name for at, rule in enumerate(rules) if way.at in ("", f"spec.rules[{at}]") for name in rule.services()
        ]
    known = limited_services(world, route)
    wanted = [name for name in dict.fromkeys(names) if not known.get(name, OPEN).effective]
    if not wanted:
        return "it leads to no Service, which is what a CiliumEnvoyConfig limits"
    if any(namespace != home for namespace, _ in wanted):
        return "it leads to a Service of another namespace, which only a CiliumEnvoyConfig there can limit"
    return LimitDraft(limiting(home, [name for _, name in wanted], route, world), note=_NOTE)


_NOTE = (
    "a CiliumEnvoyConfig sees what is sent to the Service's own address; some releases send what comes in by an Ingress"
    " or a Gateway past it, straight to the pods: measure"
)


def limiting(namespace: str, services: Iterable[str], near: Resource, world: World) -> tuple[Json, ...]:
    """A configuration for each Service of a namespace."""
    return tuple(_config(namespace, service, near, world) for service in services)


def _config(namespace: str, service: str, route: Resource, world: World) -> Json:
    """A listener for the traffic to a Service, which limits and passes on."""
    api = "type.googleapis.com/envoy"
    filters = f"{api}.extensions.filters"
    cluster = f"{namespace}/{service}"
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": service,
        "rds": {"route_config_name": service},
        "use_remote_address": True,
        "skip_xff_append": True,
        "http_filters": [
            {"name": LOCAL, "typed_config": {"@type": LOCAL_TYPE, **starter(service)}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}},
        ],
    }
    chain = {
        "filter_chain_match": {"transport_protocol": "raw_buffer"},
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
    }
    hosts = [{"name": service, "domains": ["*"], "routes": routes}]
    resources = [
        {"@type": f"{api}.config.listener.v3.Listener", "name": service, "filter_chains": [chain]},
        {"@type": f"{api}.config.route.v3.RouteConfiguration", "name": service, "virtual_hosts": hosts},
        {
            "@type": f"{api}.config.cluster.v3.Cluster",
            "name": cluster,
            "connect_timeout": "5s",
            "lb_policy": "ROUND_ROBIN",
            "type": "EDS",
        },
    ]
    spec = {"services": [{"name": service, "namespace": namespace}], "resources": resources}
    return made(CILIUM_ENVOY_CONFIG, route, world, {"spec": spec}, name=service)


CILIUM = Gateway(
    name="Cilium",
    wants="a CiliumEnvoyConfig with local_ratelimit (token bucket, enforced) for each Service of the route",
    looks_up=CONFIGS,
    ingress_controllers=("cilium.io/ingress-controller",),
    class_names=("cilium",),
    gateway_controllers=("io.cilium/gateway-controller",),
    speaks=False,
    limiting=_limiting,
    ingress=_ingress,
    rule=_rule,
    limits=dict.fromkeys(CONFIGS, _problems),
)
