"""The kinds that only rules look up: what keeps them from being known, and how that is granted."""

from __future__ import annotations

from iocaudit.core.kinds import Kind


def resource_of(kind: Kind) -> str:
    """The kind as RBAC and kubectl name its objects: ``ingresses.networking.k8s.io``."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def grant_of(kind: Kind) -> str:
    """What to run so that webhook and operator may read a kind."""
    return f"iocaudit manifests --rules-need {resource_of(kind)} | kubectl apply --server-side -f -"


def with_grant(kind: Kind, reason: str) -> str:
    """Why a kind is not known whole, and, where it may not be read, what lets it be read."""
    return f"{reason}. Grant it: {grant_of(kind)}" if reason.startswith("forbidden") else reason
