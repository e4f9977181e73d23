"""NGINX Gateway Fabric: RateLimitPolicy on a route or its Gateway; both apply where both are there.

Source: NGINX Gateway Fabric, API of gateway.nginx.org/v1alpha1.
"""

from iocaudit.core.kinds.gateway_api import GROUP
from iocaudit.core.kinds.gateways import NGINX_FABRIC_RATE_LIMIT
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.attachment import AttachmentTarget, attached, dangling
from iocaudit.knowledge.rate_limit.conditions import covering, nginx_key
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitDraft, LimitProblems, OpenRoute
from iocaudit.knowledge.rate_limit.making import attachment
from iocaudit.knowledge.rate_limit.nginx_inc import rate_problems
from iocaudit.knowledge.rate_limit.parents import RouteRule
from iocaudit.knowledge.rate_limit.values import nginx_rate
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, absent, any_of, idle, title


def _limit_of(policy: Resource) -> Limit:
    by = title(policy)
    if lookup(policy.raw, "spec", "rateLimit", "dryRun") is True:
        return idle(by)
    rules = mappings(lookup(policy.raw, "spec", "rateLimit", "local", "rules"))
    acting = [(nginx_key(text(rule.get("key"))), rate) for rule in rules if (rate := nginx_rate(rule.get("rate")))]
    return covering(by, acting) if acting else idle(by)


def _limited(target: AttachmentTarget, near: Resource, world: World) -> Limit:
    def build() -> Limit:
        found = attached(NGINX_FABRIC_RATE_LIMIT, world, target, near)
        return any_of(_limit_of(policy) for policies in found.values() for policy in policies)

    return world.memo(("nginx fabric", target), (NGINX_FABRIC_RATE_LIMIT,), build, near=near)


def _rule(rule: RouteRule, world: World) -> Limit:
    route, parent = rule.route, rule.parent
    targets = (
        AttachmentTarget(GROUP, route.kind_name, rule.namespace, route.name),
        AttachmentTarget(GROUP, "Gateway", parent.namespace, parent.name),
    )
    limit = any_of(_limited(target, route, world) for target in targets)
    return limit if limit.effective else any_of((limit, absent(world, NGINX_FABRIC_RATE_LIMIT)))


def _limiting(way: OpenRoute, world: World) -> LimitDraft:
    limit = {"local": {"rules": [{"rate": "20r/s"}]}}
    return LimitDraft((attachment(NGINX_FABRIC_RATE_LIMIT, way, world, {"rateLimit": limit}),))


def _problems(policy: Resource, world: World, ceiling: float) -> LimitProblems:
    rules = mappings(lookup(policy.raw, "spec", "rateLimit", "local", "rules"))
    if not rules:
        yield LimitProblem("spec.rateLimit.local.rules", "is empty")
    for index, rule in enumerate(rules):
        yield from rate_problems(f"spec.rateLimit.local.rules[{index}].rate", rule.get("rate"), ceiling)
    if lookup(policy.raw, "spec", "rateLimit", "dryRun") is True:
        yield LimitProblem("spec.rateLimit.dryRun", "is true: requests over the rate are only logged", "true")
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
