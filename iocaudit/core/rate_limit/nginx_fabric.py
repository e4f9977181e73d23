"""NGINX Gateway Fabric: RateLimitPolicy on a route or its Gateway; both apply where both are there.

Source: NGINX Gateway Fabric, API of gateway.nginx.org/v1alpha1.
"""

from iocaudit.core.kinds.gateway_api import GROUP
from iocaudit.core.kinds.gateways import NGINX_FABRIC_RATE_LIMIT
from iocaudit.core.rate_limit.attachment import Target, attached, dangling
from iocaudit.core.rate_limit.conditions import covering, nginx_key
from iocaudit.core.rate_limit.gateway import Gateway, Made, Problems, Way
from iocaudit.core.rate_limit.making import attachment
from iocaudit.core.rate_limit.nginx_inc import rate_problems
from iocaudit.core.rate_limit.parents import Rule
from iocaudit.core.rate_limit.values import nginx_rate
from iocaudit.core.rate_limit.verdict import Limit, Problem, absent, any_of, idle, title
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World


def _limit_of(policy: Resource) -> Limit:
    by = title(policy)
    if lookup(policy.raw, "spec", "rateLimit", "dryRun") is True:
        return idle(by)
    rules = mappings(lookup(policy.raw, "spec", "rateLimit", "local", "rules"))
    acting = [(nginx_key(text(rule.get("key"))), rate) for rule in rules if (rate := nginx_rate(rule.get("rate")))]
    return covering(by, acting) if acting else idle(by)


def _limited(target: Target, near: Resource, world: World) -> Limit:
    def build() -> Limit:
        found = attached(NGINX_FABRIC_RATE_LIMIT, world, target, near)
        return any_of(_limit_of(policy) for policies in found.values() for policy in policies)

    return world.memo(("nginx fabric", target), (NGINX_FABRIC_RATE_LIMIT,), build, near=near)


def _rule(rule: Rule, world: World) -> Limit:
    route, parent = rule.route, rule.parent
    targets = (
        Target(GROUP, route.kind_name, rule.namespace, route.name),
        Target(GROUP, "Gateway", parent.namespace, parent.name),
    )
    limit = any_of(_limited(target, route, world) for target in targets)
    return limit if limit.effective else any_of((limit, absent(world, NGINX_FABRIC_RATE_LIMIT)))


def _limiting(way: Way, world: World) -> Made:
    limit = {"local": {"rules": [{"rate": "20r/s"}]}}
    return Made((attachment(NGINX_FABRIC_RATE_LIMIT, way, world, {"rateLimit": limit}),))


def _problems(policy: Resource, world: World, ceiling: float) -> Problems:
    rules = mappings(lookup(policy.raw, "spec", "rateLimit", "local", "rules"))
    if not rules:
        yield Problem("spec.rateLimit.local.rules", "is empty")
    for index, rule in enumerate(rules):
        yield from rate_problems(f"spec.rateLimit.local.rules[{index}].rate", rule.get("rate"), ceiling)
    if lookup(policy.raw, "spec", "rateLimit", "dryRun") is True:
        yield Problem("spec.rateLimit.dryRun", "is true: requests over the rate are only logged", "true")
    yield from dangling(policy, world)


NGINX_FABRIC = Gateway(
    name="NGINX Gateway Fabric",
    wants="a RateLimitPolicy with a rate, without dryRun, on the route or its Gateway",
    looks_up=(NGINX_FABRIC_RATE_LIMIT,),
    gateway_controllers=("gateway.nginx.org/nginx-gateway-controller",),
    limiting=_limiting,
    rule=_rule,
    limits={NGINX_FABRIC_RATE_LIMIT: _problems},
)
