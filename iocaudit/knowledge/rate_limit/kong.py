"""Kong: plugins named by an annotation of the route or its Services, by an ExtensionRef, or global.

Source: Kong Ingress Controller documentation (annotations, KongPlugin, KongClusterPlugin with label
``global: "true"``) and the plugins' schemas: rate-limiting, rate-limiting-advanced, response-ratelimiting. A plugin
that a route and a KongConsumer both name, or with a ``consumerRef``, is for the requests of that consumer alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.hit import Skip
from iocaudit.core.kinds import INGRESS, SERVICE
from iocaudit.core.kinds.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from iocaudit.core.kinds.gateways import KONG_CLUSTER_PLUGIN, KONG_CONSUMER, KONG_CONSUMER_GROUP, KONG_PLUGIN
from iocaudit.core.resource import Resource
from iocaudit.core.shape import items, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.backends import services
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, RequestScope, covering
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.making import listed, made
from iocaudit.knowledge.rate_limit.parents import RouteRule
from iocaudit.knowledge.rate_limit.values import UNITS, number, per_second
from iocaudit.knowledge.rate_limit.verdict import (
    OPEN,
    Limit,
    LimitProblem,
    absent,
    all_of,
    any_of,
    idle,
    title,
    unknown,
)

_PLUGINS = "konghq.com/plugins"
_LIMITING = ("rate-limiting", "rate-limiting-advanced", "response-ratelimiting", "graphql-rate-limiting-advanced")
_BODY = {"plugin": _LIMITING[0], "config": {"second": 20, "policy": "local"}}
_KINDS = (KONG_PLUGIN, KONG_CLUSTER_PLUGIN)
_FILTER = KONG_PLUGIN.key
_CONSUMERS = {KONG_CONSUMER: "consumer", KONG_CONSUMER_GROUP: "consumer group"}


def _limit_of(plugin: Resource) -> Limit:
    raw = plugin.raw
    if raw.get("plugin") not in _LIMITING:
        return OPEN
    if raw.get("disabled") is True:
        return idle(title(plugin))
    if rates := [rate for _, rate in _rates(raw)]:
        consumer = text(raw.get("consumerRef"))
        scope = RequestScope(f"requests of consumer {clip(consumer, 80)}") if consumer else EVERYBODY
        return covering(title(plugin), [(scope, min(rates))])
    if "configFrom" in raw or mappings(raw.get("configPatches")):
        return unknown(f"the configuration of plugin {clip(plugin.name)} is in a Secret")
    return idle(title(plugin))


def _consumers(world: World, near: Resource) -> Mapping[tuple[str, str], list[str]]:
    """By namespace and name of a plugin, the consumers and groups of consumers that name it."""

    def build() -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = {}
        for kind, noun in _CONSUMERS.items():
            for one in world.all(kind, near=near):
                for name in _names(one):
                    namespace, _, plain = name.rpartition(":")
                    key = (namespace or world.namespace_of(one) or "", plain)
                    found.setdefault(key, []).append(f"{noun} {one.name}")
        return found

    return world.memo("kong consumers", tuple(_CONSUMERS), build, near=near)


def _for_consumers(plugin: Resource, owner: Resource, world: World) -> Limit:
    """The limit of a plugin at a route or a Service: where consumers name it too, it is for their requests there."""
    limit = _limit_of(plugin)
    home = plugin.namespace or world.namespace_of(owner) or ""
    whose = _consumers(world, owner).get((home, plugin.name)) if limit.effective else None
    if not whose:
        return limit
    return covering(title(plugin), [(RequestScope(f"requests of {clip(one, 80)}"), limit.rate) for one in whose])


def _rates(raw: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Where a limit above zero stands, and how many requests a second it allows."""
    config = mapping(raw.get("config"))
    blocks: list[tuple[str, Any]] = [("config", config)]
    blocks += [(f"config.limits{paths.key(str(name))}", one) for name, one in mapping(config.get("limits")).items()]
    for path, block in blocks:
        for unit, size in UNITS.items():
            count = number(mapping(block).get(unit))
            if count is not None and count > 0:
                yield f"{path}.{unit}", count / size
    sizes = items(config.get("window_size"))
    for index, value in enumerate(items(config.get("limit"))):
        count = number(value)
        window = number(sizes[index]) if index < len(sizes) else None
        if count is not None and count > 0 and window:
            yield f"config.limit[{index}]", count / window


def _global(world: World, near: Resource) -> Limit:
    def build() -> Limit:
        return any_of(
            _limit_of(plugin)
            for plugin in world.all(KONG_CLUSTER_PLUGIN, near=near)
            if plugin.labels.get("global") == "true"
        )

    found = world.memo("global kong plugins", (KONG_CLUSTER_PLUGIN,), build, near=near)
    return found if found.effective or found.unknown else any_of((found, absent(world, KONG_CLUSTER_PLUGIN)))


def _names(owner: Resource) -> list[str]:
    return [name.strip() for name in text(owner.annotations.get(_PLUGINS)).split(",") if name.strip()]


def _plugin(name: str, owner: Resource, world: World) -> Resource | None:
    """The plugin an annotation means: of the namespace first, else of the cluster."""
    namespace, _, plain = name.rpartition(":")
    found = world.get(KONG_PLUGIN, namespace or world.namespace_of(owner), plain, near=owner)
    return found or (None if namespace else world.get(KONG_CLUSTER_PLUGIN, None, plain, near=owner))


def _by_names(names: Iterable[str], owner: Resource, world: World) -> Limit:
    found = ((_plugin(name, owner, world)) for name in names)
    return any_of(
        _for_consumers(plugin, owner, world) if plugin is not None else absent(world, *_KINDS) for plugin in found
    )


def _service(service: Resource | None, world: World) -> Limit:
    return _by_names(_names(service), service, world) if service is not None else absent(world, SERVICE)


def _ingress(ingress: Resource, world: World) -> Limit:
    own = any_of((_by_names(_names(ingress), ingress, world), _global(world, ingress)))
    if own.effective:
        return own
    return any_of((own, all_of(_service(service, world) for service in services(ingress, world))))


def _rule(rule: RouteRule, world: World) -> Limit:
    route = rule.route
    filters = [name for group, kind, name in rule.extensions() if (group, kind) == _FILTER]
    own = any_of((_by_names([*_names(route), *filters], route, world), _global(world, route)))
    if own.effective:
        return own
    behind = (world.get(SERVICE, namespace, name, near=route) for namespace, name in rule.services())
    return any_of((own, all_of(_service(service, world) for service in behind)))


def _plugin_problems(plugin: Resource, world: World, ceiling: float) -> LimitProblems:
    raw = plugin.raw
    if raw.get("plugin") not in _LIMITING:
        return
    if raw.get("disabled") is True:
        yield LimitProblem("disabled", "is true", "true")
    limit = _limit_of(plugin)
    if limit.unknown:
        yield Skip(limit.unknown)
    rates = list(_rates(raw))
    if not rates and not limit.unknown:
        yield LimitProblem("config", "has no limit above 0 in any unit of time")
    for path, rate in rates:
        if rate > ceiling:
            yield LimitProblem(
                path, f"allows {per_second(rate)}, more than {ceiling:g}, which limits nobody", f"{rate:g}"
            )


def _reference_problems(owner: Resource, world: World, ceiling: float) -> LimitProblems:
    for name in _names(owner):
        if _plugin(name, owner, world) is not None:
            continue
        lacking = absent(world, *_KINDS)
        if lacking.unknown:
            yield Skip(f"whether KongPlugin {clip(name)} is there cannot be determined: {lacking.unknown}")
        else:
            said = f"names KongPlugin {clip(name)}, which is not there"
            yield LimitProblem("metadata.annotations" + paths.key(_PLUGINS), said, name)


def _limiting(way: OpenRoute, world: World) -> LimitDraft | str:
    for name in _names(way.route):
        known = _plugin(name, way.route, world)
        if known is not None and known.raw.get("plugin") == _LIMITING[0]:
            # Kong takes one plugin of a sort at a route.
            return f"enable {known.kind_name} {clip(name)}, which it names, and give it a limit above 0"
    plugin = made(KONG_PLUGIN, way.route, world, _BODY)
    return LimitDraft((plugin,), (listed(way.route, _PLUGINS, plugin["metadata"]["name"]),))


def _limiting_all(service: Resource, world: World) -> LimitDraft:
    plugin = made(KONG_CLUSTER_PLUGIN, service, world, _BODY, name="all")
    plugin["metadata"] |= {"labels": {"global": "true"}, "annotations": {"kubernetes.io/ingress.class": "kong"}}
    return LimitDraft(
        (plugin,), note="a KongClusterPlugin is read by the Kong whose ingress class its annotation names"
    )


KONG = Gateway(
    name="Kong",
    wants=f"a KongPlugin rate-limiting in annotation {_PLUGINS}, or a global KongClusterPlugin",
    looks_up=(KONG_PLUGIN, KONG_CLUSTER_PLUGIN, SERVICE, *_CONSUMERS),
    ingress_controllers=("ingress-controllers.konghq.com/kong",),
    class_names=("kong",),
    filters=(_FILTER,),
    images=("library/kong", "kong/kong", "kong/kong-gateway"),
    pods=(
        {"app.kubernetes.io/name": "kong"},
        {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/component": "app"},
        {"app": "proxy-kong"},
        {"app": "ingress-kong"},
    ),
    globally=lambda service, world: _global(world, service),
    limiting_all=_limiting_all,
    gateway_controllers=("konghq.com/kic-gateway-controller", "konghq.com/gateway-operator"),
    limiting=_limiting,
    ingress=_ingress,
    rule=_rule,
    limits={
        KONG_PLUGIN: _plugin_problems,
        KONG_CLUSTER_PLUGIN: _plugin_problems,
        INGRESS: _reference_problems,
        SERVICE: _reference_problems,
        HTTP_ROUTE: _reference_problems,
        GRPC_ROUTE: _reference_problems,
    },
)
