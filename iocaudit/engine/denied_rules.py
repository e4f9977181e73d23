"""Which requests the policies in force may deny: what has to be registered to fail closed, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.request import Operation
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet

Rules = Mapping[Kind, frozenset[Operation]]


def is_wide(kind: Kind) -> bool:
    """Whether a webhook's namespaceSelector says nothing of the kind: it is applied to Namespaces themselves, too."""
    return not kind.namespaced and kind is not NAMESPACE


def denied_rules(catalogue: Catalogue, policies: PolicySet, namespaces: frozenset[str] | None) -> Rules:
    """The kinds and operations that a check in effective mode deny looks at.

    ``namespaces`` are those in which the policies deny, where exact names say it. Objects of cluster scope then count
    only for what is denied in cluster scope: what one of them completes in such a namespace (a ClusterRole that its
    bindings name, say) is judged all the same, but a webhook that is away stops nobody elsewhere.
    """
    rules = catalogue.admission_rules(check.id for check in catalogue if policies.may_deny(check))
    if namespaces is None:
        return rules
    wide = catalogue.admission_rules(check.id for check in catalogue if policies.may_deny_wide(check))
    inside = {kind: operations for kind, operations in rules.items() if not is_wide(kind)} if namespaces else {}
    return inside | {kind: operations for kind, operations in wide.items() if is_wide(kind)}
