"""Traefik's entry points: what its static configuration sends all that comes in through.

Source: Traefik 3 reference, install configuration of entry points (``address``, ``asDefault``, ``http.middlewares``).
Only the arguments of a workload that runs Traefik are read, and those are known of files alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from iocaudit.core.resource import Resource
from iocaudit.core.shape import strings
from iocaudit.core.world import World
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.rate_limit.traefik_version import WORKLOADS, runs_traefik

_ARGUMENT = re.compile(r"--entrypoints\.([^.=]+)\.(address|asdefault|http\.middlewares)(?:=(.*))?", re.IGNORECASE)
_OWN = frozenset({"traefik", "metrics"})
"""Those that serve Traefik itself, which no route enters by unless it names them."""


@dataclass(slots=True)
class _EntryPoints:
    names: set[str] = field(default_factory=set)
    default: set[str] = field(default_factory=set)
    middlewares: dict[str, str] = field(default_factory=dict)


def middlewares_before(names: Iterable[str], near: Resource, world: World) -> list[str]:
    """The lists of Middlewares before a route, one for each entry point it enters by: those named, or the default ones.

    None where Traefik's own configuration is not in the world.
    """
    known = world.memo("traefik entry points", WORKLOADS, lambda: _read(world, near), near=near)
    wanted = {name.lower() for name in names} or known.default or known.names - _OWN
    return [known.middlewares.get(name, "") for name in sorted(wanted)] if known.names else []


def _read(world: World, near: Resource) -> _EntryPoints:
    found = _EntryPoints()
    for kind in WORKLOADS:
        for workload in world.all(kind, near=near):
            for pod in pods_of(workload):
                for container in pod.containers:
                    if runs_traefik(container):
                        _take(found, [*strings(container.raw.get("command")), *strings(container.raw.get("args"))])
    return found


def _take(found: _EntryPoints, arguments: Iterable[str]) -> None:
    for argument in arguments:
        match = _ARGUMENT.fullmatch(argument)
        if match is None:
            continue
        name, option, value = match[1].lower(), match[2].lower(), match[3] or ""
        found.names.add(name)
        if option == "asdefault" and value.lower() in ("", "true"):
            found.default.add(name)
        elif option == "http.middlewares":
            found.middlewares[name] = value
