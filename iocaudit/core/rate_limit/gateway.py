"""What a gateway is to these checks: which controllers are meant, and how its limits are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iocaudit.core.hit import Skip
from iocaudit.core.kinds import Kind
from iocaudit.core.rate_limit.parents import Parent, Rule
from iocaudit.core.rate_limit.verdict import Limit, Part, Problem
from iocaudit.core.repair import Edit
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json
from iocaudit.core.world import World

Problems = Iterator[Problem | Skip]


class Way(NamedTuple):
    """A way into the cluster that wants a limit.

    ``at`` is the part of the route that is open (``spec.rules[1]``), empty where all of it is. ``parent`` is the
    Gateway that a route of the Gateway API enters by, ``evidence`` that of the hit.
    """

    route: Resource
    at: str = ""
    parent: Parent | None = None
    evidence: str = ""


class Made(NamedTuple):
    """A limit to start from: the objects it takes, and what the route itself has to say to be limited by them.

    ``note`` is what somebody who applies them has to know.
    """

    objects: tuple[Json, ...]
    edits: tuple[Edit, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One gateway product. ``wants`` completes the sentence ``<name> wants …`` for a route without a limit.

    ``ingress`` judges an Ingress that it serves, ``rule`` a rule of a route of the Gateway API. ``routes`` and
    ``limits`` judge its own kinds: the parts of a route, and what makes a limit ineffective, given the highest
    number of requests a second that still counts as a limit. ``filters`` are the group and kind of filters
    which ``rule`` knows to limit or not. ``annotations`` limit an Ingress that carries them,
    ``limiting`` makes what limits a route, or says why nothing can be made.

    ``speaks`` says that its limits stand on routes, so that one there also tells who serves the route.

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
    limiting: Callable[[Way, World], Made | str] | None = None
    images: tuple[str, ...] = ()
    pods: tuple[Mapping[str, str], ...] = ()
    globally: Callable[[Resource, World], Limit] | None = None
    limiting_all: Callable[[Resource, World], Made] | None = None
    ingress: Callable[[Resource, World], Limit] | None = None
    rule: Callable[[Rule, World], Limit] | None = None
    routes: Mapping[Kind, Callable[[Resource, World], Iterator[Part]]] = field(default_factory=dict)
    limits: Mapping[Kind, Callable[[Resource, World, float], Problems]] = field(default_factory=dict)

    def serves_ingress(self, controller: str) -> bool:
        """Whether it is the controller an IngressClass names; some append a suffix of their own."""
        return any(controller == known or controller.startswith(f"{known}/") for known in self.ingress_controllers)
