"""Which kinds of requests may complete what objects of other kinds say."""

from __future__ import annotations

from collections.abc import Mapping

from iocaudit.core.check import Check
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

_GRANTS = (ROLE, CLUSTER_ROLE_BINDING, ROLE_BINDING, RBAC_DEFINITION)
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


def is_completed(check: Check, kind: Kind, dependents: tuple[Kind, ...]) -> bool:
    """Whether a check of ``dependents`` looks up objects of the kind, so one of these may complete its hit."""
    looks_up = kind in check.uses or kind in check.needs
    return looks_up and not check.asks and not check.audit_only and not set(dependents).isdisjoint(check.looks_at)
