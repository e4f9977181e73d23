"""The two HAProxy controllers: annotations of the Ingress, or the controller's own ConfigMap for all of them.

Sources: HAProxy Technologies' controller, documentation of annotations (rate-limit), which it reads under three
prefixes; HAProxy Ingress by jcmoraisjr, configuration keys (limit), of scope backend: a Service may have them too.
Both take the same keys without a prefix from a ConfigMap, which is looked for in files alone: a cluster has too many.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from iocaudit.core.kinds import CONFIG_MAP, INGRESS, SERVICE
from iocaudit.core.rate_limit.annotations import (
    Annotation,
    allows_everybody,
    annotation_limits,
    annotation_problems,
    whole,
)
from iocaudit.core.rate_limit.backends import services
from iocaudit.core.rate_limit.gateway import Gateway, Problems
from iocaudit.core.rate_limit.values import seconds
from iocaudit.core.rate_limit.verdict import LIMITED, OPEN, Limit, absent, all_of, any_of
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping
from iocaudit.core.world import World

_REQUESTS = "rate-limit-requests"
_TECHNOLOGIES = ("haproxy.org/", "haproxy.com/", "ingress.kubernetes.io/")
_PREFIXES = ("haproxy-ingress.github.io/", "ingress.kubernetes.io/")
_LIMITS = tuple(
    annotation
    for prefix in _PREFIXES
    for annotation in (Annotation(f"{prefix}limit-rps", 1), Annotation(f"{prefix}limit-connections"))
)
_EXEMPTIONS = tuple(f"{prefix}limit-whitelist" for prefix in _PREFIXES)


def _configured(world: World, near: Resource, *names: str) -> Limit:
    """Whether a ConfigMap sets one of these keys, which are nobody else's, to a number above zero."""

    def build() -> bool:
        found: Iterator[Mapping[str, Any]] = (
            mapping(lookup(one.raw, "data")) for one in world.all(CONFIG_MAP, near=near)
        )
        return any(whole(data.get(name)) for data in found for name in names)

    return LIMITED if world.memo(("haproxy", names), (CONFIG_MAP,), build, near=near) else OPEN


def _technologies_all(near: Resource, world: World) -> Limit:
    return _configured(world, near, _REQUESTS)


def _technologies(ingress: Resource) -> tuple[Annotation, ...]:
    return tuple(
        Annotation(prefix + _REQUESTS, seconds(ingress.annotations.get(f"{prefix}rate-limit-period", "1s")) or 1.0)
        for prefix in _TECHNOLOGIES
    )


def _technologies_ingress(ingress: Resource, world: World) -> Limit:
    return any_of((annotation_limits(ingress, _technologies(ingress)), _technologies_all(ingress, world)))


def _technologies_problems(ingress: Resource, world: World, ceiling: float) -> Problems:
    yield from annotation_problems(ingress, _technologies(ingress), ceiling)


def _community_all(near: Resource, world: World) -> Limit:
    return _configured(world, near, "limit-rps", "limit-connections")


def _community_ingress(ingress: Resource, world: World) -> Limit:
    own = any_of((_own(ingress), _community_all(ingress, world)))
    return own if own.effective else all_of(_of_service(one, world) for one in services(ingress, world))


def _of_service(service: Resource | None, world: World) -> Limit:
    return _own(service) if service is not None else absent(world, SERVICE)


def _own(resource: Resource) -> Limit:
    if any(allows_everybody(resource.annotations.get(name)) for name in _EXEMPTIONS):
        return OPEN
    return annotation_limits(resource, _LIMITS)


def _community_problems(resource: Resource, world: World, ceiling: float) -> Problems:
    yield from annotation_problems(resource, _LIMITS, ceiling)


HAPROXY_TECHNOLOGIES = Gateway(
    name="HAProxy Technologies' controller",
    wants=f"annotation haproxy.org/{_REQUESTS} above 0, or {_REQUESTS} in its ConfigMap",
    globally=_technologies_all,
    ingress_controllers=("haproxy.org/ingress-controller",),
    class_names=("haproxy",),
    annotations={f"haproxy.org/{_REQUESTS}": "20"},
    images=("haproxytech/kubernetes-ingress",),
    pods=({"app.kubernetes.io/name": "kubernetes-ingress"}, {"run": "haproxy-ingress"}),
    ingress=_technologies_ingress,
    limits={INGRESS: _technologies_problems},
)
HAPROXY_INGRESS = Gateway(
    name="HAProxy Ingress",
    wants=f"annotation {_PREFIXES[0]}limit-rps or limit-connections above 0, or that in its ConfigMap",
    looks_up=(SERVICE,),
    globally=_community_all,
    ingress_controllers=("haproxy-ingress.github.io/controller",),
    class_names=("haproxy",),
    annotations={f"{_PREFIXES[0]}limit-rps": "20"},
    images=("jcmoraisjr/haproxy-ingress",),
    pods=({"app.kubernetes.io/name": "haproxy-ingress"}, {"run": "haproxy-ingress"}),
    ingress=_community_ingress,
    limits={INGRESS: _community_problems, SERVICE: _community_problems},
)
