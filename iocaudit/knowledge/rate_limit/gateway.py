"""What a gateway is to these checks: which controllers are meant, and how its limits are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iocaudit.core.hit import Skip
from iocaudit.core.kinds import Kind
from iocaudit.core.repair import Edit
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json
from iocaudit.core.world import World
from iocaudit.knowledge.rate_limit.parents import Parent, RouteRule
from iocaudit.knowledge.rate_limit.verdict import Limit, LimitProblem, RoutePart

LimitProblems = Iterator[LimitProblem | Skip]


class OpenRoute(NamedTuple):
    """A way into the cluster that wants a limit.

    ``at`` is the part of the route that is open (``spec.rules[1]``), empty where all of it is. ``parent`` is the
    Gateway that a route of the Gateway API enters by, ``evidence`` that of the hit.
    """

    route: Resource
    at: str = ""
    parent: Parent | None = None
    evidence: str = ""


class LimitDraft(NamedTuple):
    """A limit to start from: the objects it takes, and what the route itself has to say to be limited by them.

    ``note`` is what someone who applies them has to know.
    """

    objects: tuple[Json, ...]
    edits: tuple[Edit, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One gateway product. ``wants`` completes the sentence ``<name> needs …`` for a route without a limit.

    ``ingress`` judges an Ingress that it serves, ``rule`` a rule of a route of the Gateway API. ``routes`` and
    ``limits`` judge its own kinds: the parts of a route, and what makes a limit ineffective, given the highest
    number of requests a second that still counts as a limit. ``filters`` are the group and kind of filters
    which ``rule`` knows to limit or not. ``annotations`` limit an Ingress that carries them,
    ``limiting`` makes what limits a route, or says why nothing can be made.

    ``speaks`` says that its limits stand on routes, so one there also tells who serves the route.

    ``images`` (the end of a repository) and ``pods`` (labels) tell the controller's own pods; ``globally`` judges the
    limit of all that comes in through a Service of theirs, and ``limiting_all`` makes such a limit.
    """

    name: str
    wants: str
    looks_up: tuple[Kind, ...] = ()
    ingress_controllers: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    gateway_controllers: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    speaks: bool = True
    annotations: Mapping[str, str] = field(default_factory=dict)
    limiting: Callable[[OpenRoute, World], LimitDraft | str] | None = None
    images: tuple[str, ...] = ()
    pods: tuple[Mapping[str, str], ...] = ()
    globally: Callable[[Resource, World], Limit] | None = None
    limiting_all: Callable[[Resource, World], LimitDraft] | None = None
    ingress: Callable[[Resource, World], Limit] | None = None
    rule: Callable[[RouteRule, World], Limit] | None = None
    routes: Mapping[Kind, Callable[[Resource, World], Iterator[RoutePart]]] = field(default_factory=dict)
    limits: Mapping[Kind, Callable[[Resource, World, float], LimitProblems]] = field(default_factory=dict)

    def serves_ingress(self, controller: str) -> bool:
        """Whether it is the controller an IngressClass names; some append a suffix of their own."""
        return any(controller == known or controller.startswith(f"{known}/") for known in self.ingress_controllers)
