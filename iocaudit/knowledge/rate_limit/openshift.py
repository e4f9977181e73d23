"""OpenShift's router: annotations of a Route, or of the Ingress that a Route is made of.

Source: openshift/router, haproxy-config.template: without ``rate-limit-connections`` the numbers are not read; rates of
connections are counted in 3 seconds, those of requests in 10; where TLS passes through, requests are not seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from iocaudit.core import paths
from iocaudit.core.kinds import INGRESS
from iocaudit.core.kinds.gateways import OPENSHIFT_ROUTE
from iocaudit.core.repair import Edit, Repair
from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, text
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.annotations import whole
from iocaudit.knowledge.rate_limit.gateway import Gateway, LimitProblems
from iocaudit.knowledge.rate_limit.values import per_second, shown
from iocaudit.knowledge.rate_limit.verdict import OPEN, Limit, LimitProblem, RoutePart, any_of, idle, title

_SWITCH = "haproxy.router.openshift.io/rate-limit-connections"
_REQUESTS = f"{_SWITCH}.rate-http"
_CONNECTIONS = f"{_SWITCH}.rate-tcp"
_SECONDS = {f"{_SWITCH}.concurrent-tcp": None, _CONNECTIONS: 3.0, _REQUESTS: 10.0}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_STARTERS = {_REQUESTS: "200", _CONNECTIONS: "60"}


def _passes_through(resource: Resource) -> bool:
    """Whether the router does not see the requests."""
    own = text(lookup(resource.raw, "spec", "tls", "termination"))
    return (own or text(resource.annotations.get("route.openshift.io/termination"))) == "passthrough"


def _counted(resource: Resource) -> dict[str, float | None]:
    """The annotations that are read, each with the time that its number is counted in."""
    return {name: time for name, time in _SECONDS.items() if name != _REQUESTS or not _passes_through(resource)}


def _limit_of(resource: Resource) -> Limit:
    values, by = resource.annotations, title(resource)
    if text(values.get(_SWITCH)) not in _TRUE:
        return idle(by) if not values.keys().isdisjoint((_SWITCH, *_SECONDS)) else OPEN
    found = [
        Limit(True, rate=count / time if time else 0.0, by=by)
        for name, time in _counted(resource).items()
        if (count := whole(values.get(name))) is not None and count >= 0
    ]
    return any_of(found) if found else idle(by)


def _routes(route: Resource, world: World) -> Iterator[RoutePart]:
    wanted = _CONNECTIONS if _passes_through(route) else _REQUESTS
    edits = {_SWITCH: "true", wanted: _STARTERS[wanted]}
    repair = Repair(
        tuple(Edit("set", f"metadata.annotations{paths.key(name)}", value) for name, value in edits.items())
    )
    yield RoutePart("metadata.annotations", "", _limit_of(route), repair=repair)


def _ingress(ingress: Resource, world: World) -> Limit:
    return _limit_of(ingress)


def _problems(resource: Resource, world: World, ceiling: float) -> LimitProblems:
    values = resource.annotations
    named = [name for name in _SECONDS if name in values]
    switch = "metadata.annotations" + paths.key(_SWITCH)
    if text(values.get(_SWITCH)) not in _TRUE:
        if named:
            yield LimitProblem(switch, f"is {shown(values.get(_SWITCH))}, so {named[0]} is not read", "off")
        return
    if not named:
        yield LimitProblem(switch, "is set without any number to limit by", "unset")
    counted = _counted(resource)
    for name in named:
        path, count, time = "metadata.annotations" + paths.key(name), whole(values[name]), _SECONDS[name]
        if name not in counted:
            yield LimitProblem(path, "is not read where TLS passes through: the router sees no requests", name)
        elif count is None or count < 0:
            yield LimitProblem(path, f"is {shown(values[name])}, which is not a whole number: nothing is limited", name)
        elif time is not None and count / time > ceiling:
            rate = per_second(count / time)
            yield LimitProblem(path, f"allows {rate}, more than {ceiling:g}, which limits nobody", name)


OPENSHIFT = Gateway(
    name="OpenShift's router",
    wants=f'annotations {_SWITCH}: "true" and {_REQUESTS} (or rate-tcp, concurrent-tcp) with a number',
    ingress_controllers=("openshift.io/ingress-to-route",),
    class_names=("openshift-default",),
    annotations={_SWITCH: "true", _REQUESTS: _STARTERS[_REQUESTS]},
    images=("openshift/origin-haproxy-router",),
    ingress=_ingress,
    routes={OPENSHIFT_ROUTE: _routes},
    limits={OPENSHIFT_ROUTE: _problems, INGRESS: _problems},
)
