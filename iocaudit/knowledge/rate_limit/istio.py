"""Istio: EnvoyFilters on the gateway's workload, for VirtualServices, the Gateway API and Ingresses.

Source: Istio documentation, "Enabling rate limits using Envoy", EnvoyFilter (workloadSelector, targetRefs, root
namespace), Gateway (selector), VirtualService (gateways), labels of gateways made for the Gateway API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from iocaudit.core.hit import Skip
from iocaudit.core.kinds.gateway_api import GROUP
from iocaudit.core.kinds.gateways import ENVOY_FILTER, ISTIO_GATEWAY, ISTIO_VIRTUAL_SERVICE
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, lookup, mapping, mappings, strings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.attachment import AttachmentTarget, attached, dangling
from iocaudit.knowledge.rate_limit.conditions import EVERYBODY, RequestScope, covering
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
from iocaudit.knowledge.rate_limit.making import made
from iocaudit.knowledge.rate_limit.parents import RouteRule
from iocaudit.knowledge.rate_limit.values import per_second
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, RoutePart, absent, any_of, idle, title, unknown

ROOT = "istio-system"
"""The root namespace, whose EnvoyFilters without a selector apply everywhere; meshConfig may name another."""
GATEWAY_CONTEXTS = ("GATEWAY", "ANY")
SIDECAR_CONTEXTS = ("SIDECAR_INBOUND", "ANY")
_INGRESS_GATEWAY = {"istio": "ingressgateway", "app": "istio-ingressgateway"}


@dataclass(slots=True)
class _Filters:
    """The EnvoyFilters that limit in one context: by each label they select by, and those that select none."""

    by_label: dict[tuple[str, str], list[_LimitingFilter]] = field(default_factory=dict)
    everywhere: dict[str, list[_LimitingFilter]] = field(default_factory=dict)


class _Patch(NamedTuple):
    """What a patch limits: a scope with its rate, and the virtual host that it is for (empty: every one)."""

    scope: RequestScope
    rate: float
    host: str


class _LimitingFilter(NamedTuple):
    """An EnvoyFilter with what its patches limit; without any, it has filters that do nothing."""

    filter: Resource
    patches: tuple[_Patch, ...]

    def limit(self, hosts: Iterable[str]) -> Limit:
        """The limit for requests to some hosts; without any, of whatever comes in."""
        by, wanted = title(self.filter), frozenset(hosts)
        if not self.patches:
            return idle(by)
        covered = {one.host for one in self.patches if one.host and not one.scope.words}
        rules = []
        for scope, rate, host in self.patches:
            if host and not (wanted and wanted <= covered and host in wanted):
                scope = RequestScope(
                    " and ".join((f"requests to {clip(host, 80)}", *([scope.words] if scope.words else ())))
                )
            rules.append((scope, rate))
        return covering(by, rules)


def _limiting_in(
    envoy_filter: Resource, contexts: tuple[str, ...], sent: Sequence[RequestScope]
) -> _LimitingFilter | None:
    """What its patches limit in some contexts; None where no filter of theirs is one that limits.

    ``sent`` says for which requests other EnvoyFilters ask the rate limit service, where this one does not say.
    """
    found: list[_Patch] = []
    asks = meant = False
    own: list[_Patch] = []
    for patch in mappings(lookup(envoy_filter.raw, "spec", "configPatches")):
        if (text(lookup(patch, "match", "context")) or "ANY") not in contexts:
            continue
        value = lookup(patch, "patch", "value")
        place, host = _place(patch)
        found += [_Patch(scope, rate, host) for scope, rate in local_rules(value, place)]
        own += [_Patch(scope, 0.0, host) for scope in sent_descriptors(value, place)]
        asks = asks or has_global_limit(value)
        meant = meant or asks or bool(local_limits(value))
    if asks:
        found += own or [_Patch(scope, 0.0, "") for scope in sent or (EVERYBODY,)]
    return _LimitingFilter(envoy_filter, tuple(found)) if meant else None


def _place(patch: Mapping[str, Any]) -> tuple[str, str]:
    """The route that a patch is for, in words, and the host: empty where it is for all."""
    if text(patch.get("applyTo")) not in ("HTTP_ROUTE", "VIRTUAL_HOST", "ROUTE_CONFIGURATION"):
        return "", ""
    vhost = lookup(patch, "match", "routeConfiguration", "vhost")
    name = text(lookup(vhost, "name")) if text(patch.get("applyTo")) != "ROUTE_CONFIGURATION" else ""
    host = "" if "|" in name or name.startswith("*") else name.partition(":")[0]
    route = text(lookup(vhost, "route", "name"))
    return (f"requests of route {clip(route, 80)}" if route else ""), host


def limits_in(envoy_filter: Resource, contexts: tuple[str, ...]) -> bool:
    """Whether one of its patches puts an effective rate limit into one of the contexts."""
    found = _limiting_in(envoy_filter, contexts, ())
    return found is not None and bool(found.patches)


def _sent(world: World, near: Resource) -> dict[str, list[RequestScope]]:
    """By namespace for which requests its EnvoyFilters ask the rate limit service."""

    def build() -> dict[str, list[RequestScope]]:
        found: dict[str, list[RequestScope]] = {}
        for one in world.all(ENVOY_FILTER, near=near):
            if scopes := sent_descriptors(lookup(one.raw, "spec", "configPatches")):
                found.setdefault(world.namespace_of(one) or "", []).extend(scopes)
        return found

    return world.memo("istio descriptors", (ENVOY_FILTER,), build, near=near)


def _filters(world: World, contexts: tuple[str, ...], near: Resource) -> _Filters:
    return world.memo(("envoy filters", contexts), (ENVOY_FILTER,), lambda: _index(world, contexts, near), near=near)


def _index(world: World, contexts: tuple[str, ...], near: Resource) -> _Filters:
    found = _Filters()
    sent = _sent(world, near)
    for one in world.all(ENVOY_FILTER, near=near):
        home = world.namespace_of(one) or ""
        limiting = _limiting_in(one, contexts, sent.get(home, ()))
        if limiting is None:
            continue
        labels = _selector(one)
        if labels:
            for pair in labels.items():
                found.by_label.setdefault(pair, []).append(limiting)
        elif not mappings(lookup(one.raw, "spec", "targetRefs")):
            found.everywhere.setdefault(home, []).append(limiting)
    return found


def _selector(envoy_filter: Resource) -> dict[str, str]:
    labels = mapping(lookup(envoy_filter.raw, "spec", "workloadSelector", "labels"))
    return {str(key): value for key, value in labels.items() if isinstance(value, str)}


def limit_of_workload(
    labels: Mapping[str, Any],
    namespace: str,
    contexts: tuple[str, ...],
    world: World,
    near: Resource,
    hosts: Sequence[str] = (),
) -> Limit:
    """The limit of a workload whose labels and namespace are known, for requests to some hosts."""
    pairs = tuple(sorted((key, value) for key, value in labels.items() if isinstance(value, str)))

    def build() -> Limit:
        return _of_workload(dict(pairs), namespace, contexts, world, near, hosts)

    return world.memo(("istio workload", namespace, contexts, pairs, tuple(hosts)), (ENVOY_FILTER,), build, near=near)


def _of_workload(
    labels: Mapping[str, str],
    namespace: str,
    contexts: tuple[str, ...],
    world: World,
    near: Resource,
    hosts: Sequence[str],
) -> Limit:
    limit = any_of(_everywhere(home, contexts, hosts, world, near) for home in dict.fromkeys((ROOT, namespace)))
    found = _filters(world, contexts, near)
    for pair in labels.items():
        for one in found.by_label.get(pair, ()):
            selected = _selector(one.filter).items() <= labels.items()
            if selected and world.namespace_of(one.filter) in (ROOT, namespace):
                limit = any_of((limit, one.limit(hosts)))
    return limit if limit.effective else any_of((limit, absent(world, ENVOY_FILTER)))


def _everywhere(home: str, contexts: tuple[str, ...], hosts: Sequence[str], world: World, near: Resource) -> Limit:
    """The limit of the EnvoyFilters of a namespace that select no workload."""

    def build() -> Limit:
        return any_of(one.limit(hosts) for one in _filters(world, contexts, near).everywhere.get(home, ()))

    key = ("istio everywhere", home, contexts, tuple(hosts))
    return world.memo(key, (ENVOY_FILTER,), build, near=near)


def _limit_of_selector(selector: Mapping[str, Any], near: Resource, world: World, hosts: Sequence[str] = ()) -> Limit:
    """The limit of a gateway's workload, of which only what it is selected by is known, not its namespace."""
    labels = {str(key): value for key, value in selector.items() if isinstance(value, str)}
    if labels.items() <= _INGRESS_GATEWAY.items() and labels:
        labels = _INGRESS_GATEWAY
    key = ("istio gateway", tuple(sorted(labels.items())), tuple(hosts))
    return world.memo(key, (ENVOY_FILTER,), lambda: _by_selector(labels, near, world, hosts), near=near)


def _by_selector(labels: Mapping[str, str], near: Resource, world: World, hosts: Sequence[str]) -> Limit:
    found = _filters(world, GATEWAY_CONTEXTS, near)
    limit = _everywhere(ROOT, GATEWAY_CONTEXTS, hosts, world, near)
    doubt = ""
    for pair in labels.items():
        for one in found.by_label.get(pair, ()):
            wanted = _selector(one.filter)
            if wanted.items() <= labels.items():
                limit = any_of((limit, one.limit(hosts)))
            elif all(labels.get(key, value) == value for key, value in wanted.items()):
                doubt = f"EnvoyFilter {one.filter.name} may select the gateway's pods or not"
    elsewhere = [home for home, every in found.everywhere.items() if home != ROOT and any(one.patches for one in every)]
    if not doubt and elsewhere:
        doubt = f"the gateway may run in namespace {min(elsewhere)}, which an EnvoyFilter limits, or not"
    if limit.effective:
        return limit
    return any_of((limit, unknown(doubt) if doubt else absent(world, ENVOY_FILTER)))


def _virtual_service(service: Resource, world: World) -> Iterator[RoutePart]:
    for reference in strings(lookup(service.raw, "spec", "gateways")):
        if reference == "mesh":
            continue
        namespace, _, name = reference.rpartition("/")
        where = namespace or world.namespace_of(service) or ""
        gateway = world.get(ISTIO_GATEWAY, where, name, near=service)
        if gateway is None:
            lacking = absent(world, ISTIO_GATEWAY)
            limit = lacking if lacking.unknown else unknown(f"Gateway {where}/{name} is not there")
        else:
            hosts = strings(lookup(service.raw, "spec", "hosts"))
            limit = _limit_of_selector(mapping(lookup(gateway.raw, "spec", "selector")), service, world, hosts)
        yield RoutePart("spec.gateways", f"its way through Gateway {where}/{name}", limit, f"{where}/{name}")


def _rule(rule: RouteRule, world: World) -> Limit:
    parent = rule.parent
    class_name = text(lookup(parent.gateway.raw, "spec", "gatewayClassName")) if parent.gateway is not None else ""
    hosts = strings(lookup(rule.route.raw, "spec", "hostnames"))
    targets = (
        AttachmentTarget(GROUP, "Gateway", parent.namespace, parent.name),
        AttachmentTarget(
            GROUP, "GatewayClass", ROOT, class_name
        ),  # of the root namespace, for all Gateways of the class
    )
    limit = any_of(_targeted(target, hosts, rule.route, world) for target in targets)
    if limit.effective:
        return limit
    labels = {"gateway.networking.k8s.io/gateway-name": parent.name, "istio.io/gateway-name": parent.name}
    return any_of((limit, limit_of_workload(labels, parent.namespace, GATEWAY_CONTEXTS, world, rule.route, hosts)))


def _targeted(target: AttachmentTarget, hosts: Sequence[str], near: Resource, world: World) -> Limit:
    def build() -> Limit:
        found = attached(ENVOY_FILTER, world, target, near)
        sent = _sent(world, near).get(target.namespace, ())
        every = (_limiting_in(one, GATEWAY_CONTEXTS, sent) for filters in found.values() for one in filters)
        return any_of(one.limit(hosts) for one in every if one is not None)

    return world.memo(("istio target", target, tuple(hosts)), (ENVOY_FILTER,), build, near=near)


def _ingress(ingress: Resource, world: World) -> Limit:
    hosts = [text(rule.get("host")) for rule in mappings(lookup(ingress.raw, "spec", "rules"))]
    return _limit_of_selector(_INGRESS_GATEWAY, ingress, world, hosts if all(hosts) else ())


def _problems(envoy_filter: Resource, world: World, ceiling: float) -> LimitProblems:
    patches = [lookup(patch, "patch", "value") for patch in mappings(lookup(envoy_filter.raw, "spec", "configPatches"))]
    yield from filter_problems("spec.configPatches", ".patch.value", patches, ceiling)
    yield from _unresolved(envoy_filter, world)


def filter_problems(path: str, suffix: str, values: list[Any], ceiling: float) -> Iterator[LimitProblem]:
    """What keeps the local rate limit filters of some pieces of Envoy configuration from limiting.

    A filter without tokens of its own is right where another piece gives them to a route of it.
    """
    found = [(index, limit) for index, value in enumerate(values) for limit in local_limits(value)]
    limited = any(limit.effective for _, limit in found)
    for index, limit in found:
        at = f"{path}[{index}]{suffix}"
        if limit.fault and not (limited and not limit.rate):
            yield LimitProblem(path, f"holds a local_ratelimit filter that {limit.fault}", limit.fault, at)
        elif limit.rate is not None and limit.rate > ceiling:
            said = f"holds a local_ratelimit filter that allows {per_second(limit.rate)}, more than {ceiling:g}"
            yield LimitProblem(path, said, f"{limit.rate:g}", at)


def _unresolved(envoy_filter: Resource, world: World) -> Iterator[LimitProblem | Skip]:
    if any(limits_in(envoy_filter, (context,)) for context in (*GATEWAY_CONTEXTS, *SIDECAR_CONTEXTS)):
        yield from dangling(envoy_filter, world)


def _limiting(way: OpenRoute, world: World) -> LimitDraft | str:
    """An EnvoyFilter on the pods of the gateway, in whose Envoy all of its routes share the bucket."""
    route, parent = way.route, way.parent
    namespace, name = ROOT, "ingressgateway"
    labels: Mapping[str, Any] = {"istio": "ingressgateway"}
    if parent is not None:
        namespace, name = parent.namespace, parent.name
        labels = {"gateway.networking.k8s.io/gateway-name": parent.name}
    elif route.kind is ISTIO_VIRTUAL_SERVICE:
        where, _, name = way.evidence.partition("/")
        gateway = world.get(ISTIO_GATEWAY, where, name, near=route)
        labels = mapping(lookup(gateway.raw, "spec", "selector")) if gateway is not None else {}
        if not labels:
            return f"Gateway {way.evidence} selects no pods"
    body = envoy_filter(labels, {"context": "GATEWAY", **_MANAGER})
    limit = made(ENVOY_FILTER, route, world, body, name=name, namespace=namespace)
    return LimitDraft((limit,), note=_SHARED)


_MANAGER = {"listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}}}
_SHARED = "all routes of that gateway share this limit, in each of its pods"


def limiting(labels: Mapping[str, Any], workload: Resource, world: World) -> LimitDraft:
    """An EnvoyFilter on the inbound side of the pods with these labels."""
    body = envoy_filter(labels, {"context": "SIDECAR_INBOUND", **_MANAGER})
    return LimitDraft(
        (made(ENVOY_FILTER, workload, world, body),), note="a limit of a sidecar holds for each pod by itself"
    )


def _of_service(service: Resource, world: World) -> Limit:
    selector = mapping(lookup(service.raw, "spec", "selector"))
    limit = limit_of_workload(selector, world.namespace_of(service) or "", GATEWAY_CONTEXTS, world, service)
    # The pods bear more labels than those that are selected.
    return limit if limit.effective else _limit_of_selector(selector, service, world)


def _limiting_all(service: Resource, world: World) -> LimitDraft:
    selector = mapping(lookup(service.raw, "spec", "selector"))
    body = envoy_filter(selector, {"context": "GATEWAY", **_MANAGER})
    return LimitDraft((made(ENVOY_FILTER, service, world, body),), note=_SHARED)


def envoy_filter(labels: Mapping[str, Any], match: Json) -> Json:
    """The body of an EnvoyFilter that limits the pods with these labels."""
    config = {
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": LOCAL_TYPE,
        "value": starter("http_local_rate_limiter"),
    }
    patch = {"operation": "INSERT_BEFORE", "value": {"name": LOCAL, "typed_config": config}}
    patches = [{"applyTo": "HTTP_FILTER", "match": match, "patch": patch}]
    return {"spec": {"workloadSelector": {"labels": dict(labels)}, "configPatches": patches}}


ISTIO = Gateway(
    name="Istio",
    wants="an EnvoyFilter with local_ratelimit (token bucket, enforced) or ratelimit on the gateway's workload",
    looks_up=(ENVOY_FILTER, ISTIO_GATEWAY),
    ingress_controllers=("istio.io/ingress-controller",),
    class_names=("istio",),
    pods=({"istio": "ingressgateway"}, {"istio": "ingress"}, {"app": "istio-ingressgateway"}, {"app": "istio-ingress"}),
    globally=_of_service,
    limiting_all=_limiting_all,
    gateway_controllers=("istio.io/gateway-controller", "istio.io/unmanaged-gateway"),
    limiting=_limiting,
    ingress=_ingress,
    rule=_rule,
    routes={ISTIO_VIRTUAL_SERVICE: _virtual_service},
    limits={ENVOY_FILTER: _problems},
)
