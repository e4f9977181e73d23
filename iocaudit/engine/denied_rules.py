"""Which requests the policies in force may deny: what has to be registered to fail closed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iocaudit.core.kinds import Kind
from iocaudit.core.request import Operation
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.completes import COMPLETES, is_completed
from iocaudit.engine.policy_kinds import is_wide
from iocaudit.engine.policy_set import PolicySet

Rules = Mapping[Kind, frozenset[Operation]]
_WRITES = (Operation.CREATE, Operation.UPDATE)


def denied_rules(catalogue: Catalogue, policies: PolicySet, namespaces: frozenset[str] | None) -> Rules:
    """The kinds and operations that a check in effective mode deny looks at, or that complete what it looks at.

    ``namespaces`` are those in which the policies deny, where exact names say it. Objects of cluster scope then count
    only for what is denied in cluster scope: what one of them completes in such a namespace (a ClusterRole that its
    bindings name, say) is judged all the same, but a webhook that is away stops nobody elsewhere.
    """
    rules: dict[Kind, frozenset[Operation]] = {}
    for kind, operation, judged in _denied(catalogue, policies):
        if namespaces is None or (is_wide(judged) if is_wide(kind) else namespaces):
            rules[kind] = rules.get(kind, frozenset()) | {operation}
    return rules


def _denied(catalogue: Catalogue, policies: PolicySet) -> Iterator[tuple[Kind, Operation, Kind]]:
    """Kind and operation of requests that may be denied, and the kind for whose objects' sake."""
    denying = policies.denying
    for check in catalogue:
        if not denying.anywhere(check):
            continue
        for kind in check.looks_at:
            yield from ((kind, one, kind) for one in check.operations if denying.of(check, kind, one))
        for kind, dependents in COMPLETES.items():
            if not is_completed(check, kind, dependents):
                continue
            for judged in dependents:
                # What is completed is judged as if it were made anew.
                if judged in check.looks_at and denying.of(check, judged, Operation.CREATE):
                    yield from ((kind, one, judged) for one in _WRITES)
