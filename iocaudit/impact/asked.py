"""What the webhook is asked about, by the words of the audit log: groups, resources and verbs."""

from __future__ import annotations

from iocaudit.core.kinds import CONNECTIONS, Kind
from iocaudit.core.request import Operation
from iocaudit.engine.catalogue import Catalogue
from iocaudit.install.webhook_configuration import OWN_KINDS
from iocaudit.knowledge.controllers import OWNERS
from iocaudit.signals.audit_event import RequestTarget

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class AskedRequests:
    """The kinds and operations of requests that are sent to the webhook, and the resources that tell of their objects.

    A scale, a binding and the status of an owner are not sent to it, and change what is judged later.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        rules = {**catalogue.admission_rules, **OWN_KINDS}
        self._kinds: dict[tuple[str, str], tuple[Kind, frozenset[Operation]]] = {}
        self._told: dict[tuple[str, str], Kind] = {}
        for kind, operations in rules.items():
            self._kinds[kind.group, kind.plural] = (kind, operations)
            for subresource in kind.subresources:
                self._kinds[kind.group, f"{kind.plural}/{subresource}"] = (kind, operations - {Operation.CREATE})
            if kind in OWNERS:
                self._told[kind.group, f"{kind.plural}/status"] = kind
                self._told[kind.group, f"{kind.plural}/scale"] = kind
            if kind.name == "Pod" and not kind.group:
                self._told[kind.group, f"{kind.plural}/binding"] = kind

    def wants(self, verb: str, group: str, resource: str) -> bool:
        """Whether an event is worth being read; ``resource`` is with its subresource."""
        found = self._kinds.get((group, resource))
        if found is not None:
            return verb in WRITES or found[0] in CONNECTIONS
        return verb in WRITES and (group, resource) in self._told

    def kind(self, target: RequestTarget) -> Kind | None:
        """The kind whose requests are sent to the webhook; None for any other."""
        found = self._kinds.get((target.group, target.whole))
        return found[0] if found is not None else None

    def told_of(self, target: RequestTarget) -> Kind | None:
        """The kind of whose object a subresource tells, without being sent to the webhook."""
        return self._told.get((target.group, target.whole))

    def is_asked(self, target: RequestTarget, operation: Operation) -> bool:
        found = self._kinds.get((target.group, target.whole))
        return found is not None and operation in found[1]
