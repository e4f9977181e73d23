"""What the webhook knows of the cluster: the world the checks look into, policies and waivers in force.

Changes come from watching threads and are applied in the event loop, so that a review never sees half of one,
and wait while a large review is judged in a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from iocaudit.cluster.watch import Sink
from iocaudit.core.errors import PolicyError
from iocaudit.core.kinds import NAMESPACE, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import Policy, PolicySet
from iocaudit.engine.policy_reader import read_policy
from iocaudit.engine.waiver_reader import WaiverError, read_waiver
from iocaudit.engine.waivers import LONGEST, Waiver, Waivers

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
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.catalogue = catalogue
        self.profile = profile
        self.world = World()
        self._held = 0
        self._waiting: list[Callable[[], None]] = []
        self._good: dict[str, Policy] = {}
        self._bad: dict[str, str] = {}
        self._longest, self._clock = longest_waiver, clock
        self._waivers: dict[str, Waiver] = {}
        self._unreadable: dict[str, str] = {}
        self.auditor = Auditor(catalogue, PolicySet(catalogue, (), profile), self.world)

    def change(self, apply: Callable[[], None]) -> None:
        """Apply a change now, or as soon as nothing holds the state; to be called in the event loop."""
        if self._held:
            self._waiting.append(apply)
        else:
            apply()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let nothing change meanwhile: an audit in another thread reads the world without locks."""
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

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What has to be loaded before the webhook may answer."""
        return tuple(dict.fromkeys((AUDIT_POLICY, IOC_WAIVER, NAMESPACE, *self.catalogue.admission_world_kinds())))

    @property
    def invalid(self) -> dict[str, str]:
        """Unusable policies by name, with the reason."""
        return dict(self._bad)

    @property
    def counts(self) -> dict[str, Callable[[], int]]:
        """For a metric: the policies as they stand in the cluster, by whether they could be used."""
        return {"invalid": lambda: len(self._bad), "valid": lambda: len(self._good.keys() - self._bad.keys())}

    @property
    def waiver_counts(self) -> dict[str, Callable[[], int]]:
        """For a metric: the waivers by whether they can be read."""
        return {"unreadable": lambda: len(self._unreadable), "readable": lambda: len(self._waivers)}

    def replace(self, kind: Kind, resources: list[Resource]) -> None:
        if kind is AUDIT_POLICY:
            names = {resource.name for resource in resources}
            for gone in (self._good.keys() | self._bad.keys()) - names:
                self._good.pop(gone, None)
                self._bad.pop(gone, None)
            for resource in resources:
                self._read(resource)
            self._use()
        elif kind is IOC_WAIVER:
            self._unreadable.clear()
            self._take_waivers({}, resources)
        else:
            self.world.replace(kind, resources)

    def put(self, resource: Resource) -> None:
        if resource.kind is AUDIT_POLICY:
            self._read(resource)
            self._use()
        elif resource.kind is IOC_WAIVER:
            self._take_waivers(self._waivers, [resource])
        else:
            self.world.put(resource)

    def remove(self, resource: Resource) -> None:
        if resource.kind is AUDIT_POLICY:
            self._good.pop(resource.name, None)
            self._bad.pop(resource.name, None)
            self._use()
        elif resource.kind is IOC_WAIVER:
            self._unreadable.pop(resource.name, None)
            self._take_waivers({name: one for name, one in self._waivers.items() if name != resource.name}, [])
        elif resource.kind is not None:
            self.world.remove(resource.kind, self.world.namespace_of(resource), resource.name)

    def _read(self, resource: Resource) -> None:
        try:
            self._good[resource.name] = read_policy(resource.raw, self.catalogue)
            self._bad.pop(resource.name, None)
        except PolicyError as error:
            self._bad[resource.name] = str(error)
            _log.warning("%s; %s", error, "its last good version stays" if resource.name in self._good else "ignored")

    def _take_waivers(self, others: dict[str, Waiver], resources: list[Resource]) -> None:
        """Put these in force beside the others. Nothing is made anew where only a status says something else."""
        waivers = dict(others)
        for resource in resources:
            waivers.pop(resource.name, None)
            self._unreadable.pop(resource.name, None)
            try:
                waivers[resource.name] = read_waiver(resource.raw, self.catalogue, stored=True, now=self._clock())
            except WaiverError as error:
                self._unreadable[resource.name] = str(error)
                _log.warning("%s; it covers nothing", error)
        if waivers != self._waivers:
            self._waivers = waivers
            self._use()

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
            self._unreadable.clear()
            self._take_waivers({}, [])
            return True
        self.world.mark_incomplete(kind, reason)
        return kind is not NAMESPACE

    def _use(self) -> None:
        policies = PolicySet(self.catalogue, tuple(self._good.values()), self.profile)
        waivers = Waivers(self._waivers.values(), self._longest)
        self.auditor = Auditor(self.catalogue, policies, self.world, waivers.acceptor(self._clock))


Loaded = Callable[[Kind, str | None], None]


def loop_sink(state: State, loop: asyncio.AbstractEventLoop, loaded: Loaded) -> Sink:
    """A sink that hands every change to the event loop.

    ``loaded`` is told of each kind whether the webhook may answer as to it: None, or the reason why not.
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
        hand_over(partial(state.put, resource))

    def remove(resource: Resource) -> None:
        hand_over(partial(state.remove, resource))

    def install(groups: frozenset[str]) -> None:
        hand_over(partial(state.world.install, groups))

    return Sink(replace, put, remove, incomplete, install)
