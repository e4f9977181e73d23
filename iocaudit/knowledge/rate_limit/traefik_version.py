"""Which Traefik the world shows: version 3 does not read the group traefik.containo.us, version 2 does.

Source: Traefik, migration from 2 to 3; a release names its version in the image's tag; the project's chart installs
version 3 from 28 on. Version 2.10 and later read both groups, so an object or a definition of traefik.io alone is
no proof of version 3: it is taken for one where no workload says otherwise.
"""

from __future__ import annotations

import re

from iocaudit.core.kinds import DAEMON_SET, DEPLOYMENT
from iocaudit.core.kinds.gateways import TRAEFIK_INGRESS_ROUTE, TRAEFIK_MIDDLEWARE
from iocaudit.core.resource import Resource
from iocaudit.core.shape import text
from iocaudit.core.world import World
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.pods.pod import Container, PodSpec

_OBJECTS = (TRAEFIK_MIDDLEWARE, TRAEFIK_INGRESS_ROUTE)
WORKLOADS = (DEPLOYMENT, DAEMON_SET)
"""What Traefik runs as."""
IMAGES = ("library/traefik", "traefik/traefik", "mirrored-library-traefik")
_NAMES = frozenset(image.rpartition("/")[2] for image in IMAGES)
_CHART = re.compile(r"traefik-([1-9][0-9]{1,2})\.")
_FIRST_CHART_OF_3 = 28
_TAG = re.compile(r"v?([23])(?:[.-].*)?")


def shows_traefik_3(world: World, near: Resource) -> str:
    """What shows that the legacy group is not read; empty where nothing does."""
    return world.memo("traefik 3", (*_OBJECTS, *WORKLOADS), lambda: _shown(world, near), near=near)


def _shown(world: World, near: Resource) -> str:
    versions = world.memo("traefik versions", WORKLOADS, lambda: _versions(world, near), near=near)
    if "3" in versions:
        return f"{versions['3']} runs it"
    if "2" in versions:
        return ""
    if any(world.has(kind) for kind in _OBJECTS):
        return "there are traefik.io objects"
    return "traefik.io is installed" if TRAEFIK_MIDDLEWARE.group in world.installed else ""


def _versions(world: World, near: Resource) -> dict[str, str]:
    """The major versions that run, each with a workload that runs it."""
    found: dict[str, str] = {}
    for kind in WORKLOADS:
        for workload in world.all(kind, near=near):
            for pod in pods_of(workload):
                version = _by_image(pod) if pod.containers else _by_chart(pod)
                if version:
                    found.setdefault(version, f"{kind.name} {workload.name}")
    return found


def _by_image(pod: PodSpec) -> str:
    tags = (_TAG.fullmatch(one.image.tag) for one in pod.containers if one.image is not None and runs_traefik(one))
    return next((tag[1] for tag in tags if tag is not None), "")


def _by_chart(pod: PodSpec) -> str:
    """By what its chart says of itself: a cluster's world holds the labels of pods and not their images."""
    chart = _CHART.match(text(pod.labels.get("helm.sh/chart")))
    return "" if chart is None else "3" if int(chart[1]) >= _FIRST_CHART_OF_3 else "2"


def runs_traefik(container: Container) -> bool:
    """Whether its image is Traefik's."""
    # Few are: most are told without taking the reference apart.
    if "traefik" not in container.image_text or (image := container.image) is None:
        return False
    return image.repository.rpartition("/")[2] in _NAMES
