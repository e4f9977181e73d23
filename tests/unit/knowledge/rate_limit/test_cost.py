"""A kind is gone through once for all routes, never once for each: what keeps large clusters affordable."""

import copy

import pytest

from iocaudit.core.kinds import INGRESS, Kind
from iocaudit.core.kinds.gateway_api import HTTP_ROUTE
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.rate_limit.registry import LIMITS, ROUTES
from tests.support.auditing import CATALOGUE, resources
from tests.support.bounded import cpu_within
from tests.unit.knowledge.rate_limit import test_gateways, test_traefik

CHECKS = CATALOGUE.select(["no-rate-limit", "ineffective-rate-limit"])
TRAEFIK = test_traefik.together(
    test_traefik.route("[{name: outer}]"),
    test_traefik.middleware("outer", "{chain: {middlewares: [{name: calm}]}}"),
    test_traefik.middleware("calm", test_traefik.LIMIT),
)
WORLDS = [*test_gateways.LIMITED, *((name, text) for name, text, _ in test_gateways.OPEN), ("traefik", TRAEFIK)]


class CountingWorld(World):
    """Counts how many objects were handed out by going through whole kinds."""

    handed = 0

    def all(self, kind: Kind, *, near: Resource | None = None) -> list[Resource]:
        found = super().all(kind, near=near)
        self.handed += len(found)
        return found


def handed_for(text: str, routes: int) -> int:
    """How many objects are gone through when each route stands there so many times."""
    world = CountingWorld()
    subjects = []
    for one in resources(text):
        copies = routes if one.kind in (INGRESS, HTTP_ROUTE, *ROUTES) else 1
        for at in range(copies):
            raw = copy.deepcopy(one.raw)
            if at:
                raw["metadata"]["name"] += f"-{at}"
            subjects.append(Resource(raw, Origin("file", "large.yaml")))
    for subject in subjects:
        world.add(subject)
    auditor = Auditor(CHECKS, PolicySet(CHECKS), world)
    for subject in subjects:
        assert not auditor.audit(subject).faults
    return world.handed


@pytest.mark.parametrize("text", [row[1] for row in WORLDS], ids=[row[0] for row in WORLDS])
def test_more_routes_do_not_go_through_policies_again(text: str) -> None:
    few, many = handed_for(text, 10), handed_for(text, 40)
    assert many - few <= 30 * len(ROUTES), "at most the routes themselves, once"


CROWDED = [row[:2] for row in WORLDS if row[0].startswith(("envoy gateway, ", "nginx fabric", "kuadrant", "istio"))]


@pytest.mark.parametrize("text", [text for _, text in CROWDED], ids=[name for name, _ in CROWDED])
def test_many_policies_on_one_gateway_are_weighed_once(text: str) -> None:
    """2,000 policies on what 4,000 routes share are eight million pairs: half a minute, were each looked at."""
    world = World()
    routes = []
    for one in resources(text):
        is_route = one.kind in (INGRESS, HTTP_ROUTE, *ROUTES)
        for at in range(4000 if is_route else 2000 if one.kind in LIMITS else 1):
            raw = {**one.raw, "metadata": {**one.metadata, "name": f"{one.name}-{at}" if at else one.name}}
            copied = Resource(raw, Origin("file", "large.yaml"))
            world.add(copied)
            if is_route:
                routes.append(copied)
    auditor = Auditor(CATALOGUE.select(["no-rate-limit"]), PolicySet(CATALOGUE), world)
    with cpu_within(6):
        for route in routes:
            auditor.audit(route)
