"""ingress-nginx: annotations on the Ingress. Source: its documentation, "Annotations", section rate limiting.

``limit-rate`` and ``limit-rate-after`` are bandwidth, no limit of requests.
"""

from iocaudit.core import paths
from iocaudit.core.kinds import INGRESS
from iocaudit.core.rate_limit.annotations import (
    Annotation,
    allows_everybody,
    annotation_limits,
    annotation_problems,
)
from iocaudit.core.rate_limit.gateway import Gateway, Problems
from iocaudit.core.rate_limit.verdict import OPEN, Limit, Problem
from iocaudit.core.resource import Resource
from iocaudit.core.world import World

_PREFIX = "nginx.ingress.kubernetes.io/"
_LIMITS = (
    Annotation(f"{_PREFIX}limit-rps", 1),
    Annotation(f"{_PREFIX}limit-rpm", 60),
    Annotation(f"{_PREFIX}limit-connections"),
)
_EXEMPTIONS = (f"{_PREFIX}limit-allowlist", f"{_PREFIX}limit-whitelist")


def _ingress(ingress: Resource, world: World) -> Limit:
    if any(allows_everybody(ingress.annotations.get(name)) for name in _EXEMPTIONS):
        return OPEN
    return annotation_limits(ingress, _LIMITS)


def _problems(ingress: Resource, world: World, ceiling: float) -> Problems:
    yield from annotation_problems(ingress, _LIMITS, ceiling)
    if annotation_limits(ingress, _LIMITS).effective:
        for name in _EXEMPTIONS:
            if allows_everybody(value := ingress.annotations.get(name)):
                yield Problem(
                    "metadata.annotations" + paths.key(name), f"exempts every client ({value}) from the limit", name
                )


INGRESS_NGINX = Gateway(
    name="ingress-nginx",
    wants=f"annotation {_PREFIX}limit-rps, limit-rpm or limit-connections above 0",
    ingress_controllers=("k8s.io/ingress-nginx",),
    class_names=("nginx", "ingress-nginx"),
    ingress=_ingress,
    limits={INGRESS: _problems},
)
