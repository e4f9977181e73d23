"""The two HAProxy controllers: annotations of the Ingress, each under a prefix of its own.

Sources: HAProxy Technologies' controller, documentation of annotations (rate-limit); HAProxy Ingress by
jcmoraisjr, configuration keys (limit), whose prefix may also be ``ingress.kubernetes.io``.
"""

from iocaudit.core.kinds import INGRESS
from iocaudit.core.rate_limit.annotations import (
    Annotation,
    allows_everybody,
    annotation_limits,
    annotation_problems,
)
from iocaudit.core.rate_limit.gateway import Gateway, Problems
from iocaudit.core.rate_limit.values import seconds
from iocaudit.core.rate_limit.verdict import OPEN, Limit
from iocaudit.core.resource import Resource
from iocaudit.core.world import World

_REQUESTS = "haproxy.org/rate-limit-requests"
_PERIOD = "haproxy.org/rate-limit-period"
_PREFIXES = ("haproxy-ingress.github.io/", "ingress.kubernetes.io/")
_LIMITS = tuple(
    annotation
    for prefix in _PREFIXES
    for annotation in (Annotation(f"{prefix}limit-rps", 1), Annotation(f"{prefix}limit-connections"))
)
_EXEMPTIONS = tuple(f"{prefix}limit-whitelist" for prefix in _PREFIXES)


def _technologies(ingress: Resource) -> tuple[Annotation, ...]:
    return (Annotation(_REQUESTS, seconds(ingress.annotations.get(_PERIOD, "1s")) or 1.0),)


def _technologies_ingress(ingress: Resource, world: World) -> Limit:
    return annotation_limits(ingress, _technologies(ingress))


def _technologies_problems(ingress: Resource, world: World, ceiling: float) -> Problems:
    yield from annotation_problems(ingress, _technologies(ingress), ceiling)


def _community_ingress(ingress: Resource, world: World) -> Limit:
    if any(allows_everybody(ingress.annotations.get(name)) for name in _EXEMPTIONS):
        return OPEN
    return annotation_limits(ingress, _LIMITS)


def _community_problems(ingress: Resource, world: World, ceiling: float) -> Problems:
    yield from annotation_problems(ingress, _LIMITS, ceiling)


HAPROXY_TECHNOLOGIES = Gateway(
    name="HAProxy Technologies' controller",
    wants=f"annotation {_REQUESTS} above 0",
    ingress_controllers=("haproxy.org/ingress-controller",),
    class_names=("haproxy",),
    annotations={_REQUESTS: "20"},
    images=("haproxytech/kubernetes-ingress",),
    pods=({"app.kubernetes.io/name": "kubernetes-ingress"}, {"run": "haproxy-ingress"}),
    ingress=_technologies_ingress,
    limits={INGRESS: _technologies_problems},
)
HAPROXY_INGRESS = Gateway(
    name="HAProxy Ingress",
    wants=f"annotation {_PREFIXES[0]}limit-rps or limit-connections above 0",
    ingress_controllers=("haproxy-ingress.github.io/controller",),
    class_names=("haproxy",),
    annotations={f"{_PREFIXES[0]}limit-rps": "20"},
    images=("jcmoraisjr/haproxy-ingress",),
    pods=({"app.kubernetes.io/name": "haproxy-ingress"}, {"run": "haproxy-ingress"}),
    ingress=_community_ingress,
    limits={INGRESS: _community_problems},
)
