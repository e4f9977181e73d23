"""APISIX: plugins of a route, of a plugin configuration it names, or of everything.

Source: APISIX ingress controller, API of apisix.apache.org/v2 (ApisixRoute, ApisixPluginConfig, ApisixGlobalRule)
and v1alpha1 (PluginConfig and GatewayProxy), schemas of the plugins limit-req, limit-count, limit-conn and workflow. A
plugin with ``_meta.filter`` runs for the requests that fit it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.hit import Skip
from iocaudit.core.kinds import INGRESS, INGRESS_CLASS, Kind
from iocaudit.core.kinds.gateways import (
    APISIX_GATEWAY_PLUGIN_CONFIG,
    APISIX_GATEWAY_PROXY,
    APISIX_GLOBAL_RULE,
    APISIX_PLUGIN_CONFIG,
    APISIX_ROUTE,
)
from iocaudit.core.repair import Edit, Repair
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, items, lookup, mapping, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.backends import class_of
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, RequestScope, covering, nginx_key, where
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.making import made, on_every_rule
from iocaudit.knowledge.rate_limit.parents import RouteRule
from iocaudit.knowledge.rate_limit.values import number, per_second, positive
from iocaudit.knowledge.rate_limit.verdict import (
    OPEN,
    Limit,
    LimitProblem,
    RoutePart,
    absent,
    any_of,
    idle,
    title,
    unknown,
)

_CONFIG_NAME = "k8s.apisix.apache.org/plugin-config-name"
_CONFIG = {"config": {"count": 20, "time_window": 1, "key": "remote_addr", "rejected_code": 429}}
_STARTER = {"name": "limit-count", **_CONFIG}
_NUMBERS = {"limit-req": "rate", "limit-count": "count", "limit-conn": "conn"}
_FILTER = APISIX_GATEWAY_PLUGIN_CONFIG.key
_WORKFLOW = "workflow"
_LONGEST = 200


def _limit_of(plugins: object, by: str) -> Limit:
    return any_of(_plugin(plugin, by) for plugin in mappings(plugins))


def _plugin(plugin: dict[str, Any], by: str) -> Limit:
    name, config = text(plugin.get("name")), mapping(plugin.get("config"))
    if name not in (*_NUMBERS, _WORKFLOW):
        return OPEN
    if plugin.get("enable") is False or lookup(config, "_meta", "disable") is True:
        return OPEN if name == _WORKFLOW else idle(by)
    rules = list(_rules(name, config))
    if rules:
        filters = lookup(config, "_meta", "filter")
        return covering(by, [(_narrowed(scope, filters), rate) for scope, rate in rules])
    if plugin.get("secretRef"):
        return unknown(f"the configuration of plugin {clip(name)} is in a Secret")
    return OPEN if name == _WORKFLOW else idle(by)


def _rules(name: str, config: Mapping[str, Any]) -> Iterator[tuple[RequestScope, float]]:
    """Whom each count of a plugin is for, and how many requests a second it allows."""
    if name == _WORKFLOW:
        for rule in mappings(config.get("rules")):
            for action in items(rule.get("actions")):
                if isinstance(action, list) and len(action) > 1 and text(action[0]) in _NUMBERS:
                    for scope, rate in _rules(text(action[0]), mapping(action[1])):
                        yield _narrowed(scope, rule.get("case")), rate
        return
    field = _NUMBERS[name]
    for rule in mappings(config.get("rules")):
        if positive(rule.get(field)):
            # Where a variable of its key is not set, the rule does not hold.
            yield nginx_key(text(rule.get("key"))), _rate(name, rule)
    if positive(config.get(field)):
        yield EVERYBODY, _rate(name, config)


def _rate(name: str, config: Mapping[str, Any]) -> float:
    window = {"limit-req": 1.0, "limit-count": number(config.get("time_window"))}.get(name)
    return (number(config.get(_NUMBERS[name])) or 0.0) / window if window else 0.0


def _narrowed(scope: RequestScope, conditions: object) -> RequestScope:
    """The same rule under conditions of lua-resty-expr."""
    if not isinstance(conditions, list) or not conditions:
        return scope
    said = where(json.dumps(conditions, default=str)[:_LONGEST])
    return RequestScope(f"{said} and {scope.words}" if scope.words else said)


def _global(world: World, near: Resource) -> Limit:
    def build() -> Limit:
        return any_of(
            _limit_of(lookup(rule.raw, "spec", "plugins"), title(rule))
            for rule in world.all(APISIX_GLOBAL_RULE, near=near)
        )

    found = world.memo("apisix global rules", (APISIX_GLOBAL_RULE,), build, near=near)
    return found if found.effective or found.unknown else any_of((found, absent(world, APISIX_GLOBAL_RULE)))


def _proxy(reference: object, group: str, namespace: str | None, near: Resource, world: World) -> Limit:
    """The plugins that a GatewayProxy enables for all that comes in through what refers to it."""
    if (lookup(reference, group), lookup(reference, "kind")) != (APISIX_GATEWAY_PROXY.group, "GatewayProxy"):
        return OPEN
    home = text(lookup(reference, "namespace")) or namespace
    found = world.get(APISIX_GATEWAY_PROXY, home, text(lookup(reference, "name")), near=near)
    if found is None:
        return absent(world, APISIX_GATEWAY_PROXY)
    enabled = [one for one in mappings(lookup(found.raw, "spec", "plugins")) if one.get("enabled") is True]
    return _limit_of(enabled, title(found))


def _named(kind: Kind, namespace: str | None, name: str, owner: Resource, world: World) -> Limit:
    if not name:
        return OPEN
    found = world.get(kind, namespace, name, near=owner)
    return absent(world, kind) if found is None else _limit_of(lookup(found.raw, "spec", "plugins"), title(found))


def _config_of(route: dict[str, Any], owner: Resource, world: World) -> tuple[str | None, str]:
    namespace = text(route.get("plugin_config_namespace")) or world.namespace_of(owner)
    return namespace, text(route.get("plugin_config_name"))


def _routes(resource: Resource, world: World) -> Iterator[RoutePart]:
    for index, route in enumerate(mappings(lookup(resource.raw, "spec", "http"))):
        namespace, config = _config_of(route, resource, world)
        limit = any_of(
            (
                _limit_of(route.get("plugins"), title(resource)),
                _named(APISIX_PLUGIN_CONFIG, namespace, config, resource, world),
                _global(world, resource),
            )
        )
        name, at = text(route.get("name")), f"spec.http[{index}]"
        label = f"route {clip(name) or index}"
        yield RoutePart("spec.http" + paths.key(name), label, limit, name, at, _repair(at, route))


def _repair(at: str, route: dict[str, Any]) -> Repair | None:
    """A plugin that limits; None where one of that name is there already and does not."""
    plugins = mappings(route.get("plugins"))
    if any(plugin.get("name") == _STARTER["name"] for plugin in plugins):
        return None
    return Repair((Edit("include", f"{at}.plugins", {"name": _STARTER["name"], "enable": True, **_CONFIG}),))


def _ingress(ingress: Resource, world: World) -> Limit:
    name = text(ingress.annotations.get(_CONFIG_NAME))
    own = _named(APISIX_PLUGIN_CONFIG, world.namespace_of(ingress), name, ingress, world)
    found = world.get(INGRESS_CLASS, None, class_of(ingress), near=ingress)
    parameters = lookup(found.raw, "spec", "parameters") if found is not None else None
    proxy = _proxy(parameters, "apiGroup", world.namespace_of(ingress), ingress, world)
    return any_of((own, proxy, _global(world, ingress)))


def _rule(rule: RouteRule, world: World) -> Limit:
    own = (
        _named(APISIX_GATEWAY_PLUGIN_CONFIG, rule.namespace, name, rule.route, world)
        for group, kind, name in rule.extensions()
        if (group, kind) == _FILTER
    )
    gateway = rule.parent.gateway
    parameters = lookup(gateway.raw, "spec", "infrastructure", "parametersRef") if gateway is not None else None
    proxy = _proxy(parameters, "group", rule.parent.namespace, rule.route, world)
    return any_of((*own, proxy, _global(world, rule.route)))


# -- limits that do nothing -------------------------------------------------------------------------------


def _plugin_problems(path: str, plugins: object, ceiling: float) -> Iterator[LimitProblem | Skip]:
    for plugin in mappings(plugins):
        name = text(plugin.get("name"))
        field = _NUMBERS.get(name)
        if field is None:
            continue
        place = path + paths.key(name)
        config = mapping(plugin.get("config"))
        if plugin.get("enable") is False:
            yield LimitProblem(f"{place}.enable", "is false", "false")
        elif lookup(config, "_meta", "disable") is True:
            yield LimitProblem(f"{place}.config._meta.disable", "is true", "true")
        elif unread := _plugin(plugin, "").unknown:
            yield Skip(unread)
        elif not (rules := list(_rules(name, config))):
            yield LimitProblem(f"{place}.config.{field}", "is not a number above 0", "unset")
        else:
            yield from _too_high(f"{place}.config.{field}", min(rate for _, rate in rules), ceiling)


def _too_high(path: str, rate: float, ceiling: float) -> Iterator[LimitProblem]:
    if rate > ceiling:
        yield LimitProblem(path, f"allows {per_second(rate)}, more than {ceiling:g}, which limits nobody", f"{rate:g}")


def _route_problems(resource: Resource, world: World, ceiling: float) -> LimitProblems:
    for route in mappings(lookup(resource.raw, "spec", "http")):
        path = "spec.http" + paths.key(text(route.get("name")))
        yield from _plugin_problems(f"{path}.plugins", route.get("plugins"), ceiling)
        namespace, name = _config_of(route, resource, world)
        yield from _dangling(f"{path}.plugin_config_name", namespace, name, resource, world)


def _config_problems(config: Resource, world: World, ceiling: float) -> LimitProblems:
    yield from _plugin_problems("spec.plugins", lookup(config.raw, "spec", "plugins"), ceiling)


def _ingress_problems(ingress: Resource, world: World, ceiling: float) -> LimitProblems:
    name = text(ingress.annotations.get(_CONFIG_NAME))
    path = "metadata.annotations" + paths.key(_CONFIG_NAME)
    yield from _dangling(path, world.namespace_of(ingress), name, ingress, world)


def _dangling(path: str, namespace: str | None, name: str, owner: Resource, world: World) -> LimitProblems:
    if not name or world.get(APISIX_PLUGIN_CONFIG, namespace, name, near=owner) is not None:
        return
    lacking = absent(world, APISIX_PLUGIN_CONFIG)
    if lacking.unknown:
        yield Skip(f"whether ApisixPluginConfig {clip(name)} is there cannot be determined: {lacking.unknown}")
    else:
        yield LimitProblem(path, f"names ApisixPluginConfig {namespace}/{clip(name)}, which is not there", name)


def _limiting(way: OpenRoute, world: World) -> LimitDraft | str:
    route = way.route
    if route.kind is APISIX_ROUTE:
        return f"enable plugin {_STARTER['name']} of the route, or give it a number above 0"
    if route.kind is not INGRESS:
        config = made(APISIX_GATEWAY_PLUGIN_CONFIG, route, world, {"spec": {"plugins": [_STARTER]}})
        kind, name = APISIX_GATEWAY_PLUGIN_CONFIG, config["metadata"]["name"]
        reference = {"group": kind.group, "kind": kind.name, "name": name}
        return LimitDraft((config,), on_every_rule(way, {"type": "ExtensionRef", "extensionRef": reference}))
    if named := text(route.annotations.get(_CONFIG_NAME)):
        return f"add plugin {_STARTER['name']} to ApisixPluginConfig {clip(named)}, which it names"
    spec: Json = {"plugins": [{"name": _STARTER["name"], "enable": True, **_CONFIG}]}
    if class_name := text(lookup(route.raw, "spec", "ingressClassName")):
        spec["ingressClassName"] = class_name
    config = made(APISIX_PLUGIN_CONFIG, route, world, {"spec": spec})
    annotation = "metadata.annotations" + paths.key(_CONFIG_NAME)
    return LimitDraft((config,), (Edit("set", annotation, config["metadata"]["name"]),))


def _limiting_all(service: Resource, world: World) -> LimitDraft:
    spec = {"plugins": [{"name": _STARTER["name"], "enable": True, **_CONFIG}]}
    rule = made(APISIX_GLOBAL_RULE, service, world, {"spec": spec}, name="all")
    return LimitDraft(
        (rule,), note="an ApisixGlobalRule without ingressClassName is read where APISIX is the default class"
    )


APISIX = Gateway(
    name="APISIX",
    wants="plugin limit-req, limit-count or limit-conn on the route, in its ApisixPluginConfig or an ApisixGlobalRule",
    looks_up=(APISIX_PLUGIN_CONFIG, APISIX_GLOBAL_RULE, APISIX_GATEWAY_PLUGIN_CONFIG, APISIX_GATEWAY_PROXY),
    ingress_controllers=("apisix.apache.org/apisix-ingress-controller",),
    class_names=("apisix",),
    filters=(_FILTER,),
    images=("apache/apisix",),
    pods=({"app.kubernetes.io/name": "apisix"},),
    globally=lambda service, world: _global(world, service),
    limiting_all=_limiting_all,
    gateway_controllers=("apisix.apache.org/apisix-ingress-controller",),
    limiting=_limiting,
    ingress=_ingress,
    rule=_rule,
    routes={APISIX_ROUTE: _routes},
    limits={
        APISIX_ROUTE: _route_problems,
        APISIX_PLUGIN_CONFIG: _config_problems,
        APISIX_GLOBAL_RULE: _config_problems,
        APISIX_GATEWAY_PLUGIN_CONFIG: _config_problems,
        INGRESS: _ingress_problems,
    },
)
