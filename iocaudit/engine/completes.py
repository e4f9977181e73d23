"""Which kinds of requests may complete what objects of other kinds say, and what they complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from iocaudit.core.check import Check
from iocaudit.core.claim_completion import completed_by_claim, completed_by_volume
from iocaudit.core.completed import Completed
from iocaudit.core.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RBAC_DEFINITION,
    ROLE,
    ROLE_BINDING,
    Kind,
)
from iocaudit.core.rbac.bindings import BINDINGS
from iocaudit.core.rbac.completion import completed_by_binding, completed_by_role
from iocaudit.core.resource import Resource
from iocaudit.core.world import World

_GRANTS = (ROLE, *BINDINGS)
COMPLETES: Mapping[Kind, tuple[Kind, ...]] = {
    CLUSTER_ROLE: _GRANTS,
    ROLE: _GRANTS,
    CLUSTER_ROLE_BINDING: _GRANTS,
    ROLE_BINDING: _GRANTS,
    RBAC_DEFINITION: _GRANTS,
    PERSISTENT_VOLUME_CLAIM: (POD,),
    PERSISTENT_VOLUME: (POD,),
}
"""A kind to those whose objects may mean more by one of it. Of pods only what a claim makes of them: they are not
held, and what else their checks look up (the grants of their ServiceAccounts) is judged where it is granted."""

_COMPLETED: Mapping[Kind, Callable[[Resource, World, World], Iterator[Completed]]] = {
    CLUSTER_ROLE: completed_by_role,
    ROLE: completed_by_role,
    CLUSTER_ROLE_BINDING: completed_by_binding,
    ROLE_BINDING: completed_by_binding,
    RBAC_DEFINITION: completed_by_binding,
    PERSISTENT_VOLUME_CLAIM: completed_by_claim,
    PERSISTENT_VOLUME: completed_by_volume,
}


def is_completed(check: Check, kind: Kind, dependents: tuple[Kind, ...]) -> bool:
    """Whether a check of ``dependents`` looks up objects of the kind, so that one of these may complete its hit."""
    looks_up = kind in check.uses or kind in check.needs
    return looks_up and not check.audit_only and not set(dependents).isdisjoint(check.looks_at)


def completed(resource: Resource, before: World, after: World) -> Iterator[Completed]:
    """What an object that comes between two worlds completes, once each."""
    assert resource.kind is not None, "only known kinds complete anything"
    return _COMPLETED[resource.kind](resource, before, after)
