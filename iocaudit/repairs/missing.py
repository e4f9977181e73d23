"""Objects whose absence is the finding, made on request: what isolates a workload, and what limits a route.

They are starting points. A NetworkPolicy made here denies everything but DNS, for nobody but the owner knows who has
to reach the workload; a rate is a guess that has to be measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from iocaudit.core.kinds import NETWORK_POLICY
from iocaudit.core.namespaces import NAME_LABEL
from iocaudit.core.repair import Edit
from iocaudit.core.report import ReportedHit
from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json
from iocaudit.core.world import World
from iocaudit.knowledge.network.model import EGRESS, INGRESS
from iocaudit.knowledge.pods.places import pods_of
from iocaudit.knowledge.rate_limit.gateway import LimitDraft
from iocaudit.repairs.missing_labels import lasting_labels
from iocaudit.repairs.missing_limits import limit_between, limit_for

_LIMITS = {"no-rate-limit": limit_for, "no-workload-rate-limit": limit_between}
_DIRECTIONS = {"no-ingress-policy": INGRESS, "no-egress-policy": EGRESS}
_DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {NAME_LABEL: "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
_LONGEST_NAME = 200  # of 253, which leaves room for a number


class MissingIsolation(NamedTuple):
    """A direction in which pods want isolation: those with ``labels``, or all of the namespace where there are none.

    ``namespace`` is None where the file leaves it out, which means ``home``. ``taken`` are the names in use there.
    """

    namespace: str | None
    home: str
    workload: str
    labels: tuple[tuple[str, str], ...]
    direction: str
    taken: frozenset[str]


class MissingObjects(NamedTuple):
    """What a hit misses: an isolation, or whole objects, which may take ``edits`` of the hit's own object to hold.

    ``reason`` says why there is nothing to make, ``note`` what to know of what is made.
    """

    found: ReportedHit
    isolation: MissingIsolation | None = None
    objects: tuple[Json, ...] = ()
    edits: tuple[Edit, ...] = ()
    note: str = ""
    reason: str = ""


def wanted(found: ReportedHit, resource: Resource, world: World) -> MissingObjects | None:
    """What the object of a hit misses; None where the hit is not about something that is missing."""
    if found.check == "namespace-without-default-deny":
        name = resource.name
        return MissingObjects(
            found, MissingIsolation(name, name, "", (), found.hit.evidence, _taken(name, resource, world))
        )
    if found.check in _DIRECTIONS:
        return MissingObjects(found, _isolation(found, resource, world))
    make = _LIMITS.get(found.check)
    return _limited(found, make(found, resource, world)) if make is not None else None


def _taken(namespace: str, near: Resource, world: World) -> frozenset[str]:
    return frozenset(policy.name for policy in world.of(NETWORK_POLICY, namespace, near=near))


def _isolation(found: ReportedHit, resource: Resource, world: World) -> MissingIsolation:
    home = world.namespace_of(resource) or world.default_namespace
    pod = next((one for one in pods_of(resource) if f"{one.metadata_path}.labels" == found.hit.path), None)
    labels = lasting_labels(resource, pod)
    workload = resource.name.strip("-.") or resource.kind_name.lower()
    pairs = tuple(sorted(labels.items()))
    return MissingIsolation(
        resource.namespace, home, workload, pairs, _DIRECTIONS[found.check], _taken(home, resource, world)
    )


def _limited(found: ReportedHit, limit: LimitDraft | str) -> MissingObjects:
    if isinstance(limit, str):
        return MissingObjects(found, reason=limit)
    return MissingObjects(found, objects=limit.objects, edits=limit.edits, note=limit.note)


def documents(wanted: Iterable[MissingObjects]) -> list[Json]:
    """The objects that are missing, each once: what covers a whole namespace comes first and spares the others."""
    wanted = list(wanted)
    isolations = [one.isolation for one in wanted if one.isolation is not None]
    covered = {(one.home, one.direction) for one in isolations if not one.labels}
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[MissingIsolation]] = {}
    for one in sorted(isolations, key=lambda isolation: (isolation.home, bool(isolation.labels), isolation.workload)):
        if not one.labels or (one.home, one.direction) not in covered:
            groups.setdefault((one.home, one.labels), []).append(one)
    used: set[tuple[str, str]] = set()
    made = []
    for (home, _), group in groups.items():
        name = _free("default-deny" if not group[0].labels else f"isolate-{group[0].workload}", home, group[0], used)
        used.add((home, name))
        made.append(_policy(name, group))
    for one_wanted in wanted:
        made += [_distinct(one, made) for one in one_wanted.objects if one not in made]
    return made


def _distinct(one: Json, made: list[Json]) -> Json:
    """The object, under a further name where another has its own; what an edit refers to is the same wherever it is."""
    name, number = one["metadata"]["name"], 2
    while any(one["kind"] == other["kind"] and one["metadata"] == other["metadata"] for other in made):
        one = {**one, "metadata": {**one["metadata"], "name": f"{name}-{number}"}}
        number += 1
    return one


def _free(name: str, home: str, isolation: MissingIsolation, used: set[tuple[str, str]]) -> str:
    """The name, with a number where it is taken: applied, the object must not replace another."""
    name = free = name[:_LONGEST_NAME].rstrip("-.")
    number = 2
    while free in isolation.taken or (home, free) in used:
        free = f"{name}-{number}"
        number += 1
    return free


def _policy(name: str, group: list[MissingIsolation]) -> Json:
    directions = [direction for direction in (INGRESS, EGRESS) if any(one.direction == direction for one in group)]
    namespace = next((one.namespace for one in group if one.namespace is not None), None)
    labels = dict(group[0].labels)
    spec: Json = {
        "podSelector": {"matchLabels": labels} if labels else {},
        "policyTypes": directions,
    }
    if EGRESS in directions:
        spec["egress"] = [_DNS]
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
