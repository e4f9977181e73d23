"""ingress-nginx: annotations on the Ingress. Source: its documentation, "Annotations", section rate limiting.

``limit-rate`` and ``limit-rate-after`` are bandwidth, no limit of requests. A canary takes its limits from the
Ingress it stands beside, by host; its own are ignored.
"""

from iocaudit.core import paths
from iocaudit.core.kinds import INGRESS
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, mappings, text
from iocaudit.core.world import World
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.annotations import Annotation, annotation_limits, annotation_problems, exempted
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitProblems
from iocaudit.knowledge.rate_limit.verdict import OPEN, Limit, LimitProblem, absent, all_of, any_of, idle, title

_PREFIX = "nginx.ingress.kubernetes.io/"
_CANARY = f"{_PREFIX}canary"
_LIMITS = (
    Annotation(f"{_PREFIX}limit-rps", 1),
    Annotation(f"{_PREFIX}limit-rpm", 60),
    Annotation(f"{_PREFIX}limit-connections"),
)
_EXEMPTIONS = (f"{_PREFIX}limit-allowlist", f"{_PREFIX}limit-whitelist")


def _ingress(ingress: Resource, world: World) -> Limit:
    if not _is_canary(ingress):
        return _own(ingress)
    namespace = world.namespace_of(ingress) or ""
    known = world.memo("nginx limits by host", (INGRESS,), lambda: _by_host(world, ingress), near=ingress)
    limit = all_of(known.get((namespace, host), OPEN) for host in _hosts(ingress))
    return limit if limit.effective else any_of((limit, absent(world, INGRESS)))


def _is_canary(ingress: Resource) -> bool:
    return ingress.annotations.get(_CANARY) == "true"


def _hosts(ingress: Resource) -> list[str]:
    return [text(rule.get("host")) for rule in mappings(lookup(ingress.raw, "spec", "rules"))]


def _by_host(world: World, near: Resource) -> dict[tuple[str, str], Limit]:
    """Each host of the Ingresses that are not a canary, and whether all of those limit it."""
    found: dict[tuple[str, str], Limit] = {}
    for ingress in world.all(INGRESS, near=near):
        if not _is_canary(ingress):
            limit = _own(ingress)
            for host in _hosts(ingress):
                key = (world.namespace_of(ingress) or "", host)
                found[key] = all_of((found.get(key, limit), limit))
    return found


def _own(ingress: Resource) -> Limit:
    limit = annotation_limits(ingress, _LIMITS)
    if limit.effective and any(exempted(ingress.annotations.get(name)) for name in _EXEMPTIONS):
        return idle(title(ingress))
    return limit


def _problems(ingress: Resource, world: World, ceiling: float) -> LimitProblems:
    yield from annotation_problems(ingress, _LIMITS, ceiling)
    if _is_canary(ingress):
        for one in _LIMITS:
            if one.name in ingress.annotations:
                said = "is ignored: this is a canary, which takes its limits from the Ingress beside it"
                yield LimitProblem("metadata.annotations" + paths.key(one.name), said, "canary")
    if annotation_limits(ingress, _LIMITS).effective:
        for name in _EXEMPTIONS:
            if whom := exempted(value := ingress.annotations.get(name)):
                said = f"exempts {whom} ({clip(text(value), 80)}) from the limit"
                yield LimitProblem("metadata.annotations" + paths.key(name), said, name)


INGRESS_NGINX = Gateway(
    name="ingress-nginx",
    wants=f"annotation {_PREFIX}limit-rps, limit-rpm or limit-connections above 0",
    looks_up=(INGRESS,),
    ingress_controllers=("k8s.io/ingress-nginx",),
    class_names=("nginx", "ingress-nginx"),
    images=("ingress-nginx/controller", "nginx-ingress-controller"),
    pods=(
        {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"},
        {"app.kubernetes.io/name": "rke2-ingress-nginx"},
        {"app": "nginx-ingress", "component": "controller"},
    ),
    annotations={f"{_PREFIX}limit-rps": "20"},
    ingress=_ingress,
    limits={INGRESS: _problems},
)
