"""The two HAProxy controllers: annotations of the Ingress, or the controller's own ConfigMap for all of them.

Sources: HAProxy Technologies' controller, documentation of annotations (rate-limit), which it reads under three
prefixes; HAProxy Ingress by jcmoraisjr, configuration keys (limit), of scope backend: a Service may have them too.
Both take the same keys without a prefix from a ConfigMap, which is looked for in files alone: a cluster has too many.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from iocaudit.core import paths
from iocaudit.core.kinds import CONFIG_MAP, INGRESS, SERVICE
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mapping, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.annotations import (
    Annotation,
    annotation_limits,
    annotation_problems,
    exempted,
    whole,
)
from iocaudit.knowledge.rate_limit.backends import services
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitProblems
from iocaudit.knowledge.rate_limit.values import seconds
from iocaudit.knowledge.rate_limit.verdict import (
    LIMITED,
    OPEN,
    Limit,
    LimitProblem,
    absent,
    all_of,
    any_of,
    idle,
    title,
)

_REQUESTS = "rate-limit-requests"
_TECHNOLOGIES = ("haproxy.org/", "haproxy.com/", "ingress.kubernetes.io/")
_PREFIXES = ("haproxy-ingress.github.io/", "ingress.kubernetes.io/")
_LIMITS = tuple(
    annotation
    for prefix in _PREFIXES
    for annotation in (Annotation(f"{prefix}limit-rps", 1), Annotation(f"{prefix}limit-connections"))
)
_WHITELISTS = tuple(f"{prefix}rate-limit-whitelist" for prefix in _TECHNOLOGIES)
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
    own = _for_most(ingress, annotation_limits(ingress, _technologies(ingress)), _WHITELISTS)
    return any_of((own, _technologies_all(ingress, world)))


def _technologies_problems(ingress: Resource, world: World, ceiling: float) -> LimitProblems:
    limits = _technologies(ingress)
    yield from annotation_problems(ingress, limits, ceiling)
    yield from _exemption_problems(ingress, annotation_limits(ingress, limits), _WHITELISTS)


def _community_all(near: Resource, world: World) -> Limit:
    return _configured(world, near, "limit-rps", "limit-connections")


def _community_ingress(ingress: Resource, world: World) -> Limit:
    own = any_of((_own(ingress), _community_all(ingress, world)))
    behind = all_of(_of_service(one, world) for one in services(ingress, world))
    return any_of((own, behind))


def _of_service(service: Resource | None, world: World) -> Limit:
    return _own(service) if service is not None else absent(world, SERVICE)


def _own(resource: Resource) -> Limit:
    return _for_most(resource, annotation_limits(resource, _LIMITS), _EXEMPTIONS)


def _for_most(resource: Resource, limit: Limit, exemptions: Iterable[str]) -> Limit:
    """The limit, or none where a list of addresses exempts everybody from it, or nearly so."""
    if limit.effective and any(exempted(resource.annotations.get(name)) for name in exemptions):
        return idle(title(resource))
    return limit


def _exemption_problems(resource: Resource, limit: Limit, exemptions: Iterable[str]) -> Iterator[LimitProblem]:
    for name in exemptions if limit.effective else ():
        if whom := exempted(value := resource.annotations.get(name)):
            said = f"exempts {whom} ({clip(text(value), 80)}) from the limit"
            yield LimitProblem("metadata.annotations" + paths.key(name), said, name)


def _community_problems(resource: Resource, world: World, ceiling: float) -> LimitProblems:
    yield from annotation_problems(resource, _LIMITS, ceiling)
    yield from _exemption_problems(resource, annotation_limits(resource, _LIMITS), _EXEMPTIONS)


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
