"""Rate limits that are there and do nothing."""

from collections.abc import Iterator

from checks._rate_ceiling import CEILING, ceiling_of
from iocaudit.core.check import Params, check
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.place import Place
from iocaudit.core.resource import Resource
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.attachment import TARGETS
from iocaudit.knowledge.rate_limit.registry import GATEWAYS, LIMITS, LOOKED_UP
from iocaudit.knowledge.rate_limit.traefik_version import WORKLOADS
from iocaudit.knowledge.rate_limit.verdict import title


@check(
    "ineffective-rate-limit",
    severity=Severity.MEDIUM,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="network",
    implies={Place.NAMESPACE: ("no-rate-limit", "no-workload-rate-limit")},
    looks_at=LIMITS,
    uses=(*LOOKED_UP, *TARGETS),
    in_files=WORKLOADS,
    controls={"attack": "T1499, T1498", "ms": "MS-TA9040", "owasp": "K06", "nsa": "Resource policies"},
    parameters=(CEILING,),
)
def ineffective_rate_limit(resource: Resource, world: World, params: Params) -> Iterator[Hit | Skip]:
    """A rate limit is configured and does nothing.

    It looks like protection, but does not protect: an average that is zero or absent, a dry run, a rate that is
    never reached, a filter without tokens to take, a reference to something which isn't there, an object of a group
    that the installed version no longer reads. That a route is open because of it is told with it.

    Bad:

        apiVersion: traefik.io/v1alpha1
        kind: Middleware
        metadata: {name: calm, namespace: shop}
        spec:
          rateLimit: {burst: 50}

    Good:

        apiVersion: traefik.io/v1alpha1
        kind: Middleware
        metadata: {name: calm, namespace: shop}
        spec:
          rateLimit: {average: 30, burst: 50}

    Fix: Set a rate that real use stays below and a flood does not, and enforce it; drop the limit if it is not meant.

    Sources: documentation and CRDs of each gateway.
    """
    ceiling = ceiling_of(params)
    for gateway in GATEWAYS:
        judge = gateway.limits.get(resource.kind) if resource.kind is not None else None
        if judge is None:
            continue
        for problem in judge(resource, world, ceiling):
            if isinstance(problem, Skip):
                yield problem
            else:
                path, message, evidence, at = problem
                said = f"{gateway.name}: its rate limit has no effect: {path} {message}"
                yield Hit(path, said, evidence, at=at, about=title(resource))
