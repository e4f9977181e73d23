"""The aggregation controller's own writes: it unites rules that others wrote, and each of those was judged.

Source: kubernetes, pkg/controller/clusterroleaggregation: it changes the rules of a ClusterRole that has an
aggregationRule, and nothing else.
"""

from __future__ import annotations

from typing import Any

from iocaudit.core.kinds import CLUSTER_ROLE
from iocaudit.core.request import Operation
from iocaudit.core.resource import Resource
from iocaudit.core.shape import mapping
from iocaudit.knowledge.controllers import is_controller
from iocaudit.knowledge.rbac.roles import selectors_of
from iocaudit.sources.admission_review import Review

_KEPT_BY_THE_SERVER = ("managedFields", "resourceVersion", "generation")


def is_aggregated_anew(review: Review) -> bool:
    """Whether this is the controller that gives an aggregated ClusterRole its rules, and changes nothing else.

    Anyone who may act in its name may give such a role any rules, until the controller itself undoes that at once; the
    right to act as others is critical by itself.
    """
    role, old = review.resource, review.old
    return (
        role is not None
        and old is not None
        and role.kind is CLUSTER_ROLE
        and review.request.operation is Operation.UPDATE
        and not review.request.subresource
        and is_controller(review.request.username, "clusterrole-aggregation")
        and bool(selectors_of(old))
        and _without_rules(role) == _without_rules(old)
    )


def _without_rules(role: Resource) -> dict[str, Any]:
    metadata = {key: value for key, value in mapping(role.metadata).items() if key not in _KEPT_BY_THE_SERVER}
    rest = {key: value for key, value in role.raw.items() if key not in ("rules", "metadata")}
    return rest | {"metadata": metadata}
