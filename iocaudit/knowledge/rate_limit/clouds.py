"""Load balancers of clouds, whose limits are rules of a firewall outside the cluster: unknown where one is named.

Sources: AWS Load Balancer Controller, Ingress annotations and IngressClassParams (WAFv2, WAF Classic); GKE,
BackendConfig and GCPBackendPolicy (Google Cloud Armor).
"""

import json

from iocaudit.core.kinds import INGRESS, INGRESS_CLASS, SERVICE
from iocaudit.core.kinds.gateways import ALB_CLASS_PARAMS, GKE_BACKEND_CONFIG, GKE_BACKEND_POLICY
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.attachment import AttachmentTarget, attached
from iocaudit.knowledge.rate_limit.backends import services
from iocaudit.knowledge.rate_limit.gateway import Gateway, OpenRoute
from iocaudit.knowledge.rate_limit.parents import RouteRule
from iocaudit.knowledge.rate_limit.verdict import OPEN, Limit, absent, all_of, unknown

_ALB = "alb.ingress.kubernetes.io/"
_ALB_FIREWALLS = (f"{_ALB}wafv2-acl-arn", f"{_ALB}wafv2-acl-name", f"{_ALB}waf-acl-id", f"{_ALB}web-acl-id")
_ALB_GROUP = f"{_ALB}group.name"
_ALB_PARAMS = ("wafv2AclArn", "wafv2AclName")
_BACKEND_CONFIG = ("cloud.google.com/backend-config", "beta.cloud.google.com/backend-config")


def _alb_ingress(ingress: Resource, world: World) -> Limit:
    group = text(ingress.annotations.get(_ALB_GROUP))
    if value := _acl(ingress) or (_acls_of_groups(ingress, world).get(group, "") if group else ""):
        return _firewall(f"web ACL {value}")
    class_name = text(lookup(ingress.raw, "spec", "ingressClassName"))
    found = world.get(INGRESS_CLASS, None, class_name, near=ingress)
    params = text(lookup(found.raw, "spec", "parameters", "name")) if found is not None else ""
    if not params:
        return OPEN
    configured = world.get(ALB_CLASS_PARAMS, None, params, near=ingress)
    if configured is None:
        return absent(world, ALB_CLASS_PARAMS)
    for field in _ALB_PARAMS:
        if value := text(lookup(configured.raw, "spec", field)):
            return _firewall(f"web ACL {value}")
    return OPEN


def _acl(ingress: Resource) -> str:
    values = (text(ingress.annotations.get(name)) for name in _ALB_FIREWALLS)
    return next((value for value in values if value and value != "none"), "")


def _acls_of_groups(near: Resource, world: World) -> dict[str, str]:
    """The web ACL of each group of Ingresses: they share a load balancer, so one of them is enough to name it."""

    def build() -> dict[str, str]:
        members = ((text(one.annotations.get(_ALB_GROUP)), _acl(one)) for one in world.all(INGRESS, near=near))
        return {group: acl for group, acl in members if group and acl}

    return world.memo("alb groups", (INGRESS,), build, near=near)


def _firewall(what: str) -> Limit:
    return unknown(f"whether {clip(what)} has a rule that limits the rate is not in the cluster")


def _gke_ingress(ingress: Resource, world: World) -> Limit:
    return all_of(_gke_service(service, world) for service in services(ingress, world))


def _gke_service(service: Resource | None, world: World) -> Limit:
    if service is None:
        return absent(world, SERVICE)
    for name in _backend_configs(service):
        config = world.get(GKE_BACKEND_CONFIG, world.namespace_of(service), name, near=service)
        if config is None:
            lacking = absent(world, GKE_BACKEND_CONFIG)
            if lacking.unknown:
                return lacking
        elif policy := text(lookup(config.raw, "spec", "securityPolicy", "name")):
            return _firewall(f"Cloud Armor policy {policy}")
    return OPEN


def _backend_configs(service: Resource) -> list[str]:
    """The names in ``{"default": …}`` or ``{"ports": {"http": …}}``."""
    value = next((text(service.annotations[name]) for name in _BACKEND_CONFIG if name in service.annotations), "")
    if len(value) > 10_000:
        return []
    try:
        parsed = json.loads(value) if value else None
    except (ValueError, RecursionError):
        return []
    names = [lookup(parsed, "default"), *mapping(lookup(parsed, "ports")).values()]
    return [name for name in names if isinstance(name, str)]


def _gke_rule(rule: RouteRule, world: World) -> Limit:
    return all_of(_gke_target(namespace, name, rule, world) for namespace, name in rule.services())


def _gke_target(namespace: str, name: str, rule: RouteRule, world: World) -> Limit:
    target = AttachmentTarget("", "Service", namespace, name)

    def build() -> str:
        found = attached(GKE_BACKEND_POLICY, world, target, rule.route)
        names = (
            text(lookup(policy.raw, "spec", "default", "securityPolicy"))
            for policies in found.values()
            for policy in policies
        )
        return next((name for name in names if name), "")

    policy = world.memo(("gke", target), (GKE_BACKEND_POLICY,), build, near=rule.route)
    return _firewall(f"Cloud Armor policy {policy}") if policy else absent(world, GKE_BACKEND_POLICY)


def _web_acl(way: OpenRoute, world: World) -> str:
    return f"its limit is a rate-based rule of a web ACL, made in AWS: name that ACL in {_ALB_FIREWALLS[0]}"


def _armor(way: OpenRoute, world: World) -> str:
    return "its limit is a throttle rule of a Cloud Armor policy, made in Google Cloud: name that policy in a " + (
        "BackendConfig" if way.parent is None else "GCPBackendPolicy"
    )


ALB = Gateway(
    name="AWS Load Balancer Controller",
    wants=f"annotation {_ALB}wafv2-acl-arn with a web ACL that has a rate-based rule",
    looks_up=(INGRESS, ALB_CLASS_PARAMS),
    ingress_controllers=("ingress.k8s.aws/alb",),
    class_names=("alb",),
    limiting=_web_acl,
    ingress=_alb_ingress,
)
GKE = Gateway(
    name="GKE",
    wants="a Cloud Armor policy with a throttle rule, by BackendConfig or GCPBackendPolicy",
    looks_up=(SERVICE, GKE_BACKEND_CONFIG, GKE_BACKEND_POLICY),
    class_names=("gce", "gce-internal"),
    gateway_controllers=("networking.gke.io/gateway",),
    limiting=_armor,
    ingress=_gke_ingress,
    rule=_gke_rule,
)
