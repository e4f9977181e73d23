"""Routes into the cluster that nothing keeps from being flooded."""

from collections.abc import Iterator, Sequence

from checks._rate_ceiling import CEILING, cause_of, ceiling_of, what_is_missing
from iocaudit.core.check import Params, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import CONFIG_MAP, INGRESS, INGRESS_CLASS, SERVICE
from iocaudit.core.kinds.gateway_api import GRPC_ROUTE, HTTP_ROUTE
from iocaudit.core.paths import key
from iocaudit.core.repair import Edit, Repair
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import text
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit import parents
from iocaudit.knowledge.rate_limit.classes import serving
from iocaudit.knowledge.rate_limit.front_doors import controllers_behind, routes_elsewhere
from iocaudit.knowledge.rate_limit.gateway import Gateway
from iocaudit.knowledge.rate_limit.registry import FILTERS, GATEWAYS, LOOKED_UP, ROUTES
from iocaudit.knowledge.rate_limit.traefik_version import WORKLOADS
from iocaudit.knowledge.rate_limit.verdict import Limit, above, any_of, unknown


@check(
    "no-rate-limit",
    severity=Severity.MEDIUM,
    iocs=(IoC.INBOUND_TRAFFIC, IoC.HTTP_ERRORS),
    group="network",
    looks_at=(INGRESS, HTTP_ROUTE, GRPC_ROUTE, *ROUTES, SERVICE),
    uses=(INGRESS_CLASS, HTTP_ROUTE, GRPC_ROUTE, *ROUTES, *parents.LOOKED_UP, *LOOKED_UP),
    in_files=(*WORKLOADS, CONFIG_MAP),
    controls={"attack": "T1499, T1498", "ms": "MS-TA9040", "owasp": "K06", "nsa": "Resource policies"},
    parameters=(CEILING,),
)
def no_rate_limit(resource: Resource, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A route into the cluster has no rate limit.

    One client can send as many requests as its line carries and starve everybody else. What counts is the
    mechanism of the controller that serves the route, wherever it is attached: at the route, at its Gateway, in
    a chain of middlewares, or for everything. The controller is the one that the IngressClass or GatewayClass
    names. Where only a class's name is known and it is the default of several controllers, a limit by any of
    them counts; where the controller is not known at all, that is said.

    A limit for some requests alone (those with a header, of a path, from some addresses, of one consumer) leaves all
    others unlimited: the message says whom it covers. One over every address counts in full, and so does one that
    leaves out a few trusted addresses. A rate that is never reached does not limit.

    A LoadBalancer Service of a known controller (told by the images or the labels of the pods it selects) is such a
    way in where nothing limits all that the controller serves and the world holds no route of it. Where it holds
    routes, each of them is judged by itself, and the Service is left alone: one finding for one weakness.

    Bad:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: web, namespace: shop}
        spec:
          ingressClassName: nginx
          defaultBackend: {service: {name: web, port: {number: 80}}}

    Good:

        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: web
          namespace: shop
          annotations: {nginx.ingress.kubernetes.io/limit-rps: "20"}
        spec:
          ingressClassName: nginx
          defaultBackend: {service: {name: web, port: {number: 80}}}

    Fix: Add the rate limit of the controller in use to the route, its gateway or its middleware chain.

    Sources: documentation and CRDs of each gateway.
    """
    ceiling = ceiling_of(params)
    if resource.kind is INGRESS:
        yield from _ingress(resource, world, ceiling)
    elif resource.kind is SERVICE:
        yield from _front_door(resource, world, ceiling)
    elif resource.kind in (HTTP_ROUTE, GRPC_ROUTE):
        entered = parents.parents_of(resource, world)
        if len(entered) * parents.size_of(resource) > parents.MOST_WAYS:
            yield Skip("whether it has a rate limit was not judged: it has more parents and rules than any route may")
            return
        for parent in entered:
            yield from _entered_by(parent, resource, world, ceiling)
    else:
        for gateway in GATEWAYS:
            if resource.kind in gateway.routes:
                yield from _own_route(gateway, resource, world, ceiling)


_SPEAKING = [gateway for gateway in GATEWAYS if gateway.speaks]
"""Those whose limit on a route counts where it is not known who serves it."""


def _ingress(resource: Resource, world: World, ceiling: float) -> Iterator[Hit | Skip]:
    gateways, said = serving(resource, world, GATEWAYS)
    judged = (judge(resource, world) for gateway in gateways or _SPEAKING if (judge := gateway.ingress) is not None)
    limit = above(any_of(judged), ceiling)
    if limit.effective:
        return
    if not gateways:
        yield Skip(f"unknown controller: {said}")
    elif limit.unknown:
        yield Skip(f"whether it has a rate limit cannot be determined: {limit.unknown}")
    else:
        yield Hit(
            "metadata.annotations",
            f"{what_is_missing(limit)}{_then(limit)} {_wanted(gateways, said)}",
            "|".join(gateway.name for gateway in gateways),
            repair=_annotated(gateways),
            about=cause_of(limit),
        )


def _then(limit: Limit) -> str:
    """What joins the sentence about what is missing to that about what is wanted."""
    return ";" if limit.only or limit.by else ":"


def _front_door(service: Resource, world: World, ceiling: float) -> Iterator[Hit | Skip]:
    gateways = controllers_behind(service, world, GATEWAYS)
    if not gateways:
        return
    judged = (judge(service, world) for gateway in gateways if (judge := gateway.globally) is not None)
    limit = above(any_of(judged), ceiling)
    if limit.effective:
        return
    routes = routes_elsewhere(service, world, gateways, GATEWAYS)
    if routes.effective:
        return
    if unknown_here := limit.unknown or routes.unknown:
        yield Skip(f"whether what it lets in has a rate limit cannot be determined: {unknown_here}")
        return
    names = [gateway.name for gateway in gateways]
    wanted = "; ".join(f"{gateway.name} needs {gateway.wants}" for gateway in gateways)
    partly = f" ({'; '.join(limit.only)})" if limit.only else ""
    said = (
        f"leads to {' or '.join(names)}, with no limit for all that comes in{partly} and no route here to carry one:"
        f" {wanted}"
    )
    yield Hit("spec.selector", said, "|".join(names))


def _annotated(gateways: Sequence[Gateway]) -> Repair | None:
    """Annotations that limit, whichever of the controllers serves it; None where one of them wants something else."""
    if not all(gateway.annotations for gateway in gateways):
        return None
    wanted = {name: value for gateway in gateways for name, value in gateway.annotations.items()}
    return Repair(tuple(Edit("set", f"metadata.annotations{key(name)}", value) for name, value in wanted.items()))


def _wanted(gateways: Sequence[Gateway], said: str) -> str:
    """What is missing: by the controller in use, or by any that the class's name may mean."""
    if len(gateways) == 1:
        return f"{gateways[0].name} needs {gateways[0].wants}"
    return f"{said}, so it is served by one of: " + "; ".join(
        f"{one.name}, which needs {one.wants}" for one in gateways
    )


def _own_route(gateway: Gateway, resource: Resource, world: World, ceiling: float) -> Iterator[Hit | Skip]:
    assert resource.kind is not None
    for path, label, found, evidence, at, repair in gateway.routes[resource.kind](resource, world):
        limit = above(found, ceiling)
        whose = label or "it"
        if limit.unknown:
            yield Skip(f"whether {whose} has a rate limit cannot be determined: {limit.unknown}")
        elif not limit.effective:
            said = f"{label} {what_is_missing(limit)}".strip()
            wanted = f"{gateway.name} needs {gateway.wants}"
            message = f"{said}{_then(limit)} {wanted}"
            yield Hit(path, message, evidence, at=at, repair=repair, about=cause_of(limit))


def _entered_by(parent: parents.Parent, route: Resource, world: World, ceiling: float) -> Iterator[Hit | Skip]:
    """The hits on a route of the Gateway API by one of its Gateways.

    The Gateway API has no rate limit of its own: a limit is a policy attached or a filter referenced. So where
    the world does not show the controller, the absence of all of those that are known is the absence of a limit.
    """
    gateways = [gateway for gateway in GATEWAYS if parent.controller in gateway.gateway_controllers]
    if parent.controller and not gateways:
        yield Skip(f"unknown controller: {parent.doubt} belongs to {parent.controller}")
        return
    rules = parents.rules_of(route, parent, world)
    limits = [above(_rule_limit(rule, gateways, world), ceiling) for rule in rules]
    open_rules = [index for index, limit in enumerate(limits) if not limit.effective and not limit.unknown]
    for limit in limits:
        if limit.unknown:
            yield Skip(f"whether it has a rate limit by {parent} cannot be determined: {limit.unknown}")
            break
    if not open_rules:
        return
    if gateways:
        wanted = f"{gateways[0].name} needs {gateways[0].wants}"
    else:
        wanted = f"no policy or filter of any gateway limits it (unknown controller: {parent.doubt})"
    evidence = f"{parent.namespace}/{parent.name}"
    if len(open_rules) == len(rules):
        whole = any_of(limits)
        yield Hit("spec.parentRefs", _said(whole, parent, wanted), evidence, about=cause_of(whole))
        return
    for index in open_rules:
        name = rules[index].name
        yield Hit(
            "spec.rules",
            f"rule {name or index} {_said(limits[index], parent, wanted)}",
            f"{evidence}|{name or index}",
            at=f"spec.rules[{index}]",
            about=cause_of(limits[index]),
        )


def _said(limit: Limit, parent: parents.Parent, wanted: str) -> str:
    what, colon, more = what_is_missing(limit).partition(":")
    return f"{what} by {parent}{colon}{more}{_then(limit)} {wanted}"


def _rule_limit(rule: parents.RouteRule, gateways: list[Gateway], world: World) -> Limit:
    if gateways:
        wanted = [gateway for gateway in GATEWAYS if gateway in gateways or not gateway.gateway_controllers]
    else:
        wanted = _SPEAKING
    limit = any_of(gateway.rule(rule, world) for gateway in wanted if gateway.rule is not None)
    if limit.effective or gateways:
        return limit
    if rule.parent.incomplete:
        return unknown(f"{rule.parent.doubt}, and not all are known: {rule.parent.incomplete}")
    if limit.unknown:
        return limit
    for group, kind, name in rule.extensions():
        if (group, kind) not in FILTERS:
            return unknown(f"{rule.parent.doubt}, and its filter {kind}.{group} {text(name)} may be one")
    return limit
