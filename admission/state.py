"""What the webhook knows of the cluster: the world the checks look into, and the policies in force.

Changes come from watching threads and are applied in the event loop, so that a review never sees half of one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from iocaudit.cluster.watch import Sink
from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import Policy, PolicySet, read_policy

_log = logging.getLogger(__name__)
AUDIT_POLICY = Kind("iocaudit.io", "v1alpha1", "AuditPolicy", "auditpolicies", namespaced=False)


class State:
    """Holds the auditor in force. A policy that cannot be used leaves its last good version in force."""

    def __init__(self, catalogue: Catalogue, *, profile: str = "default") -> None:
        self.catalogue = catalogue
        self.profile = profile
        self.world = World()
        self._good: dict[str, Policy] = {}
        self._bad: dict[str, str] = {}
        self.auditor = Auditor(catalogue, PolicySet(catalogue, (), profile), self.world)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What has to be loaded before the webhook may answer."""
        return tuple(dict.fromkeys((AUDIT_POLICY, NAMESPACE, *self.catalogue.admission_world_kinds())))

    @property
    def invalid(self) -> dict[str, str]:
        """Unusable policies by name, with the reason."""
        return dict(self._bad)

    @property
    def counts(self) -> dict[str, Callable[[], int]]:
        """For a metric: the policies as they stand in the cluster, by whether they could be used."""
        return {"invalid": lambda: len(self._bad), "valid": lambda: len(self._good.keys() - self._bad.keys())}

    def replace(self, kind: Kind, resources: list[Resource]) -> None:
        if kind is AUDIT_POLICY:
            names = {resource.name for resource in resources}
            for gone in (self._good.keys() | self._bad.keys()) - names:
                self._good.pop(gone, None)
                self._bad.pop(gone, None)
            for resource in resources:
                self._read(resource)
            self._use()
        else:
            self.world.replace(kind, resources)

    def put(self, resource: Resource) -> None:
        if resource.kind is AUDIT_POLICY:
            self._read(resource)
            self._use()
        else:
            self.world.put(resource)

    def remove(self, resource: Resource) -> None:
        if resource.kind is AUDIT_POLICY:
            self._good.pop(resource.name, None)
            self._bad.pop(resource.name, None)
            self._use()
        elif resource.kind is not None:
            self.world.remove(resource.kind, self.world.namespace_of(resource), resource.name)

    def _read(self, resource: Resource) -> None:
        try:
            self._good[resource.name] = read_policy(resource.raw, self.catalogue)
            self._bad.pop(resource.name, None)
        except PolicyError as error:
            self._bad[resource.name] = str(error)
            _log.warning("%s; %s", error, "its last good version stays" if resource.name in self._good else "ignored")

    def _use(self) -> None:
        policies = PolicySet(self.catalogue, tuple(self._good.values()), self.profile)
        self.auditor = Auditor(self.catalogue, policies, self.world)


def loop_sink(state: State, loop: asyncio.AbstractEventLoop, loaded: Callable[[Kind], None]) -> Sink:
    """A sink that hands every change to the event loop; ``loaded`` is told each kind's first full list."""

    def replace(kind: Kind, resources: list[Resource]) -> None:
        def apply() -> None:
            state.replace(kind, resources)
            loaded(kind)

        loop.call_soon_threadsafe(apply)

    def incomplete(kind: Kind, reason: str) -> None:
        def apply() -> None:
            state.world.mark_incomplete(kind, reason)
            loaded(kind)

        loop.call_soon_threadsafe(apply)

    def put(resource: Resource) -> None:
        loop.call_soon_threadsafe(state.put, resource)

    def remove(resource: Resource) -> None:
        loop.call_soon_threadsafe(state.remove, resource)

    return Sink(replace, put, remove, incomplete)
