"""What the user who makes a request holds."""

from __future__ import annotations

from iocaudit.core.request import Request
from iocaudit.core.world import World
from iocaudit.knowledge.rbac.bindings import resolve
from iocaudit.knowledge.rbac.graph import graph_of
from iocaudit.knowledge.rbac.rules import is_everything
from iocaudit.knowledge.rbac.subjects import MASTERS, Subject, subject_of


def holds_everything(request: Request, world: World) -> bool:
    """Whether the requester holds every right in the whole cluster, by what is known of the bindings.

    The API server says in which groups it is. What is not known is not held.
    """
    user = subject_of({"kind": "User", "name": request.username})
    names = [user.text, *(Subject("Group", group).text for group in request.groups)]
    if MASTERS in names:
        return True
    by_subject = graph_of(world).by_subject
    bindings = {id(binding): binding for name in names for binding, _ in by_subject.get(name, ())}
    wide = (binding for binding in bindings.values() if binding.is_clusterwide)
    return is_everything(rule for binding in wide for rule in resolve(binding, world).rules)
