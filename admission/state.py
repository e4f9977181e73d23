"""What the webhook knows of the cluster: the world the checks look into, policies and waivers in force.

Changes come from watching threads and are applied in the event loop, so that a review never sees half of one,
and wait while a large review is judged in a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from iocaudit.cluster.watch import Sink
from iocaudit.core import own_names
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.waivers import LONGEST
from iocaudit.live.policies import PolicyStore
from iocaudit.live.waivers import Clock, WaiverStore, utc_now

_log = logging.getLogger(__name__)


class State:
    """Holds the auditor in force.

    A policy that cannot be used leaves its last good version in force; a waiver that cannot be read covers nothing.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        profile: str = "default",
        longest_waiver: timedelta = LONGEST,
        clock: Clock = utc_now,
        own_namespace: str = own_names.NAMESPACE,
    ) -> None:
        self.catalogue = catalogue
        self.profile = profile
        self.world = World(own_namespace=own_namespace)
        self._held = 0
        self._held_since = 0.0
        self._waiting: list[Callable[[], None]] = []
        self._clock = clock
        self._policies = PolicyStore(catalogue, profile, log=_log)
        self._waivers = WaiverStore(catalogue, longest_waiver, clock, log=_log)
        self._use()

    def change(self, apply: Callable[[], None]) -> None:
        """Apply a change now, or as soon as nothing holds the state; to be called in the event loop."""
        if self._held:
            self._waiting.append(apply)
        else:
            apply()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let nothing change meanwhile: an audit in another thread reads the world without locks."""
        if not self._held:
            self._held_since = time.monotonic()
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                waiting, self._waiting = self._waiting, []
                loop = asyncio.get_running_loop()
                for apply in waiting:  # each by itself, in their order, ahead of whoever waits to hold it next
                    loop.call_soon(self.change, apply)

    def progress_at(self) -> float:
        """When changes were last let in, by ``time.monotonic``: a review that hangs would keep them out for ever."""
        return self._held_since if self._held else time.monotonic()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What has to be loaded before the webhook may answer."""
        return tuple(dict.fromkeys((AUDIT_POLICY, IOC_WAIVER, NAMESPACE, *self.catalogue.admission_world_kinds())))

    @property
    def invalid(self) -> Mapping[str, str]:
        """Unusable policies by name, with the reason."""
        return self._policies.refused

    @property
    def counts(self) -> dict[str, Callable[[], int]]:
        """For a metric: the policies as they stand in the cluster, by whether they could be used."""
        return {"invalid": lambda: len(self._policies.refused), "valid": lambda: self._policies.usable}

    @property
    def waiver_counts(self) -> dict[str, Callable[[], int]]:
        """For a metric: the waivers by whether they can be read."""
        return {"unreadable": lambda: len(self._waivers.refused), "readable": lambda: self._waivers.usable}

    def replace(self, kind: Kind, resources: list[Resource]) -> None:
        store = self._store(kind)
        if store is None:
            self.world.replace(kind, resources)
        elif store.replace(resource.raw for resource in resources):
            self._use()

    def put(self, resource: Resource) -> None:
        store = self._store(resource.kind)
        if store is None:
            self.world.put(resource)
        elif store.put(resource.raw):
            self._use()

    def remove(self, resource: Resource) -> None:
        store = self._store(resource.kind)
        if store is not None:
            if store.remove(resource.name):
                self._use()
        elif resource.kind is not None:
            self.world.remove(resource.kind, self.world.namespace_of(resource), resource.name)

    def _store(self, kind: Kind | None) -> PolicyStore | WaiverStore | None:
        """Where objects of a kind are kept; None for those that checks look up in the world."""
        return self._policies if kind is AUDIT_POLICY else self._waivers if kind is IOC_WAIVER else None

    def incomplete(self, kind: Kind, reason: str) -> bool:
        """Note that a kind cannot be known whole; whether the webhook may answer all the same.

        Checks that need the kind say Skipped, as ``onIncomplete`` has it. Policies, and the namespaces whose
        labels they select by, decide what is denied at all: without those the defaults would rule unnoticed.
        What was loaded of them before stays in force. Waivers only ever take denials away: without them everything
        is judged as if there were none, so that the webhook may answer; which of those that were loaded still hold
        nobody can say, so that none does.
        """
        if kind is AUDIT_POLICY:
            return False
        if kind is IOC_WAIVER:
            _log.error("no waiver is in force: %s", reason)
            if self._waivers.replace(()):
                self._use()
            return True
        self.world.mark_incomplete(kind, reason)
        return kind is not NAMESPACE

    def _use(self) -> None:
        accept = self._waivers.current.acceptor(self._clock)
        self.auditor = Auditor(self.catalogue, self._policies.current, self.world, accept)


Loaded = Callable[[Kind, str | None], None]


def loop_sink(
    state: State, loop: asyncio.AbstractEventLoop, loaded: Loaded, seen: Callable[[Resource], None] = lambda _: None
) -> Sink:
    """A sink that hands every change to the event loop.

    ``loaded`` is told of each kind whether the webhook may answer as to it: None, or the reason why not. ``seen`` is
    told of each object that is new or changed.
    """

    def hand_over(apply: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(state.change, apply)

    def replace(kind: Kind, resources: list[Resource]) -> None:
        def apply() -> None:
            state.replace(kind, resources)
            loaded(kind, None)

        hand_over(apply)

    def incomplete(kind: Kind, reason: str) -> None:
        def apply() -> None:
            loaded(kind, None if state.incomplete(kind, reason) else reason)

        hand_over(apply)

    def put(resource: Resource) -> None:
        def apply() -> None:
            state.put(resource)
            seen(resource)

        hand_over(apply)

    def remove(resource: Resource) -> None:
        hand_over(partial(state.remove, resource))

    def install(groups: frozenset[str]) -> None:
        hand_over(partial(state.world.install, groups))

    return Sink(replace, put, remove, incomplete, install)
